; The x87 unit and MMX: pending exceptions, CR0.TS and two contexts that take turns,
; state that FXSAVE, FNSAVE and FNSTENV see after hot code, MMX registers as the
; significands of x87 registers (SDM volume 1, chapters 8 and 9).
; qemu-differs: stack overflow and underflow (SDM volume 1, 8.5.1.1)

%include "lib64.inc"

test:
	mov rax, cr4
	or eax, 0x600
	mov cr4, rax
	mov rax, cr0
	and eax, ~4
	or eax, 0x22			; NE and MP
	mov cr0, rax
	clts
	fninit
	; a loop: the sum of 1 to 100, and of their roots' squares
	fldz
	fldz
	mov ecx, 100
.sum:	mov [num], ecx
	fild dword [num]
	fadd st1, st0
	fsqrt
	fmul st0, st0
	faddp st2, st0
	dec ecx
	jnz .sum
	fistp dword [num]
	ASSERT_EQ dword [num], 5050
	frndint
	fistp qword [num]
	ASSERT_EQ qword [num], 5050
	fnstsw ax
	and eax, 0x3800
	ASSERT_EQ eax, 0
	; control words: each way to round 2.5, and back
	fld dword [two_half]
	xor ebx, ebx
	xor esi, esi
.round:	mov eax, ebx
	shl eax, 10
	or eax, 0x37f
	mov [cw], ax
	fldcw [cw]
	fist word [num]
	fnstcw [cw2]
	cmp [cw2], ax
	ASSERT e
	imul esi, esi, 10
	movzx eax, word [num]
	add esi, eax
	inc ebx
	cmp ebx, 4
	jne .round
	ASSERT_EQ esi, 2232		; nearest even, down, up, to zero
	fldcw [cw_init]
	; comparisons, and moves by them
	fld1
	fcomi st0, st1			; 1 and 2.5
	ASSERT c
	ASSERT nz
	fcmovb st0, st1
	fcomip st0, st1
	ASSERT z
	ASSERT np
	fucomp st0
	fnstsw ax
	sahf
	ASSERT z
	fnstsw ax
	and eax, 0x3840
	ASSERT_EQ eax, 0
	; a stack that overflows and one that underflows, masked
	mov ecx, 9
.push:	fld1
	dec ecx
	jnz .push
	fnstsw ax
	and eax, 0x3a41			; TOP is 7; C1, SF, IE
	ASSERT_EQ eax, 0x3a41
	fninit
	fchs
	fnstsw ax
	and eax, 0x0241
	ASSERT_EQ eax, 0x41
	fxam
	fnstsw ax
	and eax, 0x4500
	ASSERT_EQ eax, 0x0100		; a NaN: the indefinite value

	; an exception that is not masked waits for the next waiting instruction
	mov ecx, 3
.mf:	fninit
	fldcw [cw_ze]
	mov dword [num], 0x1234
	mov dword [num + 4], 0x5678
	fld1
	fldz
	fdivp st1, st0
	fnstsw ax			; does not wait
	and eax, 0x80ff
	ASSERT_EQ eax, 0x8084
	FAULTS 16, 0, fwait
	FAULTS 16, 0, fld1
	FAULTS 16, 0, fstp qword [num]
	FAULTS 16, 0, paddb mm0, mm1
	FAULTS 16, 0, emms
	ASSERT_EQ dword [num], 0x1234
	ASSERT_EQ dword [num + 4], 0x5678
	fnstcw [cw2]			; nor do these
	fnclex
	fwait
	fnstsw ax
	and eax, 0xb8ff
	ASSERT_EQ eax, 0x3000		; neither was popped
	dec ecx
	jnz .mf
	; one that a new control word makes pending
	fninit
	fld1
	fldz
	fdivp st1, st0
	fwait
	fldcw [cw_ze]
	FAULTS 16, 0, fnop
	fnclex
	fninit
	; in user mode too
	USER_BEGIN
	fldcw [cw_ze]
	fld1
	fldz
	fdivp st1, st0
	FAULTS 16, 0, fldz
	fninit
	USER_END

	; two contexts, which change places when one finds CR0.TS set
	fninit
	fldz
	fxsave [ctx_b]			; the second: counts by 2
	fld1
	fstp st0
	fld1				; the first: counts by 1
	xor ebx, ebx
.switch:
	fld1
	faddp st1, st0
	fld1
	faddp st1, st0
	mov rax, cr0
	or eax, 8
	mov cr0, rax
	FAULTS 7, 0, fld1
	FAULTS 7, 0, movd mm0, eax
	FAULTS 7, 0, fwait
	FAULTS 7, 0, fnstsw ax
	clts
	test ebx, 1
	jnz .other
	fxsave [ctx_a]
	fxrstor [ctx_b]
	jmp .swapped
.other:	fxsave [ctx_b]
	fxrstor [ctx_a]
.swapped:
	inc ebx
	cmp ebx, 20
	jne .switch
	fistp qword [num]		; the first: 1 + 10 turns of 2
	ASSERT_EQ qword [num], 21
	fxrstor [ctx_b]
	fistp qword [num]
	ASSERT_EQ qword [num], 20

	; MMX registers are significands, and make the unit look full
	fninit
	fld1
	fldpi				; in register 6
	movq rax, mm6
	mov rdx, 0xc90fdaa22168c235
	ASSERT_EQ rax, rdx
	mov rcx, 0x0001000200030004
	movq mm3, rcx
	mov edx, 5
.mmx:	paddw mm3, mm3
	dec edx
	jnz .mmx
	movq [num], mm3
	mov rcx, 0x0020004000600080
	ASSERT_EQ [num], rcx
	fxsave [ctx_a]
	ASSERT_EQ byte [ctx_a + 4], 0xff
	mov ax, [ctx_a + 2]
	and eax, 0x3800
	ASSERT_EQ eax, 0
	ASSERT_EQ [ctx_a + 32 + 3 * 16], rcx
	ASSERT_EQ word [ctx_a + 32 + 3 * 16 + 8], 0xffff
	pxor mm3, mm3
	fxrstor [ctx_a]
	movq rax, mm3
	ASSERT_EQ rax, rcx
	emms
	fxsave [ctx_a]
	ASSERT_EQ byte [ctx_a + 4], 0
	cvtpi2ps xmm1, mm3
	emms

	; the environment and the whole state
	fninit
	fldz
	fld1
	fldl2e
	ffree st2
	fnstenv [env]
	ASSERT_EQ word [env], 0x37f
	mov ax, [env + 4]
	and eax, 0x3800
	ASSERT_EQ eax, 0x2800
	ASSERT_EQ word [env + 8], 0xc3ff	; register 7 is empty, 5 and 6 valid
	fnstcw [cw2]
	ASSERT_EQ word [cw2], 0x37f
	fnsave [env]
	ASSERT_EQ word [env + 28 + 18], 0x3fff	; 1 is ST1
	fnstsw ax
	ASSERT_EQ ax, 0
	frstor [env]
	fstp st0
	fistp dword [num]
	ASSERT_EQ dword [num], 1
	; the instruction pointer, as position-independent code asks for it
	fninit
.fip:	fldpi
	fnstenv [env]
	lea rax, [.fip]
	ASSERT_EQ [env + 12], eax
	fninit
	ret

	align 16
ctx_a:	times 512 db 0
ctx_b:	times 512 db 0
env:	times 128 db 0
num:	dq 0
two_half: dd 2.5
cw_init: dw 0x37f
cw_ze:	dw 0x37b
cw:	dw 0
cw2:	dw 0
