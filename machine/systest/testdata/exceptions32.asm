; Exceptions in 32-bit protected mode.
; qemu-differs: no EXT in error codes, gate codes (SDM volume 3, 6.13)

%include "lib32.inc"

	section .text
test:
	xor ecx, ecx
	FAULTS 0, 0, div ecx
	mov eax, 0x1234
	FAULTS 0, 0, db 0xd4, 0		; AAM 0
	ASSERT_EQ eax, 0x1234
	TRAPS 3, int3
	TRAPS 3, int 3
	ASSERT_EQ dword [got_cs], CS32
	mov al, 0x7f
	add al, 1
	TRAPS 4, into
	clc
	or eax, eax
	into
	; BOUND
	mov eax, 5
	mov ebx, .bounds
	bound eax, [ebx]
	mov eax, 10
	bound eax, [ebx]
	mov eax, 11
	FAULTS 5, 0, bound eax, [ebx]
	mov eax, -1
	FAULTS 5, 0, bound eax, [ebx]
	mov eax, 0
	bound ax, [.bounds16]
	FAULTS 6, 0, db 0x62, 0xc0
	FAULTS 6, 0, ud2
	FAULTS 6, 0, db 0x0f, 0x05	; SYSCALL is for 64-bit code
	FAULTS 6, 0, db 0x0f, 0x07
	FAULTS 6, 0, db 0x8e, 0xc8
	FAULTS 6, 0, db 0xc5, 0xc0	; LDS r, r without VEX being enabled
	FAULTS 6, 0, db 0xf0, 0x90
	FAULTS 13, 0, db 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90
	; #NM
	mov eax, cr0
	or eax, 8
	mov cr0, eax
	FAULTS 7, 0, fninit
	clts
	fninit
	; #SS, #GP by limits
	DESC FREESEL, 0, 0xfff, 0x93, 4	; 4 KiB, data
	mov eax, FREESEL
	mov fs, eax
	mov eax, [fs:0xffc]
	FAULTS 13, 0, mov eax, [fs:0xffd]
	FAULTS 13, 0, mov [fs:0xfff], ax
	mov al, [fs:0xfff]
	FAULTS 13, 0, mov al, [fs:0x1000]
	FAULTS 13, 0, mov eax, [fs:0xfffffffe]
	FAULTS 13, 0, movq mm0, [fs:0xff9]
	; read-only
	DESC FREESEL, 0, 0xfff, 0x91, 4
	mov eax, FREESEL
	mov fs, eax
	mov eax, [fs:4]
	FAULTS 13, 0, mov [fs:4], eax
	FAULTS 13, 0, inc byte [fs:4]
	; code: read only if it is readable
	mov eax, [cs:mb_header]
	FAULTS 13, 0, mov [cs:mb_header], eax
	DESC FREESEL, 0, 0xfffff, 0x99, 12
	mov eax, FREESEL
	FAULTS 13, FREESEL, mov fs, eax
	; null
	xor eax, eax
	mov fs, eax
	FAULTS 13, 0, mov eax, [fs:0]
	FAULTS 13, 0, mov ss, eax
	; expand-down: above the limit
	DESC FREESEL, 0, 0xfff, 0x97, 4
	mov eax, FREESEL
	mov fs, eax
	FAULTS 13, 0, mov eax, [fs:0xffc]
	FAULTS 13, 0, mov eax, [fs:0xfff]
	mov eax, [fs:0x1000]
	FAULTS 13, 0, mov eax, [fs:0xfffffffd]
	DESC FREESEL, 0, 0xfff, 0x97, 0	; 16-bit: ends at 0xffff
	mov fs, [sel]
	mov eax, [fs:0xfffc]
	FAULTS 13, 0, mov eax, [fs:0xfffd]
	FAULTS 13, 0, mov eax, [fs:0x10000]
	; a stack
	DESC FREESEL, 0, 0x2fff, 0x93, 4
	IGATE 12, TSSDF, 0, 0x85
	IGATE 12, CS32, stubs + 12 * 16, 0x8e
	; not present
	DESC FREESEL, 0, 0xfffff, 0x13, 12
	FAULTS 11, FREESEL, mov fs, [sel]
	FAULTS 12, FREESEL, mov ss, [sel]
	FAULTS 13, 0xfff8, mov fs, [self8]
	FAULTS 13, 0x4c, mov fs, [ldtsel]
	; gates
	mov byte [idt + 0x70 * 8 + 5], 0x0e
	FAULTS 11, 0x70 * 8 + 2, int 0x70
	mov byte [idt + 0x70 * 8 + 5], 0x8c
	FAULTS 13, 0x70 * 8 + 2, int 0x70
	mov byte [idt + 0x70 * 8 + 5], 0x8e
	mov word [idt + 0x70 * 8 + 2], 0
	FAULTS 13, 0, int 0x70
	mov word [idt + 0x70 * 8 + 2], DS32
	FAULTS 13, DS32, int 0x70
	mov word [idt + 0x70 * 8 + 2], CS32
	; while an exception is delivered the code has EXT
	mov word [idt + 6 * 8 + 2], DS32
	FAULTS 13, DS32 + 1, ud2
	mov word [idt + 6 * 8 + 2], CS32
	mov byte [idt + 6 * 8 + 5], 0x0e
	FAULTS 11, 6 * 8 + 3, ud2
	mov byte [idt + 6 * 8 + 5], 0x8e
	; contributory twice: a double fault, here through a task gate
	IGATE 8, TSSDF, 0, 0x85
	mov byte [idt + 13 * 8 + 5], 0x0e
	mov dword [tssdf + 32], .df
	mov dword [tssdf + 56], DFSTACK
	mov dword [tssdf + 36], 2
	xor eax, eax
	mov fs, eax
	mov ebx, 0x1111
.dfat:	mov eax, [fs:0]
.dfend:
	mov byte [idt + 13 * 8 + 5], 0x8e
	ASSERT_EQ ebx, 0x2222
	clts
	; user mode
	USER_BEGIN
	FAULTS 13, 0, hlt
	FAULTS 13, 0, mov eax, cr0
	FAULTS 13, 0, lgdt [gdt_ptr]
	FAULTS 13, 0x70 * 8 + 2, int 0x70
	ASSERT_EQ dword [got_cs], UCS32
	ASSERT_EQ dword [got_ss], UDS32
	ASSERT_EQ dword [got_esp], USTACK
	FAULTS 13, DS32, mov ss, [kds]
	FAULTS 13, DS32, mov ds, [kds]
	USER_END
	mov eax, cr0
	or eax, 0x40000
	mov cr0, eax
	USER_BEGIN 0x43002
	mov ebx, .bounds
	mov eax, [ebx]
	FAULTS 17, 0, mov eax, [ebx + 1]
	FAULTS 17, 0, push dword [ebx + 2]
	USER_END
	mov eax, cr0
	and eax, ~0x40000
	mov cr0, eax
	ret
; The double fault's task: it skips the instruction of the old task.
.df:	pop eax
	ASSERT_EQ eax, 0
	ASSERT_EQ dword [tss0 + 32], .dfat
	mov dword [tss0 + 32], .dfend
	mov dword [tss0 + 52], 0x2222
	iretd
	jmp .df
	align 8
.bounds: dd 0, 10
.bounds16: dw 0, 10
sel:	dw FREESEL
self8:	dw 0xfff8
ldtsel:	dw 0x4c
kds:	dw DS32

	section low
low_size equ $ - low_start
