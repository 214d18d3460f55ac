//go:build linux

#include "textflag.h"

// Offsets in the save area; see the constants in native_unsafe.go.
#define RFLAGS  128
#define ENTRY   136
#define FAULTIP 144
#define HOSTSP  152
#define HOSTCSR 160
#define HOSTFCW 164
#define HOSTFL  168
#define VECTOR  176
#define ERRCODE 184
#define FADDR   192
#define HOSTBP  200
#define HOSTG   208
#define HAVEAVX 216
#define FX      256
#define YMM     768

// func enter()
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ ·areaPtr(SB), AX
	PUSHFQ
	POPQ HOSTFL(AX)
	MOVQ SP, HOSTSP(AX)
	MOVQ BP, HOSTBP(AX)
	MOVQ R14, HOSTG(AX)
	STMXCSR HOSTCSR(AX)
	FSTCW HOSTFCW(AX)
	FXRSTOR64 FX(AX)
	CMPQ HAVEAVX(AX), $0
	JEQ noavx
	VMOVDQU (YMM+0)(AX), Y0
	VMOVDQU (YMM+32)(AX), Y1
	VMOVDQU (YMM+64)(AX), Y2
	VMOVDQU (YMM+96)(AX), Y3
	VMOVDQU (YMM+128)(AX), Y4
	VMOVDQU (YMM+160)(AX), Y5
	VMOVDQU (YMM+192)(AX), Y6
	VMOVDQU (YMM+224)(AX), Y7
	VMOVDQU (YMM+256)(AX), Y8
	VMOVDQU (YMM+288)(AX), Y9
	VMOVDQU (YMM+320)(AX), Y10
	VMOVDQU (YMM+352)(AX), Y11
	VMOVDQU (YMM+384)(AX), Y12
	VMOVDQU (YMM+416)(AX), Y13
	VMOVDQU (YMM+448)(AX), Y14
	VMOVDQU (YMM+480)(AX), Y15
noavx:
	PUSHQ RFLAGS(AX)
	POPFQ
	MOVQ 8(AX), CX
	MOVQ 16(AX), DX
	MOVQ 24(AX), BX
	MOVQ 32(AX), SP
	MOVQ 40(AX), BP
	MOVQ 48(AX), SI
	MOVQ 56(AX), DI
	MOVQ 64(AX), R8
	MOVQ 72(AX), R9
	MOVQ 80(AX), R10
	MOVQ 88(AX), R11
	MOVQ 96(AX), R12
	MOVQ 104(AX), R13
	MOVQ 112(AX), R14
	MOVQ 120(AX), R15
	MOVQ ENTRY(AX), AX
	JMP AX // the block's prologue loads RAX

// exit is jumped to by blocks and by the signal handler with the block's
// registers in place; it returns from enter.
TEXT ·exit(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ AX, ·savedAX(SB)
	MOVQ ·areaPtr(SB), AX
	MOVQ SP, 32(AX)
	MOVQ HOSTSP(AX), SP
	PUSHFQ
	POPQ RFLAGS(AX)
	PUSHQ HOSTFL(AX)
	POPFQ
	MOVQ CX, 8(AX)
	MOVQ ·savedAX(SB), CX
	MOVQ CX, (AX)
	MOVQ DX, 16(AX)
	MOVQ BX, 24(AX)
	MOVQ BP, 40(AX)
	MOVQ SI, 48(AX)
	MOVQ DI, 56(AX)
	MOVQ R8, 64(AX)
	MOVQ R9, 72(AX)
	MOVQ R10, 80(AX)
	MOVQ R11, 88(AX)
	MOVQ R12, 96(AX)
	MOVQ R13, 104(AX)
	MOVQ R14, 112(AX)
	MOVQ R15, 120(AX)
	FXSAVE64 FX(AX)
	CMPQ HAVEAVX(AX), $0
	JEQ noavx
	VMOVDQU Y0, (YMM+0)(AX)
	VMOVDQU Y1, (YMM+32)(AX)
	VMOVDQU Y2, (YMM+64)(AX)
	VMOVDQU Y3, (YMM+96)(AX)
	VMOVDQU Y4, (YMM+128)(AX)
	VMOVDQU Y5, (YMM+160)(AX)
	VMOVDQU Y6, (YMM+192)(AX)
	VMOVDQU Y7, (YMM+224)(AX)
	VMOVDQU Y8, (YMM+256)(AX)
	VMOVDQU Y9, (YMM+288)(AX)
	VMOVDQU Y10, (YMM+320)(AX)
	VMOVDQU Y11, (YMM+352)(AX)
	VMOVDQU Y12, (YMM+384)(AX)
	VMOVDQU Y13, (YMM+416)(AX)
	VMOVDQU Y14, (YMM+448)(AX)
	VMOVDQU Y15, (YMM+480)(AX)
	VZEROUPPER
noavx:
	BYTE $0xdb; BYTE $0xe3 // fninit
	FLDCW HOSTFCW(AX)
	LDMXCSR HOSTCSR(AX)
	XORPS X15, X15
	MOVQ HOSTBP(AX), BP
	MOVQ HOSTG(AX), R14
	RET

// onFault is the signal handler (rdi number, rsi siginfo, rdx ucontext). The
// kernel restores every register from the ucontext afterwards.
TEXT ·onFault(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 168(DX), AX // uc_mcontext.gregs[REG_RIP]
	CMPQ AX, ·codeLo(SB)
	JCS chain
	CMPQ AX, ·codeHi(SB)
	JCC chain
	MOVQ ·areaPtr(SB), CX
	MOVQ AX, FAULTIP(CX)
	MOVQ 192(DX), BX // REG_ERR
	MOVQ BX, ERRCODE(CX)
	MOVQ 200(DX), BX // REG_TRAPNO
	MOVQ BX, VECTOR(CX)
	MOVQ 216(DX), BX // REG_CR2
	MOVQ BX, FADDR(CX)
	ANDQ $~0x100, 176(DX) // REG_EFL: no single step into exit
	LEAQ ·exit(SB), BX
	MOVQ BX, 168(DX)
	RET
chain:
	MOVL DI, AX
	LEAQ ·oldHandlers(SB), CX
	MOVQ (CX)(AX*8), AX
	JMP AX

// func addrs() (exit, handler uintptr)
TEXT ·addrs(SB), NOSPLIT, $0-16
	LEAQ ·exit(SB), AX
	MOVQ AX, exit+0(FP)
	LEAQ ·onFault(SB), AX
	MOVQ AX, handler+8(FP)
	RET

// func serialize()
TEXT ·serialize(SB), NOSPLIT, $0-0
	XORL AX, AX
	XORL CX, CX
	CPUID
	RET
