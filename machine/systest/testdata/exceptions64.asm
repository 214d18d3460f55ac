; Exceptions in 64-bit mode: vector, error code, what is pushed, CR2.
; qemu-differs: no #SS for addresses that are not canonical, IDT error codes of 16 times
;   the vector, LOCK on instructions that do not take it (SDM volume 3, 6.13 and 6.15)

%include "lib64.inc"

test:
	; #DE
	xor ecx, ecx
	mov eax, 5
	xor edx, edx
	FAULTS 0, 0, div ecx
	ASSERT_EQ eax, 5
	mov edx, 1
	mov ecx, 1
	FAULTS 0, 0, div ecx
	mov eax, 0x80000000
	mov edx, 0xffffffff
	mov ecx, -1
	FAULTS 0, 0, idiv ecx
	mov rax, 0x8000000000000000
	cqo
	mov rcx, -1
	FAULTS 0, 0, idiv rcx
	mov ax, 0x8000
	mov cl, 1
	FAULTS 0, 0, idiv cl
	TRAPS 3, int3
	ASSERT_EQ qword [got_cs], CS64
	ASSERT_EQ qword [got_ss], DS64
	lea rax, [rsp]
	ASSERT_EQ qword [got_rsp], rax
	TRAPS 3, int 3
	TRAPS 0x77, int 0x77
	; #UD
	FAULTS 6, 0, ud2
	FAULTS 6, 0, db 0x06		; PUSH ES
	FAULTS 6, 0, db 0x27		; DAA
	FAULTS 6, 0, db 0xce		; INTO
	FAULTS 6, 0, db 0x62, 0xc0	; BOUND
	FAULTS 6, 0, db 0xd6		; SALC
	FAULTS 6, 0, db 0xf0, 0x90	; LOCK NOP
	FAULTS 6, 0, db 0xf0, 0x01, 0xc0 ; LOCK ADD r, r
	FAULTS 6, 0, db 0xf0, 0x8b, 0x00 ; LOCK MOV
	FAULTS 6, 0, db 0xf0, 0x39, 0x00 ; LOCK CMP
	FAULTS 6, 0, db 0x8e, 0xc8	; MOV CS
	FAULTS 6, 0, db 0x8c, 0xf0	; MOV r, segment 6
	FAULTS 6, 0, db 0x8d, 0xc0	; LEA r, r
	FAULTS 6, 0, db 0x0f, 0x20, 0xc8 ; MOV r, CR1
	FAULTS 6, 0, db 0x0f, 0x20, 0xe8 ; MOV r, CR5
	FAULTS 6, 0, db 0x0f, 0xc7, 0xc8 ; CMPXCHG8B r
	FAULTS 6, 0, db 0x0f, 0xff, 0xc0 ; UD0
	FAULTS 6, 0, db 0x0f, 0xb9, 0xc0 ; UD1
	FAULTS 6, 0, db 0xc4, 0xe2, 0x78, 0xff, 0xc0 ; VEX without an instruction
	; an instruction of more than 15 bytes
	FAULTS 13, 0, db 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90
	; 15 bytes are allowed
	db 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90

	; #NM and #MF
	mov rax, cr0
	or eax, 8
	mov cr0, rax
	FAULTS 7, 0, fnop
	FAULTS 7, 0, fninit
	mov rax, cr0
	or eax, 2
	mov cr0, rax
	FAULTS 7, 0, wait
	and eax, ~8
	mov cr0, rax
	or eax, 4
	mov cr0, rax
	FAULTS 7, 0, fninit
	and eax, ~6
	mov cr0, rax
	clts
	fninit
	mov word [scratch], 0x37b	; zero divide not masked
	fldcw [scratch]
	fld1
	fldz
	fdivp
	FAULTS 16, 0, wait
	FAULTS 16, 0, fld1
	fnclex
	fninit

	; #GP
	FAULTS 13, 0x60, mov ds, [sel60]
	FAULTS 13, 0xfff8, mov ds, [self8]
	FAULTS 13, 0x7c, mov es, [sel7f]	; in the LDT, which is none
	xor eax, eax
	FAULTS 13, 0, mov ss, [sel3]		; null with RPL 3
	FAULTS 13, 0x28, mov ss, [seludata]
	FAULTS 13, 0x08, mov ss, [selcode]
	FAULTS 13, 0x60, ltr [sel60]
	FAULTS 13, 0x10, ltr [sel10]
	FAULTS 13, 0x40, ltr [sel40]		; busy
	FAULTS 13, 0x40, lldt [sel40]
	; canonical addresses: #GP, and #SS where SS is the segment
	mov rbx, 0x800000000000
	FAULTS 13, 0, mov eax, [rbx]
	FAULTS 13, 0, mov [rbx], eax
	FAULTS 13, 0, lock add [rbx], eax
	xchg rbx, rbp
	FAULTS 12, 0, mov eax, [rbp]
	FAULTS 12, 0, mov [rbp], eax
	FAULTS 12, 0, add [rbp], eax
	xchg rbx, rbp
	mov r12, rsp
	mov rsp, rbx
	; the fault's own frame needs a stack: an interrupt stack
	mov byte [idt + 12 * 16 + 4], 1
	FAULTS 12, 0, pop rax
	FAULTS 12, 0, ret
	mov rsp, 0xffff800000000000
	FAULTS 12, 0, push rax
	mov eax, 0x99
	FAULTS 12, 0, call near [rel ptr_here]
	mov byte [idt + 12 * 16 + 4], 0
	mov rsp, r12
	mov rbx, 0x7fffffffffff
	FAULTS 13, 0, mov rax, [rbx - 6 + 7]
	mov rbx, 0x800000000000
	FAULTS 13, 0, jmp rbx
	FAULTS 13, 0, call rbx
	push rbx
	FAULTS 13, 0, ret
	pop rbx
	FAULTS 13, 0, lidt [bad_table]
	FAULTS 13, 0, lgdt [bad_table]

	; INT through a bad gate
	mov byte [idt + 0x70 * 16 + 5], 0x0e
	FAULTS 11, 0x70 * 8 + 2, int 0x70
	mov byte [idt + 0x70 * 16 + 5], 0x85
	FAULTS 13, 0x70 * 8 + 2, int 0x70
	mov byte [idt + 0x70 * 16 + 5], 0x8e
	mov word [idt + 0x70 * 16 + 2], 0
	FAULTS 13, 0, int 0x70
	mov word [idt + 0x70 * 16 + 2], DS64
	FAULTS 13, DS64, int 0x70
	mov word [idt + 0x70 * 16 + 2], CS32
	FAULTS 13, CS32, int 0x70
	mov word [idt + 0x70 * 16 + 2], UCS64
	FAULTS 13, UCS64 & ~3, int 0x70
	mov word [idt + 0x70 * 16 + 2], 0x60
	FAULTS 13, 0x60, int 0x70
	mov rax, 0x00209b0000000000 & ~0x0000800000000000
	mov [gdt + 0x60], rax			; not present
	FAULTS 11, 0x60, int 0x70
	mov word [idt + 0x70 * 16 + 2], CS64
	mov qword [gdt + 0x60], 0
	lidt [short_idt]
	FAULTS 13, 0x70 * 8 + 2, int 0x70
	lidt [idt_ptr]

	; #NP of a data segment
	mov rax, 0x00cf13000000ffff
	mov [gdt + 0x60], rax
	FAULTS 11, 0x60, mov ds, [sel60]
	FAULTS 12, 0x60, mov ss, [sel60]
	FAULTS 11, 0x60, mov fs, [sel60]
	mov qword [gdt + 0x60], 0

	; #PF: not present
	mov rbx, TVA
	mov qword [PT0], 0
	invlpg [rbx]
	FAULTS 14, 0, mov eax, [rbx + 4]
	ASSERT_CR2 TVA + 4
	FAULTS 14, 2, mov [rbx + 8], eax
	ASSERT_CR2 TVA + 8
	FAULTS 14, 2, add [rbx + 8], eax
	FAULTS 14, 2, lock xadd [rbx + 8], eax
	FAULTS 14, 2, xchg [rbx + 8], eax
	mov rcx, cr2
	ASSERT_EQ rcx, TVA + 8

	; from user mode
	mov byte [idt + 0x70 * 16 + 5], 0x8e
	USER_BEGIN
	FAULTS 13, 0x70 * 8 + 2, int 0x70
	ASSERT_EQ qword [got_cs], UCS64
	ASSERT_EQ qword [got_ss], UDS
	FAULTS 13, 0, hlt
	FAULTS 13, 0, mov cr3, rax
	FAULTS 13, 0, mov rax, cr0
	FAULTS 13, 0, mov rax, dr7
	FAULTS 13, 0, clts
	FAULTS 13, 0, lgdt [gdt_ptr]
	FAULTS 13, 0, lidt [idt_ptr]
	FAULTS 13, 0, invlpg [rax]
	FAULTS 13, 0, wbinvd
	FAULTS 13, 0, rdmsr
	FAULTS 13, 0, wrmsr
	FAULTS 13, 0, swapgs
	FAULTS 13, 0, lmsw ax
	FAULTS 13, 0, ltr ax
	FAULTS 13, 0, lldt ax
	FAULTS 13, 0, sysexit
	FAULTS 13, 0, o64 sysret
	FAULTS 6, 0, clac
	TRAPS 3, int3
	FAULTS 14, 5, mov eax, [dword abs 0x100000]
	FAULTS 14, 7, mov [dword abs 0x100000], eax
	ASSERT_CR2 0x100000
	mov rbx, TVA
	FAULTS 14, 4, mov eax, [rbx]
	FAULTS 14, 6, mov [rbx], eax
	FAULTS 13, 0x08, mov ss, [selcode]
	FAULTS 13, 0x10, mov ds, [sel10]
	FAULTS 13, 0, mov ss, [sel3]
	cli
	USER_END
	; without IOPL
	USER_BEGIN 2
	FAULTS 13, 0, cli
	FAULTS 13, 0, sti
	USER_END

	; #AC
	mov rax, cr0
	or eax, 0x40000
	mov cr0, rax
	USER_BEGIN 0x43002
	mov ebx, scratch + UBASE
	mov eax, [rbx]
	FAULTS 17, 0, mov eax, [rbx + 1]
	FAULTS 17, 0, mov [rbx + 2], eax
	FAULTS 17, 0, mov ax, [rbx + 1]
	mov al, [rbx + 1]
	FAULTS 17, 0, mov rax, [rbx + 4]
	FAULTS 17, 0, add [rbx + 3], eax
	FAULTS 17, 0, lock add [rbx + 3], eax
	USER_END
	mov rax, cr0
	and eax, ~0x40000
	mov cr0, rax
	ret

	align 8
scratch: dq 0, 0
ptr_here: dq 0
sel60:	dw 0x60
self8:	dw 0xfff8
sel7f:	dw 0x7f
sel3:	dw 3
seludata: dw UDS
selcode: dw CS64
sel10:	dw 0x10
sel40:	dw 0x40
	align 8
bad_table: dw 0xffff
	dq 0x1234800000000000
short_idt: dw 0x70 * 16 + 14
	dq idt
