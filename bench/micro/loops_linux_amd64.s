#include "textflag.h"

// The contracts are in loops_linux_amd64.go.

TEXT ·aluLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $88172645463325252, AX
	MOVQ $1, BX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHLQ $17, DX
	XORQ DX, AX
	ADDQ AX, BX
	LEAQ 3(BX)(DX*4), BX
	ANDL $0xfffff, DX
	SUBQ DX, BX
	DECQ CX
	JNZ  loop
	MOVQ BX, ret+8(FP)
	RET

TEXT ·adcLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $-5, AX
	MOVQ $7, BX
	XORL R8, R8
	XORL R9, R9
	XORL R10, R10
	XORL R11, R11
loop:
	ADDQ AX, R8
	ADCQ BX, R9
	ADCQ AX, R10
	ADCQ BX, R11
	DECQ CX
	JNZ  loop
	XORQ R9, R8
	XORQ R10, R8
	XORQ R11, R8
	MOVQ R8, ret+8(FP)
	RET

TEXT ·shiftLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), SI
	MOVQ $0x123456789abcdef, AX
	MOVQ $0xfedcba987654321, BX
loop:
	MOVQ SI, CX
	ROLQ CX, AX
	SHRQ $3, BX
	RORQ $11, AX
	XORQ AX, BX
	SHLQ CX, BX
	SARQ $1, BX
	ADDQ BX, AX
	DECQ SI
	JNZ  loop
	MOVQ AX, ret+8(FP)
	RET

TEXT ·mulLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $0x9e3779b97f4a7c15, BX
	MOVQ $12345, AX
loop:
	IMULQ BX, AX
	MULQ  BX
	ADDQ  DX, AX
	IMUL3Q $77, AX, AX
	DECQ  CX
	JNZ   loop
	MOVQ  AX, ret+8(FP)
	RET

TEXT ·divLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $0x123456789abcdef1, R8
	XORL R9, R9
loop:
	MOVQ R8, AX
	XORL DX, DX
	LEAQ 12345(CX), BX
	DIVQ BX
	ADDQ AX, R9
	ADDQ DX, R8
	DECQ CX
	JNZ  loop
	MOVQ R9, ret+8(FP)
	RET

TEXT ·branchLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $88172645463325252, AX
	XORL BX, BX
loop:
	MOVQ AX, DX
	SHLQ $13, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHRQ $7, DX
	XORQ DX, AX
	MOVQ AX, DX
	SHLQ $17, DX
	XORQ DX, AX
	TESTL $1, AX
	JZ   one
	ADDQ $3, BX
one:
	TESTL $0x10, AX
	JNZ  two
	XORQ $0x55, BX
two:
	CMPL AX, $0
	JLT  three
	LEAQ 1(BX)(BX*2), BX
three:
	DECQ CX
	JNZ  loop
	MOVQ BX, ret+8(FP)
	RET

TEXT ·jccLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
loop:
	DECQ CX
	JNZ  loop
	MOVQ CX, ret+8(FP)
	RET

TEXT leaf<>(SB), NOSPLIT, $0
	ADDQ $1, AX
	RET

TEXT ·callLoop(SB), NOSPLIT, $8-16
	MOVQ n+0(FP), CX
	XORL AX, AX
loop:
	CALL leaf<>(SB)
	DECQ CX
	JNZ  loop
	MOVQ AX, ret+8(FP)
	RET

// Floating point. The values stay in range however many rounds there are.

TEXT ·scalarLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVQ $0x3ff0000000000000, AX // 1
	MOVQ AX, X1
	MOVQ $0x4008cccccccccccd, AX // 3.1
	MOVQ AX, X2
	MOVQ $0x3fe6666666666666, AX // 0.7
	MOVQ AX, X0
	XORPS X3, X3
loop:
	ADDSD X2, X0
	MULSD X0, X0
	MOVAPD X0, X4
	DIVSD X2, X4
	SQRTSD X4, X0
	ADDSD X0, X3
	SUBSD X1, X0
	DECQ CX
	JNZ  loop
	MOVQ X3, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·x87Loop(SB), NOSPLIT, $16-16
	MOVQ n+0(FP), CX
	MOVQ $0x4008cccccccccccd, AX // 3.1
	MOVQ AX, 0(SP)
	BYTE $0xdd; BYTE $0x04; BYTE $0x24 // fldl (%rsp)
	BYTE $0xd9; BYTE $0xe8 // fld1
loop:
	BYTE $0xd8; BYTE $0xc1 // fadd %st(1), %st
	BYTE $0xd8; BYTE $0xc8 // fmul %st, %st
	BYTE $0xd8; BYTE $0xf1 // fdiv %st(1), %st
	BYTE $0xd9; BYTE $0xfa // fsqrt
	BYTE $0xdd; BYTE $0x5c; BYTE $0x24; BYTE $0x08 // fstpl 8(%rsp)
	BYTE $0xdd; BYTE $0x44; BYTE $0x24; BYTE $0x08 // fldl 8(%rsp)
	DECQ CX
	JNZ  loop
	BYTE $0xdd; BYTE $0x5c; BYTE $0x24; BYTE $0x08 // fstpl 8(%rsp)
	BYTE $0xdd; BYTE $0xd8 // fstp %st
	MOVQ 8(SP), AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·x87SinLoop(SB), NOSPLIT, $16-16
	MOVQ n+0(FP), CX
	BYTE $0xd9; BYTE $0xe8 // fld1
loop:
	BYTE $0xd9; BYTE $0xfb // fsincos
	BYTE $0xde; BYTE $0xc1 // faddp
	DECQ CX
	JNZ  loop
	BYTE $0xdd; BYTE $0x1c; BYTE $0x24 // fstpl (%rsp)
	// Implementations differ in the last bits of a sine.
	MOVQ 0(SP), AX
	SHRQ $24, AX
	MOVQ AX, ret+8(FP)
	RET

// Four lanes of a float: 1.0, and 0.999 and 0.001 as factors and summands.
DATA ones<>+0(SB)/8, $0x3f8000003f800000
DATA ones<>+8(SB)/8, $0x3f8000003f800000
DATA ones<>+16(SB)/8, $0x3f8000003f800000
DATA ones<>+24(SB)/8, $0x3f8000003f800000
GLOBL ones<>(SB), RODATA|NOPTR, $32
DATA most<>+0(SB)/8, $0x3f7fbe773f7fbe77
DATA most<>+8(SB)/8, $0x3f7fbe773f7fbe77
DATA most<>+16(SB)/8, $0x3f7fbe773f7fbe77
DATA most<>+24(SB)/8, $0x3f7fbe773f7fbe77
GLOBL most<>(SB), RODATA|NOPTR, $32
DATA some<>+0(SB)/8, $0x3a83126f3a83126f
DATA some<>+8(SB)/8, $0x3a83126f3a83126f
DATA some<>+16(SB)/8, $0x3a83126f3a83126f
DATA some<>+24(SB)/8, $0x3a83126f3a83126f
GLOBL some<>(SB), RODATA|NOPTR, $32
// The same in doubles.
DATA mostd<>+0(SB)/8, $0x3feff7ced916872b
DATA mostd<>+8(SB)/8, $0x3feff7ced916872b
DATA mostd<>+16(SB)/8, $0x3feff7ced916872b
DATA mostd<>+24(SB)/8, $0x3feff7ced916872b
GLOBL mostd<>(SB), RODATA|NOPTR, $32
DATA somed<>+0(SB)/8, $0x3f50624dd2f1a9fc
DATA somed<>+8(SB)/8, $0x3f50624dd2f1a9fc
DATA somed<>+16(SB)/8, $0x3f50624dd2f1a9fc
DATA somed<>+24(SB)/8, $0x3f50624dd2f1a9fc
GLOBL somed<>(SB), RODATA|NOPTR, $32
// Integers: numbers, a byte shuffle, a permutation of eight lanes.
DATA nums<>+0(SB)/8, $0x9e3779b97f4a7c15
DATA nums<>+8(SB)/8, $0xbf58476d1ce4e5b9
DATA nums<>+16(SB)/8, $0x94d049bb133111eb
DATA nums<>+24(SB)/8, $0x2545f4914f6cdd1d
GLOBL nums<>(SB), RODATA|NOPTR, $32
DATA turn<>+0(SB)/8, $0x0c090603000d0a07
DATA turn<>+8(SB)/8, $0x04010e0b0805020f
DATA turn<>+16(SB)/8, $0x0c090603000d0a07
DATA turn<>+24(SB)/8, $0x04010e0b0805020f
GLOBL turn<>(SB), RODATA|NOPTR, $32
DATA perm<>+0(SB)/8, $0x0000000100000000
DATA perm<>+8(SB)/8, $0x0000000700000004
DATA perm<>+16(SB)/8, $0x0000000200000005
DATA perm<>+24(SB)/8, $0x0000000600000003
GLOBL perm<>(SB), RODATA|NOPTR, $32

TEXT ·sseFloatLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVOU ones<>(SB), X0
	MOVOU most<>(SB), X1
	MOVOU some<>(SB), X2
	MOVOU ones<>(SB), X3
	MOVOU mostd<>(SB), X4
	MOVOU somed<>(SB), X5
	XORPS X6, X6
loop:
	MULPS X1, X0
	ADDPS X2, X0
	SUBPS X2, X3
	MULPS X1, X3
	ADDPS X2, X3
	MULPD X4, X6
	ADDPD X5, X6
	DECQ CX
	JNZ  loop
	ADDPS X3, X0
	PXOR X6, X0
	MOVQ X0, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·sseIntLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVOU nums<>(SB), X0
	MOVOU nums<>+16(SB), X1
	MOVOU turn<>(SB), X2
	XORL BX, BX
loop:
	PADDD X1, X0
	PMULLD X1, X0
	PSHUFB X2, X0
	PXOR X0, X1
	MOVO X1, X3
	PCMPGTL X0, X3
	PMOVMSKB X3, AX
	ADDQ AX, BX
	DECQ CX
	JNZ  loop
	MOVQ X0, AX
	XORQ BX, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·avx2FloatLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	VMOVUPS ones<>(SB), Y0
	VMOVUPS most<>(SB), Y1
	VMOVUPS some<>(SB), Y2
	VMOVUPD mostd<>(SB), Y4
	VMOVUPD somed<>(SB), Y5
	VXORPD Y6, Y6, Y6
	VXORPD Y7, Y7, Y7
loop:
	VMULPS Y1, Y0, Y0
	VADDPS Y2, Y0, Y0
	VMULPD Y4, Y6, Y6
	VADDPD Y5, Y6, Y6
	VMOVAPD Y5, Y8
	VFMADD231PD Y4, Y7, Y8
	VMOVAPD Y8, Y7
	DECQ CX
	JNZ  loop
	VXORPD Y6, Y0, Y0
	VXORPD Y7, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPXOR X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+8(FP)
	RET

TEXT ·avx2IntLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	VMOVDQU nums<>(SB), Y0
	VMOVDQU turn<>(SB), Y1
	VMOVDQU turn<>(SB), Y2
	VMOVDQU perm<>(SB), Y3
loop:
	VPADDD Y1, Y0, Y0
	VPMULLD Y1, Y0, Y0
	VPSHUFB Y2, Y0, Y0
	VPERMD Y0, Y3, Y0
	VPXOR Y0, Y1, Y1
	VPSLLQ $3, Y1, Y4
	VPOR Y4, Y1, Y1
	DECQ CX
	JNZ  loop
	VEXTRACTI128 $1, Y0, X1
	VPXOR X1, X0, X0
	VMOVQ X0, AX
	VZEROUPPER
	MOVQ AX, ret+8(FP)
	RET

TEXT ·aesLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVOU nums<>(SB), X0
	MOVOU nums<>+16(SB), X1
	MOVOU turn<>(SB), X2
loop:
	PXOR X1, X0
	AESENC X1, X0
	AESENC X2, X0
	AESENC X1, X0
	AESENC X2, X0
	AESENC X1, X0
	AESENC X2, X0
	AESENC X1, X0
	AESENC X2, X0
	AESENC X1, X0
	AESENCLAST X2, X0
	DECQ CX
	JNZ  loop
	MOVQ X0, AX
	MOVQ AX, ret+8(FP)
	RET

TEXT ·pclmulLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), CX
	MOVOU nums<>(SB), X0
	MOVOU nums<>+16(SB), X1
	MOVOU turn<>(SB), X4
loop:
	MOVO X0, X2
	PCLMULQDQ $0x00, X1, X0
	PCLMULQDQ $0x11, X1, X2
	PXOR X2, X0
	PXOR X4, X0
	DECQ CX
	JNZ  loop
	MOVQ X0, AX
	MOVQ AX, ret+8(FP)
	RET

// Memory.

TEXT ·chaseLoop(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ p+8(FP), SI
	XORL AX, AX
loop:
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	MOVQ (SI)(AX*1), AX
	DECQ CX
	JNZ  loop
	MOVQ AX, ret+16(FP)
	RET

TEXT ·seqLoad(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	XORL AX, AX
again:
	MOVQ p+8(FP), SI
	MOVQ words+16(FP), DX
loop:
	ADDQ (SI), AX
	ADDQ 8(SI), AX
	ADDQ 16(SI), AX
	ADDQ 24(SI), AX
	ADDQ 32(SI), AX
	ADDQ 40(SI), AX
	ADDQ 48(SI), AX
	ADDQ 56(SI), AX
	ADDQ $64, SI
	SUBQ $8, DX
	JNZ  loop
	DECQ CX
	JNZ  again
	MOVQ AX, ret+24(FP)
	RET

TEXT ·seqStore(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	XORL AX, AX
again:
	MOVQ p+8(FP), SI
	MOVQ words+16(FP), DX
loop:
	MOVQ CX, (SI)
	MOVQ DX, 8(SI)
	MOVQ CX, 16(SI)
	MOVQ DX, 24(SI)
	MOVQ CX, 32(SI)
	MOVQ DX, 40(SI)
	MOVQ CX, 48(SI)
	MOVQ DX, 56(SI)
	ADDQ $64, SI
	SUBQ $8, DX
	JNZ  loop
	ADDQ -8(SI), AX
	DECQ CX
	JNZ  again
	MOVQ AX, ret+24(FP)
	RET

TEXT ·randLoad(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ p+8(FP), SI
	MOVQ mask+16(FP), R8
	MOVQ $6364136223846793005, R9
	MOVQ $1, DX
	XORL AX, AX
loop:
	IMULQ R9, DX
	ADDQ $1442695, DX
	MOVQ DX, BX
	SHRQ $33, BX
	ANDQ R8, BX
	ADDQ (SI)(BX*8), AX
	DECQ CX
	JNZ  loop
	MOVQ AX, ret+24(FP)
	RET

TEXT ·randStore(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
	MOVQ p+8(FP), SI
	MOVQ mask+16(FP), R8
	MOVQ $6364136223846793005, R9
	MOVQ $1, DX
loop:
	IMULQ R9, DX
	ADDQ $1442695, DX
	MOVQ DX, BX
	SHRQ $33, BX
	ANDQ R8, BX
	MOVQ DX, (SI)(BX*8)
	DECQ CX
	JNZ  loop
	MOVQ DX, ret+24(FP)
	RET

TEXT ·atomicLoop(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ p+8(FP), SI
loop:
	MOVQ $3, DX
	LOCK
	XADDQ DX, (SI)
	MOVQ (SI), AX
	LEAQ 1(AX), BX
	LOCK
	CMPXCHGQ BX, (SI)
	DECQ CX
	JNZ  loop
	MOVQ (SI), AX
	MOVQ AX, ret+16(FP)
	RET

TEXT ·copySSE(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
again:
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ size+24(FP), DX
loop:
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	MOVOU X0, (DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $64, DX
	JNZ  loop
	DECQ CX
	JNZ  again
	RET

TEXT ·copyAVX(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), CX
again:
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ size+24(FP), DX
loop:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VMOVDQU 64(SI), Y2
	VMOVDQU 96(SI), Y3
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VMOVDQU Y2, 64(DI)
	VMOVDQU Y3, 96(DI)
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $128, DX
	JNZ  loop
	DECQ CX
	JNZ  again
	VZEROUPPER
	RET

TEXT ·repMovsb(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), DX
again:
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ size+24(FP), CX
	REP; MOVSB
	DECQ DX
	JNZ  again
	RET

TEXT ·repMovsq(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), DX
again:
	MOVQ dst+8(FP), DI
	MOVQ src+16(FP), SI
	MOVQ size+24(FP), CX
	SHRQ $3, CX
	REP; MOVSQ
	DECQ DX
	JNZ  again
	RET

TEXT ·repStosb(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), DX
again:
	MOVQ dst+8(FP), DI
	MOVQ size+16(FP), CX
	MOVQ DX, AX
	REP; STOSB
	DECQ DX
	JNZ  again
	RET

TEXT ·repStosq(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), DX
again:
	MOVQ dst+8(FP), DI
	MOVQ size+16(FP), CX
	SHRQ $3, CX
	MOVQ DX, AX
	REP; STOSQ
	DECQ DX
	JNZ  again
	RET

TEXT ·repneScasb(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), DX
	XORL BX, BX
	MOVL $1, AX
again:
	MOVQ p+8(FP), DI
	MOVQ size+16(FP), CX
	REPN; SCASB
	ADDQ CX, BX
	DECQ DX
	JNZ  again
	MOVQ BX, ret+24(FP)
	RET

// System calls keep all registers but RAX, RCX and R11. Numbers are those of
// arch/x86/entry/syscalls/syscall_64.tbl in Linux.

TEXT ·sysLoop(SB), NOSPLIT, $0-48
	MOVQ n+0(FP), BX
	MOVQ a1+16(FP), DI
	MOVQ a2+24(FP), SI
	MOVQ a3+32(FP), DX
loop:
	MOVQ nr+8(FP), AX
	SYSCALL
	DECQ BX
	JNZ  loop
	MOVQ AX, ret+40(FP)
	RET

TEXT ·readLoop(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVQ fd+8(FP), DI
	MOVQ buf+16(FP), SI
	MOVL $1, DX
	XORL AX, AX // read
	SYSCALL
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+24(FP)
	RET

TEXT ·statLoop(SB), NOSPLIT, $0-32
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVQ path+8(FP), DI
	MOVQ buf+16(FP), SI
	MOVL $4, AX // stat
	SYSCALL
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+24(FP)
	RET

TEXT ·openLoop(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVQ path+8(FP), DI
	XORL SI, SI
	XORL DX, DX
	MOVL $2, AX // open
	SYSCALL
	MOVQ AX, DI
	MOVL $3, AX // close
	SYSCALL
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+16(FP)
	RET

TEXT ·protectLoop(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVQ p+8(FP), DI
	MOVL $4096, SI
	MOVL $1, DX // PROT_READ
	MOVL $10, AX // mprotect
	SYSCALL
	ADDQ AX, R12
	MOVL $3, DX // PROT_READ | PROT_WRITE
	MOVL $10, AX
	SYSCALL
	ADDQ AX, R12
	INCQ (DI)
	DECQ BX
	JNZ  loop
	MOVQ (DI), AX
	ADDQ R12, AX
	MOVQ AX, ret+16(FP)
	RET

TEXT ·mapLoop(SB), NOSPLIT, $0-16
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	XORL DI, DI
	MOVL $4096, SI
	MOVL $3, DX
	MOVL $0x22, R10 // MAP_PRIVATE | MAP_ANONYMOUS
	MOVQ $-1, R8
	XORL R9, R9
	MOVL $9, AX // mmap
	SYSCALL
	MOVQ AX, DI
	ADDQ (DI), R12
	MOVQ BX, (DI)
	MOVL $11, AX // munmap
	SYSCALL
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+8(FP)
	RET

// Signals. The handlers are entered by the kernel, and return to the restorer.

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVL $15, AX // rt_sigreturn
	SYSCALL
	INT $3

TEXT handlerReturn<>(SB), NOSPLIT|NOFRAME, $0
	RET

TEXT handlerSkip<>(SB), NOSPLIT|NOFRAME, $0
	ADDQ $2, 168(DX) // ucontext.uc_mcontext.rip
	RET

// struct kernel_sigaction: handler, flags, restorer, mask.
TEXT ·signalAction(SB), NOSPLIT, $32-24
	MOVQ handler+8(FP), AX
	XORL CX, CX // SIG_DFL
	CMPQ AX, $0
	JEQ  set
	LEAQ handlerReturn<>(SB), CX
	CMPQ AX, $1
	JEQ  set
	LEAQ handlerSkip<>(SB), CX
set:
	MOVQ CX, 0(SP)
	MOVQ $0x4c000004, CX // SA_SIGINFO | SA_NODEFER | SA_ONSTACK | SA_RESTORER
	MOVQ CX, 8(SP)
	LEAQ restorer<>(SB), CX
	MOVQ CX, 16(SP)
	MOVQ $0, 24(SP)
	MOVQ sig+0(FP), DI
	MOVQ SP, SI
	XORL DX, DX
	MOVL $8, R10
	MOVL $13, AX // rt_sigaction
	SYSCALL
	MOVQ AX, ret+16(FP)
	RET

TEXT ·killLoop(SB), NOSPLIT, $0-40
	MOVQ n+0(FP), BX
	MOVQ pid+8(FP), DI
	MOVQ tid+16(FP), SI
	MOVQ sig+24(FP), DX
	XORL R12, R12
loop:
	MOVL $234, AX // tgkill
	SYSCALL
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+32(FP)
	RET

TEXT ·faultLoop(SB), NOSPLIT, $0-24
	MOVQ n+0(FP), CX
	MOVQ p+8(FP), SI
	XORL BX, BX
loop:
	MOVL $5, AX
	BYTE $0x8a; BYTE $0x06 // mov (%rsi), %al: the handler skips it
	ADDQ AX, BX
	DECQ CX
	JNZ  loop
	MOVQ BX, ret+16(FP)
	RET

// Processes.

TEXT ·forkExec(SB), NOSPLIT, $16-32
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVL $57, AX // fork
	SYSCALL
	CMPQ AX, $0
	JEQ  child
	JLT  failed
	MOVQ AX, DI
	LEAQ 8(SP), SI
	MOVQ $0, 8(SP)
	XORL DX, DX
	XORL R10, R10
	MOVL $61, AX // wait4
	SYSCALL
	MOVL 8(SP), AX
	ADDQ AX, R12
next:
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+24(FP)
	RET
failed:
	MOVQ $0x100000000, AX
	ADDQ AX, R12
	JMP  next
child:
	MOVQ path+8(FP), DI
	XORL R13, R13
	CMPQ DI, $0
	JEQ  quit
	MOVQ argv+16(FP), SI
	XORL DX, DX
	MOVL $59, AX // execve
	SYSCALL
	MOVL $127, R13
quit:
	MOVL R13, DI
	MOVL $231, AX // exit_group
	SYSCALL
	INT $3

TEXT ·forkEcho(SB), NOSPLIT, $16-32
	MOVL $57, AX
	SYSCALL
	CMPQ AX, $0
	JEQ  child
	MOVQ AX, ret+24(FP)
	RET
child:
	MOVQ closes+16(FP), DI
	MOVL $3, AX
	SYSCALL
echo:
	MOVQ r+0(FP), DI
	LEAQ 8(SP), SI
	MOVL $1, DX
	XORL AX, AX
	SYSCALL
	CMPQ AX, $1
	JNE  quit
	MOVQ w+8(FP), DI
	MOVL $1, AX
	SYSCALL
	JMP  echo
quit:
	XORL DI, DI
	MOVL $231, AX
	SYSCALL
	INT $3

TEXT ·forkYield(SB), NOSPLIT, $0-8
	MOVL $57, AX
	SYSCALL
	CMPQ AX, $0
	JEQ  child
	MOVQ AX, ret+0(FP)
	RET
child:
	MOVL $24, AX // sched_yield
	SYSCALL
	JMP  child

TEXT ·pingLoop(SB), NOSPLIT, $16-32
	MOVQ n+0(FP), BX
	XORL R12, R12
loop:
	MOVB BX, 8(SP)
	MOVQ w+8(FP), DI
	LEAQ 8(SP), SI
	MOVL $1, DX
	MOVL $1, AX // write
	SYSCALL
	MOVQ r+16(FP), DI
	XORL AX, AX
	SYSCALL
	MOVBLZX 8(SP), AX
	ADDQ AX, R12
	DECQ BX
	JNZ  loop
	MOVQ R12, ret+24(FP)
	RET

TEXT ·futexLoop(SB), NOSPLIT, $0-20
	MOVQ n+0(FP), BX
	MOVQ p+8(FP), DI
	MOVL me+16(FP), R12
	MOVL R12, R13
	XORL $1, R13
loop:
	MOVL (DI), AX
	CMPL AX, R12
	JEQ  mine
	MOVL $128, SI // FUTEX_WAIT_PRIVATE
	MOVL R13, DX
	XORL R10, R10
	MOVL $202, AX // futex
	SYSCALL
	JMP  loop
mine:
	MOVL R13, (DI)
	MOVL $129, SI // FUTEX_WAKE_PRIVATE
	MOVL $1, DX
	MOVL $202, AX
	SYSCALL
	DECQ BX
	JNZ  loop
	RET

// Code that changes. Calls need no alignment of the stack.

TEXT ·patchLoop(SB), NOSPLIT, $8-24
	MOVQ n+0(FP), CX
	MOVQ code+8(FP), DI
	XORL BX, BX
loop:
	MOVL CX, 1(DI)
	CALL DI
	ADDQ AX, BX
	DECQ CX
	JNZ  loop
	MOVQ BX, ret+16(FP)
	RET

TEXT ·besideLoop(SB), NOSPLIT, $8-32
	MOVQ n+0(FP), CX
	MOVQ code+8(FP), DI
	MOVQ off+16(FP), SI
	XORL BX, BX
loop:
	MOVL CX, (DI)(SI*1)
	CALL DI
	ADDQ AX, BX
	DECQ CX
	JNZ  loop
	MOVL (DI)(SI*1), AX
	ADDQ AX, BX
	MOVQ BX, ret+24(FP)
	RET

TEXT ·callCode(SB), NOSPLIT, $8-24
	MOVQ code+0(FP), DX
	MOVQ arg+8(FP), AX
	CALL DX
	MOVQ AX, ret+16(FP)
	RET
