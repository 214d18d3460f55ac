; String instructions in bulk: counts that end with a page, one more and one
; less, all sizes and alignments, flags that stay, physical overlap, device memory.

%define ITER 2
%include "lib64.inc"

A	equ TVA
B	equ TVA + 0x8000
LOW	equ 0x500000		; identity mapped, and again at UBASE

test:	cld
	mov ecx, 16
	mov rax, TPA + 3
	xor edx, edx
.map:	mov [PT0 + rdx * 8], rax
	add eax, 0x1000
	inc edx
	dec ecx
	jnz .map
	mov rax, cr3
	mov cr3, rax

	mov r13d, 1
.size:	xor r14d, r14d		; offset
.off:	lea r12, [counts]
.count:	mov r15, [r12]
	mov rax, r15
	imul rax, r13
	cmp rax, 0x4001
	ja .next
	call fill
	call copy
	call compare
.next:	add r12, 8
	lea rax, [counts_end]
	cmp r12, rax
	jb .count
	inc r14d
	cmp r14d, 3
	jb .off
	add r13d, r13d
	cmp r13d, 8
	jbe .size
	call flags
	call overlap
	call conflict
	call device
	ret

; DO suffix: an instruction by the size in R13
%macro DO 2	; name, prefix
	cmp r13d, 2
	jb %%b
	je %%w
	cmp r13d, 4
	je %%d
	stc
	%2 %1q
	jmp %%end
%%b:	stc
	%2 %1b
	jmp %%end
%%w:	stc
	%2 %1w
	jmp %%end
%%d:	stc
	%2 %1d
%%end:
%endmacro

; address of the buffers: R14 before the end of the third page, less a page for
; counts that are large
fill:	mov r8d, A + 0x3000
	sub r8, r14
	mov r9d, B + 0x2000
	add r9, r14
	; guards
	mov r10, r15
	imul r10, r13
	mov byte [r8 - 1], 0xa1
	mov byte [r8 + r10], 0xa2
	mov rdi, r8
	mov rcx, r15
	mov rax, 0x0807060504030201
	DO stos, rep
	ASSERT c
	ASSERT_EQ rcx, 0
	lea rbx, [r8 + r10]
	ASSERT_EQ rdi, rbx
	ASSERT_EQ byte [r8 - 1], 0xa1
	ASSERT_EQ byte [r8 + r10], 0xa2
	; what is in it
	xor ecx, ecx
	lea r11d, [r13 - 1]
.check:	cmp rcx, r10
	jae .done
	mov eax, ecx
	and eax, r11d
	inc eax
	cmp [r8 + rcx], al
	ASSERT e
	add ecx, 13
	jmp .check
.done:	ret

copy:	xor ecx, ecx
.vary:	mov [r8 + rcx], cl	; something less regular
	add ecx, 13
	cmp rcx, r10
	jb .vary
	mov byte [r8 + r10], 0xa2
	mov byte [r9 - 1], 0xb1
	mov byte [r9 + r10], 0xb2
	mov rsi, r8
	mov rdi, r9
	mov rcx, r15
	DO movs, rep
	ASSERT c
	ASSERT_EQ rcx, 0
	lea rbx, [r8 + r10]
	ASSERT_EQ rsi, rbx
	lea rbx, [r9 + r10]
	ASSERT_EQ rdi, rbx
	ASSERT_EQ byte [r9 - 1], 0xb1
	ASSERT_EQ byte [r9 + r10], 0xb2
	xor ecx, ecx
.check:	cmp rcx, r10
	jae .done
	mov al, [r8 + rcx]
	cmp [r9 + rcx], al
	ASSERT e
	add ecx, 13
	jmp .check
.done:	ret

compare:
	test r15, r15
	jz .none
	mov rsi, r8
	mov rdi, r9
	mov rcx, r15
	DO cmps, repe
	ASSERT e
	ASSERT ae
	ASSERT_EQ rcx, 0
	; the last one differs
	not byte [r9 + r10 - 1]
	mov rsi, r8
	mov rdi, r9
	mov rcx, r15
	DO cmps, repe
	ASSERT ne
	ASSERT_EQ rcx, 0
	lea rbx, [r9 + r10]
	ASSERT_EQ rdi, rbx
	; so does the middle
	not byte [r9 + r10 - 1]
	mov rax, r15
	shr rax, 1
	imul rax, r13
	lea rbx, [rax + r13]
	not byte [r8 + rax]
	mov rsi, r8
	mov rdi, r9
	mov rcx, r15
	DO cmps, repe
	ASSERT ne
	lea rbp, [r8 + rbx]
	ASSERT_EQ rsi, rbp
	lea rbp, [r9 + rbx]
	ASSERT_EQ rdi, rbp
	; search for what is nowhere, and at the end
	mov rdi, r8
	mov rcx, r15
	mov al, 0
	DO stos, rep
	lea rax, [r8 + r10]
	sub rax, r13
	mov byte [rax], 0xee
	mov rdi, r8
	mov rcx, r15
	mov rax, 0xdddddddddddddddd
	DO scas, repne
	ASSERT ne
	ASSERT_EQ rcx, 0
	lea rbx, [r8 + r10]
	ASSERT_EQ rdi, rbx
	; RAX is the last element
	mov rdi, r8
	mov rax, [r8 + r10 - 8]
	mov ecx, 8
	sub ecx, r13d
	shl ecx, 3
	shr rax, cl
	mov rcx, r15
	DO scas, repne
	ASSERT e
	lea rbx, [r8 + r10]
	ASSERT_EQ rdi, rbx
.none:	ret

flags:	xor ecx, ecx
	mov esi, A
	mov edi, B
	mov byte [A], 1
	mov byte [B], 2
	stc
	rep movsb
	ASSERT c
	stc
	rep stosq
	ASSERT c
	xor eax, eax
	repne scasb
	ASSERT e
	repe cmpsd
	ASSERT e
	ASSERT_EQ esi, A
	ASSERT_EQ edi, B
	; one element without a prefix
	mov al, 0x7f
	stc
	movsb
	ASSERT c
	ASSERT_EQ byte [B], 1
	stosb
	ASSERT_EQ byte [B + 1], 0x7f
	ASSERT_EQ esi, A + 1
	ASSERT_EQ edi, B + 2
	lodsb
	ASSERT_EQ esi, A + 2
	ASSERT_EQ al, [A + 1]
	mov byte [A + 2], 5
	mov byte [B + 2], 6
	cmpsb
	ASSERT b
	mov al, 9
	scasb
	ASSERT_EQ edi, B + 4
	mov word [B + 4], 0x1234
	mov rax, -1
	mov ax, 0x1234
	scasw
	ASSERT e
	mov esi, B + 4
	mov dword [B + 4], 0x80000000
	mov rax, -1
	lodsd
	mov ebx, 0x80000000
	ASSERT_EQ rax, rbx
	mov rax, -1
	mov word [B + 8], 0x55aa
	lodsw
	mov rbx, 0xffffffffffff55aa
	ASSERT_EQ rax, rbx
	; a single element across pages
	mov rax, 0x1122334455667788
	mov edi, A + 0xffd
	stosq
	mov esi, A + 0xffd
	mov edi, B + 0x1ffb
	movsq
	ASSERT_EQ [B + 0x1ffb], rax
	mov esi, A + 0xffd
	mov edi, B + 0x1ffb
	cmpsq
	ASSERT e
	ret

; the same physical pages at two linear addresses
overlap:
	mov edi, LOW
	mov ecx, 0x800
	xor eax, eax
	rep stosb
	mov word [LOW], 0x2211
	mov esi, LOW
	mov edi, LOW + UBASE + 2
	mov ecx, 0x100
	rep movsb
	ASSERT_EQ dword [LOW + 0xfe], 0x22112211
	ASSERT_EQ byte [LOW + 0x102], 0
	mov edi, LOW + 0x400
	mov ecx, 0x40
	mov eax, 0x04030201
	rep stosd
	mov esi, LOW + UBASE + 0x404
	mov edi, LOW + 0x400
	mov ecx, 0x3f
	rep movsd
	ASSERT_EQ dword [LOW + 0x400 + 0xf8], eax
	ret

; both sides in the same entry of a TLB with 2^16 of them
conflict:
	mov r8d, 20
	mov rax, cr3
	mov cr3, rax
.more:	mov esi, LOW
	mov edi, LOW + UBASE
	mov ecx, 0x900
	repe cmpsb
	ASSERT e
	ASSERT_EQ ecx, 0
	mov esi, LOW
	mov edi, LOW + UBASE
	cmpsq
	ASSERT e
	dec r8d
	jnz .more
	ret

; the local APIC's task priority
device:	mov edi, 0xfee00080
	mov eax, 0x30
	mov ecx, 1
	rep stosd
	mov edi, 0xfee00080
	mov ecx, 1
	repe scasd
	ASSERT e
	mov esi, 0xfee00080
	lodsd
	ASSERT_EQ eax, 0x30
	mov dword [B], 0
	mov edi, 0xfee00080
	mov esi, B
	mov ecx, 1
	rep movsd
	mov esi, 0xfee00080
	movsd
	mov eax, [rdi - 4]
	ASSERT_EQ eax, 0
	ret

	align 8
counts:	dq 1, 2, 3, 8, 0x1ff, 0x200, 0x201, 0x400, 0x7ff, 0x800, 0x1000, 0x1001
counts_end:
