; Bit strings in memory: offsets that are negative, large and in other pages, of
; all sizes, with and without LOCK, off FS; faults at the word that holds the bit.

%include "lib64.inc"

A	equ TVA + 0x1000

test:	mov ecx, 4
	mov rax, TPA + 3
	xor edx, edx
.map:	mov [PT0 + rdx * 8], rax
	add eax, 0x1000
	inc edx
	dec ecx
	jnz .map
	mov qword [PT0 + 4 * 8], 0
	mov rax, cr3
	mov cr3, rax
	mov edi, TVA
	mov ecx, 0x4000 / 8
	xor eax, eax
	rep stosq
	mov ebx, A + 0x800

%macro BITS 3	; suffix of the operand, register with the offset, lock or nothing
	mov r15, -0x4001		; before the page
	mov %2, r15
	%3 bts %1 [rbx], %2
	ASSERT nc
	bt %1 [rbx], %2
	ASSERT c
	ASSERT_EQ byte [A + 0x800 - 0x801], 0x80
	%3 bts %1 [rbx], %2
	ASSERT c
	%3 btc %1 [rbx], %2
	ASSERT c
	ASSERT_EQ byte [A + 0x800 - 0x801], 0
	%3 btc %1 [rbx], %2
	ASSERT nc
	%3 btr %1 [rbx], %2
	ASSERT c
	bt %1 [rbx], %2
	ASSERT nc
	mov %2, 0x4007			; behind it
	%3 bts %1 [rbx], %2
	ASSERT_EQ byte [A + 0x1000], 0x80
	%3 btr %1 [rbx], %2
	ASSERT c
	ASSERT_EQ byte [A + 0x1000], 0
	xor %2, %2
	%3 bts %1 [rbx + %2 * 2], %2
	ASSERT_EQ byte [rbx], 1
	btr %1 [rbx], %2
	ASSERT_EQ byte [rbx], 0
	; ZF is left alone
	mov %2, 77
	cmp %2, %2
	%3 bts %1 [rbx], %2
	ASSERT e
	ASSERT_EQ byte [rbx + 9], 0x20
	test ebx, ebx
	%3 btr %1 [rbx], %2
	ASSERT ne
	ASSERT_EQ byte [rbx + 9], 0
%endmacro
	BITS qword, rdx, lock
	BITS qword, rdx, {}
	BITS qword, r10, lock
	BITS qword, r11, {}
	BITS qword, rcx, lock
	BITS qword, rcx, {}
; offsets of 32 bits in 64-bit registers
%macro BITS32 4
	mov %3, %4
	%2 bts dword [rbx], %1
	ASSERT nc
	ASSERT_EQ byte [A + 0x800 - 0x801], 0x80
	%2 btr dword [rbx], %1
	ASSERT c
	ASSERT_EQ byte [A + 0x800 - 0x801], 0
	mov %3, 0x700000000 + 33
	%2 btc dword [rbx], %1
	ASSERT_EQ byte [rbx + 4], 2
	%2 btc dword [rbx], %1
	ASSERT c
	ASSERT_EQ dword [rbx + 4], 0
%endmacro
	BITS32 edx, lock, rdx, 0x2ffffbfff
	BITS32 edx, {}, rdx, 0x2ffffbfff
	BITS32 r9d, lock, r9, 0x2ffffbfff
	BITS32 r15d, {}, r15, 0x2ffffbfff
	; of 16 bits
	mov edx, 0x7bfff
	lock bts word [rbx], dx
	ASSERT nc
	ASSERT_EQ byte [A + 0x800 - 0x801], 0x80
	bt word [rbx], dx
	ASSERT c
	btr word [rbx], dx
	ASSERT c
	ASSERT_EQ byte [A + 0x800 - 0x801], 0
	; another address size
	mov rcx, 0x500000000 + A
	mov edx, 65
	bts qword [ecx], rdx
	ASSERT_EQ byte [A + 8], 2
	btr qword [ecx], rdx
	ASSERT_EQ byte [A + 8], 0
	; off FS
	mov ecx, 0xc0000100
	mov eax, A
	xor edx, edx
	wrmsr
	mov edx, 130
	lock bts qword [fs:0x10], rdx
	ASSERT_EQ byte [A + 0x20], 4
	btr qword [fs:0x10], rdx
	ASSERT c
	ASSERT_EQ byte [A + 0x20], 0
	; words across pages, and beyond the last
	mov ebx, A + 0x2ffc
	mov edx, 40
	bts dword [rbx - 0x1000], edx
	ASSERT_EQ byte [A + 0x2001], 1
	mov edx, 33
	bts qword [rbx - 0x1000], rdx
	ASSERT_EQ byte [A + 0x2000], 2
	lock btr qword [rbx - 0x1000], rdx
	ASSERT c
	mov edx, 0
	QEMU_DIFFERS			; it reads as if it were not to write
	FAULTS 14, 2, bts qword [rbx], rdx
	ASSERT_CR2 TVA + 0x4000
	QEMU_END
	FAULTS 14, 0, bt qword [rbx], rdx
	mov rdx, 64
	QEMU_DIFFERS
	FAULTS 14, 2, lock btc qword [rbx], rdx
	ASSERT_CR2 TVA + 0x4004
	QEMU_END
	mov rdx, -64
	bts qword [rbx], rdx
	ASSERT_EQ byte [rbx - 8], 1
	mov rdx, 0x7fffffffffffffff
	FAULTS 13, 0, bts qword [rbx], rdx
	ret
