; Features that the CPU does not have: not in CPUID, #UD or #GP when used.
; cpu: max,-avx,-fsgsbase,-rdtscp,-smap,-smep,-rdrand,-rdseed,-popcnt,-movbe,-bmi1,-bmi2,-adx,-invpcid,-pcid,-umip,-abm,-aes,-pclmulqdq,-rdpid,-sha-ni
; qemu-differs: other names and other gaps

%include "lib64.inc"

%macro LEAF 2
	mov eax, %1
	mov ecx, %2
	cpuid
%endmacro

test:
	LEAF 1, 0
	test ecx, 1 << 28 | 1 << 30 | 1 << 23 | 1 << 22 | 1 << 17 | 1 << 25 | 1 << 1 | 1 << 29 | 1 << 12
	ASSERT z
	LEAF 7, 0
	test ebx, 1 << 0 | 1 << 3 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 29
	ASSERT z
	test ecx, 1 << 2 | 1 << 22
	ASSERT z
	LEAF 0x80000001, 0
	test edx, 1 << 27
	ASSERT z
	LEAF 0xd, 0
	ASSERT_EQ eax, 3
	ASSERT_EQ ecx, 576
	mov rax, cr4
%macro NOCR4 1
	mov rbx, rax
	bts rbx, %1
	FAULTS 13, 0, mov cr4, rbx
%endmacro
	NOCR4 11
	NOCR4 16
	NOCR4 17
	NOCR4 20
	NOCR4 21
	or eax, 0x600
	bts rax, 18
	mov cr4, rax
	xor ecx, ecx
	xor edx, edx
	mov eax, 7
	FAULTS 13, 0, xsetbv
	FAULTS 6, 0, vpxor xmm0, xmm0, xmm0
	FAULTS 6, 0, rdfsbase rax
	FAULTS 6, 0, rdtscp
	FAULTS 6, 0, clac
	FAULTS 6, 0, stac
	FAULTS 6, 0, rdrand eax
	FAULTS 6, 0, rdseed eax
	FAULTS 6, 0, popcnt eax, eax
	FAULTS 6, 0, andn eax, eax, eax
	FAULTS 6, 0, shlx eax, eax, eax
	FAULTS 6, 0, adcx eax, eax
	FAULTS 6, 0, rdpid rax
	FAULTS 6, 0, aesenc xmm0, xmm0
	FAULTS 6, 0, pclmulqdq xmm0, xmm0, 0
	FAULTS 6, 0, sha1msg1 xmm0, xmm0
	lea rbx, [scratch]
	FAULTS 6, 0, movbe eax, [rbx]
	FAULTS 6, 0, invpcid rax, [rbx]
	; without these bits the encodings are older instructions
	mov eax, 0x100
	xor ecx, ecx
	db 0xf3
	bsf ecx, eax				; TZCNT
	ASSERT_EQ ecx, 8
	db 0xf3
	bsr ecx, eax				; LZCNT
	ASSERT_EQ ecx, 8
	mov ecx, 0xc0000103
	FAULTS 13, 0, rdmsr
	ret

	align 16
scratch: dq 0, 0
