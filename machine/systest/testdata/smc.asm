; Code that changes code: itself, its neighbours, other pages, through other
; addresses, by string instructions and by a device.

%include "lib64.inc"

CODE	equ TPA			; where code is written to, at TVA as well

test:
	mov r15d, TVA
	mov qword [PT0], TPA + 3
	mov qword [PT0 + 8], TPA + 0x1003
	mov qword [PT0 + 16], TPA + 3		; the first page once more
	mov rax, cr3
	mov cr3, rax

	; the next instruction, in the same block
	mov byte [rel .next + 1], 1
	jmp short $ + 2
	mov ecx, 2
	mov byte [rel .next + 1], cl
.next:	mov al, 1
	ASSERT_EQ al, 2
	; the whole next instruction, longer than before
	mov dword [rel .grow], 0x90909090
	mov word [rel .grow], 0xc0fe		; inc al
.grow:	nop
	nop
	nop
	nop
	ASSERT_EQ al, 3
	; an earlier instruction of a loop: each turn finds what the last one wrote
	mov byte [rel .turn + 1], 1
	xor ebx, ebx
	mov ecx, 100
.turn:	mov al, 1
	movzx eax, al
	add ebx, eax
	mov al, cl
	mov [rel .turn + 1], al
	dec ecx
	jnz .turn
	ASSERT_EQ ebx, 1 + 100 * 101 / 2 - 1	; 1 + 100 + 99 ... + 2
	; a later instruction of a loop
	xor ebx, ebx
	mov ecx, 100
.later:	mov [rel .now + 2], cl
	mov eax, ecx
.now:	add ebx, byte 0
	dec ecx
	jnz .later
	ASSERT_EQ ebx, 100 * 101 / 2
	mov byte [rel .now + 2], 0
	; REP STOS and REP MOVS over code that follows
	lea rdi, [rel .fill]
	mov al, 0x90
	mov ecx, 8
	rep stosb
.fill:	times 8 db 0x90
	lea rdi, [rel .fill]
	lea rsi, [rel .incs]
	mov ecx, 8
	rep movsb
	xor eax, eax
	jmp .fill2
.incs:	inc eax
	inc eax
	inc eax
	inc eax
.fill2:	lea rdi, [rel .over]
	lea rsi, [rel .incs]
	mov ecx, 8
	rep movsb
.over:	times 8 db 0x90
	ASSERT_EQ eax, 4
	lea rdi, [rel .over]
	mov rax, 0x9090909090909090
	stosq

	; by another address: written at CODE, run at TVA, and at its third address
	mov dword [CODE + 0x100], 0xc301b0	; mov al, 1; ret
	lea rbx, [r15 + 0x100]
	lea rbp, [r15 + 0x2100]
	call rbx
	ASSERT_EQ al, 1
	call rbp
	ASSERT_EQ al, 1
	mov byte [CODE + 0x101], 2
	call rbx
	ASSERT_EQ al, 2
	call rbp
	ASSERT_EQ al, 2
	mov byte [rbp + 1], 3
	call rbx
	ASSERT_EQ al, 3
	mov byte [rbx + 1], 4
	call rbp
	ASSERT_EQ al, 4
	; with a locked instruction, and with one that crosses into the page
	lock inc byte [rbx + 1]
	call rbp
	ASSERT_EQ al, 5
	xchg [CODE + 0x101], cl
	mov byte [rel .six], 6
	mov cl, [rel .six]
	xchg [rbp + 1], cl
	call rbx
	ASSERT_EQ al, 6
	mov byte [CODE + 0x1000], 0xb0
	mov word [CODE + 0x1001], 0xc307
	lea rcx, [r15 + 0x1000]
	call rcx
	ASSERT_EQ al, 7
	mov dword [r15 + 0xffe], 0x08b09090
	call rcx
	ASSERT_EQ al, 8
	mov byte [CODE + 0x1001], 9
	call rcx
	ASSERT_EQ al, 9
	; the page table: another page at the same address
	mov dword [CODE + 0x2100], 0xc30ab0	; mov al, 10; ret
	mov qword [PT0], TPA + 0x2003
	invlpg [r15]
	call rbx
	ASSERT_EQ al, 10
	call rbp
	ASSERT_EQ al, 6
	mov qword [PT0], TPA + 3
	invlpg [r15]
	call rbx
	ASSERT_EQ al, 6

	; an instruction that crosses pages, changed on both sides
	mov dword [CODE + 0xffe], 0x3412b890	; nop; mov eax, ...
	mov dword [CODE + 0x1000], 0x78563412
	mov word [CODE + 0x1003], 0xc378
	lea rbx, [r15 + 0xffe]
	call rbx
	ASSERT_EQ eax, 0x78563412
	mov byte [CODE + 0x1000], 0x13
	call rbx
	ASSERT_EQ eax, 0x78563413
	mov byte [CODE + 0xfff], 0xb9		; mov ecx
	xor ecx, ecx
	call rbx
	ASSERT_EQ ecx, 0x78563413

	; by DMA of fw_cfg: the signature, "QEMU", over code
	mov dword [rel .sig], 0x90909090
	mov eax, 0x04000000
	lea rdi, [rel .dma]
	mov dword [rdi], 0x0a000000		; select item 0, read
	mov dword [rdi + 4], eax
	lea rax, [rel .sig]
	bswap rax
	mov [rdi + 8], rax
	mov r12, rsp
	call .sig
	ASSERT_EQ eax, 8
	mov rax, rdi
	bswap eax
	mov dx, 0x518
	out dx, eax
.wait:	test dword [rdi], 0x00ffffff
	jnz .wait
	ASSERT_EQ dword [rel .sig], 'QEMU'
	; 51 45 4D 55: push rcx; rex.RB, then rex.WRB push r13
	mov r12, rsp
	call .sig
	jmp .done
	align 16
.sig:	times 4 nop
	mov rax, r12
	sub rax, rsp
	lea rsp, [r12 - 8]		; without the return address of older pushes
	ret
	align 16
.dma:	dq 0, 0
.six:	db 6
.done:	ASSERT_EQ eax, 24		; return address and two pushes
	call shadow
	ret

; RAM behind the BIOS at 0xf0000: written first, then run, then closed for
; writing while it runs.
SHADOW	equ 0xf8000
; PAM %1: writes the attributes of 0xf0000-0xfffff in the host bridge.
%macro PAM 1
	mov eax, 0x80000058
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfd
	mov al, %1
	out dx, al
%endmacro
shadow:	mov eax, 0x80000058
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfd
	in al, dx
	mov r13b, al
	PAM 0x30
	mov rbx, [SHADOW]
	push rbx
	mov dword [SHADOW], 0xc301b0	; mov al, 1; ret
	mov ebx, SHADOW
	call rbx
	ASSERT_EQ al, 1
	mov byte [SHADOW + 1], 2
	call rbx
	ASSERT_EQ al, 2
	PAM 0x10
	mov byte [SHADOW + 1], 3	; read-only
	call rbx
	ASSERT_EQ al, 2
	PAM 0x30
	mov byte [SHADOW + 1], 4
	call rbx
	ASSERT_EQ al, 4
	pop rbx
	mov [SHADOW], rbx
	PAM r13b
	ret
