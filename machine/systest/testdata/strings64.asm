; String instructions: direction, overlap, faults and interrupts in the middle,
; address sizes, page crossings.

%define ITER 20
%include "lib64.inc"

LEN	equ 0x3000

test:
	mov ecx, 8
	mov rax, TPA + 3
	xor edx, edx
.map:	mov [PT0 + rdx * 8], rax
	add eax, 0x1000
	inc edx
	dec ecx
	jnz .map
	mov rax, cr3
	mov cr3, rax
	cld

	; a pattern, a copy, a comparison over pages
	mov r8d, TVA
	lea rdi, [r8 + 3]
	mov eax, 0x04030201
	mov ecx, 0x2000 / 4
	rep stosd
	lea rax, [r8 + 0x2003]
	ASSERT_EQ rdi, rax
	ASSERT_EQ ecx, 0
	lea rsi, [r8 + 3]
	lea rdi, [r8 + 0x4005]
	mov ecx, 0x2000
	rep movsb
	lea rsi, [r8 + 3]
	lea rdi, [r8 + 0x4005]
	mov ecx, 0x2000
	repe cmpsb
	ASSERT e
	ASSERT_EQ ecx, 0
	mov byte [r8 + 0x5010], 0x77
	lea rsi, [r8 + 3]
	lea rdi, [r8 + 0x4005]
	mov ecx, 0x2000
	repe cmpsb
	ASSERT ne
	lea rax, [r8 + 0x5011]
	ASSERT_EQ rdi, rax
	ASSERT_EQ ecx, 0x2000 - (0x5011 - 0x4005)
	lea rdi, [r8 + 0x4005]
	mov ecx, 0x2000
	mov al, 0x77
	repne scasb
	ASSERT e
	lea rax, [r8 + 0x5011]
	ASSERT_EQ rdi, rax
	; flags of a count of zero stay
	xor ecx, ecx
	stc
	repe cmpsb
	ASSERT c
	repne scasb
	ASSERT c

	; overlap: one byte ahead repeats, behind copies
%macro OVERLAP 3	; distance, instruction suffix, size
	lea rdi, [r8 + 0xff0]
	mov ecx, 0x40
	xor eax, eax
	rep stosb
	mov dword [r8 + 0xff0], 0x44332211
	mov dword [r8 + 0xff4], 0x88776655
	lea rsi, [r8 + 0xff0]
	lea rdi, [r8 + 0xff0 + %1]
	mov ecx, 0x20 / %3
	rep movs%2
%endmacro
	OVERLAP 1, b, 1
	mov rax, 0x1111111111111111
	ASSERT_EQ [r8 + 0xff8], rax
	ASSERT_EQ [r8 + 0x1008], rax
	OVERLAP 2, b, 1
	mov rax, 0x2211221122112211
	ASSERT_EQ [r8 + 0xff8], rax
	ASSERT_EQ [r8 + 0x1008], rax
	OVERLAP 4, q, 8
	mov rax, 0x4433221144332211
	ASSERT_EQ [r8 + 0xff0], rax
	mov rax, 0x8877665588776655
	mov eax, [r8 + 0xff8]
	ASSERT_EQ eax, 0x88776655
	OVERLAP 3, d, 4
	ASSERT_EQ dword [r8 + 0xff3], 0x44332211
	ASSERT_EQ byte [r8 + 0xff6], 0x44
	OVERLAP 8, q, 8
	mov rax, 0x8877665544332211
	ASSERT_EQ [r8 + 0x1000], rax
	ASSERT_EQ [r8 + 0x1010], rax
	; downwards
	lea rdi, [r8 + 0xff0]
	mov ecx, 0x20
.fill:	mov [rdi], cl
	inc rdi
	dec ecx
	jnz .fill
	std
	lea rsi, [r8 + 0x100f]
	lea rdi, [r8 + 0x1010]
	mov ecx, 0x20
	rep movsb
	cld
	lea rax, [r8 + 0xfef]
	ASSERT_EQ rsi, rax
	ASSERT_EQ byte [r8 + 0x1010], 1
	ASSERT_EQ byte [r8 + 0xff1], 0x20
	ASSERT_EQ byte [r8 + 0x1001], 0x10
	std
	lea rdi, [r8 + 0x1001]
	mov ecx, 5
	mov rax, 0x1122334455667788
	rep stosq
	lea rcx, [r8 + 0x1001 - 40]
	ASSERT_EQ rdi, rcx
	ASSERT_EQ [r8 + 0xff9], rax
	ASSERT_EQ [r8 + 0x1001], rax
	lea rsi, [r8 + 0x1001]
	lodsq
	ASSERT_EQ rax, [r8 + 0x1001]
	lea rcx, [r8 + 0x1001 - 8]
	ASSERT_EQ rsi, rcx
	cld

	; a fault in the middle: registers are of the element that faults
	mov qword [PT0 + 2 * 8], 0
	invlpg [r8 + 0x2000]
	lea rdi, [r8 + 0x1ff0]
	mov ecx, 0x20
	mov al, 0x5a
	FAULTS 14, 2, rep stosb
	ASSERT_CR2 TVA + 0x2000
	ASSERT_EQ ecx, 0x10
	lea rbx, [r8 + 0x2000]
	ASSERT_EQ rdi, rbx
	ASSERT_EQ byte [r8 + 0x1fff], 0x5a
	; it goes on once the page is there
	mov qword [PT0 + 2 * 8], TPA + 0x2003
	rep stosb
	ASSERT_EQ ecx, 0
	ASSERT_EQ byte [r8 + 0x200f], 0x5a
	; an element that crosses
	mov qword [PT0 + 2 * 8], 0
	invlpg [r8 + 0x2000]
	lea rdi, [r8 + 0x1ff4]
	mov ecx, 4
	FAULTS 14, 2, rep stosq
	ASSERT_EQ ecx, 3
	lea rbx, [r8 + 0x1ffc]
	ASSERT_EQ rdi, rbx
	lea rsi, [r8 + 0x1ff0]
	lea rdi, [r8 + 0x3000]
	mov ecx, 5
	FAULTS 14, 0, rep movsq
	ASSERT_EQ ecx, 3
	lea rbx, [r8 + 0x2000]
	ASSERT_EQ rsi, rbx
	lea rbx, [r8 + 0x3010]
	ASSERT_EQ rdi, rbx
	; the destination faults after the source was read: nothing moves
	lea rsi, [r8 + 0x3000]
	lea rdi, [r8 + 0x1ff8]
	mov ecx, 5
	FAULTS 14, 2, rep movsq
	ASSERT_EQ ecx, 4
	lea rbx, [r8 + 0x3008]
	ASSERT_EQ rsi, rbx
	lea rsi, [r8 + 0x1ff8]
	lea rdi, [r8 + 0x1ff8]
	mov ecx, 3
	FAULTS 14, 0, repe cmpsq
	ASSERT_EQ ecx, 2
	lea rdi, [r8 + 0x1fff]
	mov ecx, 3
	mov al, [rdi]
	FAULTS 14, 0, repe scasb
	ASSERT_EQ ecx, 2
	lea rsi, [r8 + 0x1ffe]
	mov ecx, 3
	FAULTS 14, 0, rep lodsb
	ASSERT_EQ ecx, 1
	; downwards into the page
	std
	lea rdi, [r8 + 0x3002]
	mov ecx, 8
	FAULTS 14, 2, rep stosb
	ASSERT_EQ ecx, 5
	ASSERT_CR2 TVA + 0x2fff
	cld
	; I/O: a page that is not there faults before the port is touched
	lea rdi, [r8 + 0x1fff]
	mov edx, 0x80
	mov ecx, 3
	FAULTS 14, 2, rep insb
	ASSERT_EQ ecx, 2
	mov qword [PT0 + 2 * 8], TPA + 0x2003

	; addresses of 32 bits wrap, and clear the upper halves
	mov rdi, 0x1200000000 + TVA + 0x10
	mov rcx, 0x3400000002
	mov al, 0xc5
	a32 rep stosb
	lea rbx, [r8 + 0x12]
	ASSERT_EQ rdi, rbx
	ASSERT_EQ rcx, 0
	ASSERT_EQ byte [r8 + 0x11], 0xc5
	; REP with a huge count stops at the fault
	mov rcx, 0x4000000000
	lea rdi, [r8 + 0x7ff0]
	mov qword [PT0 + 8 * 8], 0
	invlpg [r8 + 0x8000]
	FAULTS 14, 2, rep stosb
	mov rbx, 0x4000000000 - 0x10
	ASSERT_EQ rcx, rbx
	; an interrupt in the middle goes on at the instruction
	call interrupted
	ret

interrupted:
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	mov r14d, 0xfee00000
	mov dword [r14 + 0xf0], 0x1ff
	mov dword [r14 + 0x80], 0
	mov dword [r14 + 0x3e0], 0xb
	mov dword [r14 + 0x320], 0x20040
	mov rbx, [idt + 0x40 * 16]
	mov eax, .tick
	mov [idt + 0x40 * 16], ax
	shr eax, 16
	mov [idt + 0x40 * 16 + 6], ax
	mov dword [ticks], 0
	mov dword [r14 + 0x380], 30000
	mov r12d, 200
	sti
.more:	lea rdi, [r8]
	mov ecx, 0x8000
	mov eax, r12d
	rep stosb
	cmp [r8 + 0x7fff], al
	jne .bad
	lea rcx, [r8 + 0x8000]
	cmp rdi, rcx
	jne .bad
	lea rsi, [r8]
	lea rdi, [r8 + 1]
	mov ecx, 0x7fff
	std
	lea rsi, [r8 + 0x7ffe]
	lea rdi, [r8 + 0x7fff]
	rep movsb
	cld
	dec r12d
	jnz .more
	cli
	mov dword [r14 + 0x320], 0x10040
	mov dword [r14 + 0x380], 0
	sti
	nop
	nop
	cli
	mov [idt + 0x40 * 16], rbx
	ret
.bad:	FAIL
.tick:	inc dword [ticks]
	mov dword [r14 + 0xb0], 0
	iretq

	align 4
ticks:	dd 0
