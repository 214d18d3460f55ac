; Jumps by RCX: LOOP, LOOPE, LOOPNE, JRCXZ, JECXZ.

%include "lib64.inc"

; NOT jump: it is not taken.
%macro NOT 1
	%1 %%bad
	jmp %%ok
%%bad:	jmp fail
%%ok:
%endmacro

test:	mov ecx, 50
	xor eax, eax
	stc
.a:	lea eax, [eax + 1]
	loop .a
	ASSERT c			; the flags stay
	ASSERT_EQ eax, 50
	ASSERT_EQ rcx, 0
	; forward, and not taken at 1
	mov ecx, 2
	loop .b
	FAIL
.b:	NOT loop
	ASSERT_EQ rcx, 0
	; from 0 it goes around
	loop .c
	FAIL
.c:	ASSERT_EQ rcx, -1
	; 32 bits of it
	mov rcx, 0x500000001
	NOT a32 loop
	ASSERT_EQ rcx, 0
	mov rcx, 0x500000003
	a32 loop .d
	FAIL
.d:	ASSERT_EQ rcx, 2
	mov rcx, 0x500000000
	a32 loop .e
	FAIL
.e:	mov eax, -1
	ASSERT_EQ rcx, rax
	; with ZF
	mov ecx, 10
	xor eax, eax
.f:	inc eax
	cmp eax, 5
	loopne .f
	ASSERT e
	ASSERT_EQ ecx, 5
	ASSERT_EQ eax, 5
	mov ecx, 10
.g:	cmp eax, 5
	lea eax, [eax + 1]
	loope .g
	ASSERT ne
	ASSERT_EQ ecx, 8
	mov ecx, 3
	cmp ecx, ecx
.h:	loope .h
	ASSERT e
	ASSERT_EQ ecx, 0
	mov ecx, 3
	test ecx, ecx
.i:	loopne .i
	ASSERT ne
	ASSERT_EQ ecx, 0
	; JRCXZ and JECXZ
	stc
	jrcxz .j
	FAIL
.j:	ASSERT c
	mov rcx, 0x100000000
	NOT jrcxz
	jecxz .k
	FAIL
.k:	mov ecx, 1
	NOT jrcxz
	NOT jecxz
	mov ecx, 4
.l:	jrcxz .done
	dec ecx
	jmp .l
.done:	ASSERT_EQ rcx, 0
	ret
fail:	FAIL
