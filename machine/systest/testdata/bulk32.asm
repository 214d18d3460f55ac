; String instructions in bulk and bit strings in 32-bit code.

%define ITER 20
%include "lib32.inc"

A	equ 0x400000
B	equ 0x500000

test:	cld
	mov ebp, counts
.count:	mov edi, A + 0xffd
	mov ecx, [ebp]
	mov eax, 0x04030201
	stc
	rep stosd
	ASSERT c
	ASSERT_EQ ecx, 0
	mov ebx, [ebp]
	lea ebx, [ebx * 4 + A + 0xffd]
	ASSERT_EQ edi, ebx
	mov byte [ebx], 0x77
	ASSERT_EQ dword [A + 0xffd], eax
	ASSERT_EQ dword [ebx - 4], eax
	mov byte [ebx - 1], 0x66	; the last byte
	mov esi, A + 0xffd
	mov edi, B + 0x7fe
	mov ecx, [ebp]
	shl ecx, 2
	stc
	rep movsb
	ASSERT c
	ASSERT_EQ ecx, 0
	ASSERT_EQ esi, ebx
	ASSERT_EQ byte [edi - 1], 0x66
	ASSERT_EQ byte [edi - 2], 3
	mov esi, A + 0xffd
	mov edi, B + 0x7fe
	mov ecx, [ebp]
	repe cmpsd
	ASSERT e
	ASSERT_EQ ecx, 0
	ASSERT_EQ esi, ebx
	mov edi, A + 0xffd
	mov ecx, -1
	mov al, 0x66
	repne scasb
	ASSERT e
	ASSERT_EQ edi, ebx
	not ecx
	mov edx, [ebp]
	shl edx, 2
	ASSERT_EQ ecx, edx
	add ebp, 4
	cmp ebp, counts_end
	jb .count

	; single elements, other segments
	mov esi, A + 0xffe
	mov edi, B
	ss movsd
	ASSERT_EQ dword [B], 0x01040302
	cs lodsw
	ASSERT_EQ ax, 0x0302
	; a count of zero
	xor ecx, ecx
	stc
	rep movsd
	ASSERT c
	; flags by PUSHF and POPF
	push dword 0x8d7
	popfd
	pushfd
	pop eax
	ASSERT_EQ eax, 0x8d7
	push dword 2
	popfd
	pushfd
	pop eax
	ASSERT_EQ eax, 2
	; bits
	mov ebx, B + 0x800
	mov edx, -0x4001
	and byte [B - 1], 0x7f
	lock bts [ebx], edx
	ASSERT nc
	bt [ebx], edx
	ASSERT c
	ASSERT_EQ byte [B - 1], 0x80
	btr [ebx], edx
	ASSERT c
	ASSERT_EQ byte [B - 1], 0
	mov edx, 0x7fffffff		; around the end of the address space
	mov ebx, B - 0x0ffffffc
	and byte [B + 3], 0x7f
	bts [ebx], edx
	ASSERT nc
	btc [ebx], edx
	ASSERT c
	; LOOP
	mov ecx, 5
	xor eax, eax
.loop:	inc eax
	loop .loop
	ASSERT_EQ eax, 5
	jecxz .done
	FAIL
.done:	ret

	align 4
counts:	dd 1, 2, 3, 0x100, 0x3ff, 0x400, 0x401, 0x1000, 0x8000
counts_end:

	section low
low_size equ $ - low_start
