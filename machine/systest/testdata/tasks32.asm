; Task switches: by JMP, CALL, IRET, task gates and interrupts, of 32- and 16-bit
; tasks; what is saved, busy bits, NT, the back link, CR0.TS, faults in the new task.

%include "lib32.inc"

TSS1	equ FREESEL
TSS2	equ FREESEL + 8		; 16-bit
TGATE	equ FREESEL + 16
BAD	equ FREESEL + 24
LDT1	equ FREESEL + 32

; BUSY selector, 0 or 1
%macro BUSY 2
	mov al, [gdt + %1 + 5]
	and al, 2
	ASSERT_EQ al, %2 * 2
%endmacro

	section .text
test:
	DESC TSS1, 0, 103, 0x89, 0
	mov eax, tss1
	mov edx, gdt + TSS1
	call set_base
	DESC TSS2, 0, 43, 0x81, 0
	mov eax, tss2
	mov edx, gdt + TSS2
	call set_base
	GATE TGATE, TSS1, 0, 0xe5, 0
	DESC LDT1, 0, 15, 0x82, 0
	mov eax, ldt1
	mov edx, gdt + LDT1
	call set_base

	; JMP there and back
	mov dword [tss1 + 32], .task1
	mov dword [tss1 + 36], 0x2 | 0x41
	mov dword [tss1 + 56], 0x230000
	mov dword [tss1 + 40], 0xaaaa0000
	mov dword [tss1 + 76], CS32
	mov dword [tss1 + 72], DS32
	mov dword [tss1 + 80], DS32
	mov dword [tss1 + 84], DS32
	mov dword [tss1 + 88], 0
	mov dword [tss1 + 92], 0
	mov dword [tss1 + 96], LDT1
	mov ebx, 0x12345678
	mov esi, 0x5a5a
	clts
	stc
	jmp TSS1:0x999
.back:	ASSERT_EQ ebx, 0x12345678
	ASSERT_EQ esi, 0x5a5a
	BUSY TSS0, 1
	BUSY TSS1, 0
	str ax
	ASSERT_EQ ax, TSS0
	sldt ax
	ASSERT_EQ ax, 0
	mov eax, cr0
	test eax, 8
	ASSERT nz
	clts
	; CALL, then IRET by NT
	mov dword [tss1 + 32], .task2
	call TSS1:0
.back2:	BUSY TSS0, 1
	BUSY TSS1, 0
	ASSERT_EQ dword [tss1 + 32], .task2_end
	clts
	; the task's EIP is behind IRET; CALL through the gate goes on there
	call TGATE:0
	ASSERT_EQ dword [tss1 + 44], 0x77	; ECX
	pushfd
	pop eax
	test eax, 0x4000
	ASSERT z
	clts
	; an exception through a task gate: with its error code on the new stack
	IGATE 13, TSS1, 0, 0x85
	mov dword [tss1 + 32], .gp
	mov dword [tss1 + 56], 0x230000
	mov dword [tss1 + 36], 2
	mov eax, 0xfff8
	xor ecx, ecx
.fault:	mov fs, eax
	inc ecx
.gpret:	ASSERT_EQ ecx, 1
	BUSY TSS1, 0
	IGATE 13, CS32, stubs + 13 * 16, 0x8e
	; INT n through one: no error code
	IGATE 0x71, TSS1, 0, 0xe5
	mov dword [tss1 + 32], .int
	mov dword [tss1 + 56], 0x230000
	int 0x71
	ASSERT_EQ dword [tss1 + 52], 0x99	; EBX
	clts
	; from user mode
	USER_BEGIN
	int 0x71
	FAULTS 13, TSS1, call TSS1:0		; DPL 0
	USER_END
	clts

	; errors: busy, too small, not present
	or byte [gdt + TSS1 + 5], 2
	FAULTS 13, TSS1, jmp TSS1:0
	FAULTS 13, TSS1, call TSS1:0
	FAULTS 13, TSS1, call TGATE:0
	and byte [gdt + TSS1 + 5], ~2
	mov word [gdt + TSS1], 102
	FAULTS 10, TSS1, jmp TSS1:0
	mov word [gdt + TSS1], 103
	and byte [gdt + TSS1 + 5], 0x7f
	FAULTS 11, TSS1, jmp TSS1:0
	or byte [gdt + TSS1 + 5], 0x80
	; IRET with NT and a bad link
	mov dword [tss0], 0
	pushfd
	or dword [esp], 0x4000
	popfd
	FAULTS 10, 0, iretd
	mov word [tss0], CS32
	pushfd
	or dword [esp], 0x4000
	popfd
	FAULTS 10, CS32, iretd
	mov word [tss0], TSS1			; not busy
	pushfd
	or dword [esp], 0x4000
	popfd
	FAULTS 10, TSS1, iretd
	pushfd
	and dword [esp], ~0x4000
	popfd

	; a 16-bit task
	mov word [tss2 + 14], low_task
	mov word [tss2 + 16], 2
	mov word [tss2 + 18], 0x1234		; AX
	mov word [tss2 + 26], 0x7000		; SP
	mov word [tss2 + 36], CS16
	mov word [tss2 + 34], DS16
	mov word [tss2 + 38], DS16
	mov word [tss2 + 40], DS16
	mov word [tss2 + 42], 0
	mov ebx, 0xcafe1234
	call TSS2:0
	ASSERT_EQ ebx, 0xcafe1234
	ASSERT_EQ word [tss2 + 18], 0x1235
	BUSY TSS2, 0
	clts
	ret

.task1:	pushfd
	pop edx
	ASSERT_EQ edx, 0x43
	ASSERT_EQ eax, 0xaaaa0000
	mov eax, cr0
	test eax, 8
	ASSERT nz
	BUSY TSS0, 0
	BUSY TSS1, 1
	str ax
	ASSERT_EQ ax, TSS1
	sldt ax
	ASSERT_EQ ax, LDT1
	ASSERT_EQ esp, 0x230000
	ASSERT_EQ dword [tss0 + 32], .back
	ASSERT_EQ dword [tss0 + 52], 0x12345678
	test byte [tss0 + 36], 1
	ASSERT nz
	mov eax, fs
	ASSERT_EQ eax, 0
	mov eax, 4
	mov gs, eax
	mov ebx, 0
	jmp TSS0:0

.task2:	BUSY TSS0, 1
	BUSY TSS1, 1
	ASSERT_EQ word [tss1], TSS0
	pushfd
	pop eax
	test eax, 0x4000
	ASSERT nz
	iretd
.task2_end:
	mov ecx, 0x77
	iretd

.gp:	pop eax
	ASSERT_EQ eax, 0xfff8
	ASSERT_EQ dword [tss0 + 32], .fault
	ASSERT_EQ esp, 0x230000
	add dword [tss0 + 32], 2
	iretd

.int:	mov ebx, 0x99
	ASSERT_EQ esp, 0x230000
	iretd
	mov ebx, 0x99
	iretd

	align 16
tss1:	times 104 db 0
tss2:	times 44 db 0
	align 8
ldt1:	dq 0x00cf93000000ffff
	dq 0

	section low
	bits 16
low_task:
	inc ax
	iret
low_size equ $ - low_start
