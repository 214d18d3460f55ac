; Segmentation in 32-bit protected mode: privilege, conforming code, call gates,
; far returns, LAR and its kin, the LDT, 16-bit stacks.
; qemu-differs: no limit checks of code, LAR of system segments (SDM volume 2)

%include "lib32.inc"

S0	equ FREESEL
S1	equ FREESEL + 8
S2	equ FREESEL + 16
S3	equ FREESEL + 24
S4	equ FREESEL + 32
S5	equ FREESEL + 40
S6	equ FREESEL + 48
LDTSEL	equ FREESEL + 56

	section .text
test:
	call inspect
	call accessed
	call conforming
	call gates
	call farret
	call ldt
	call stack16
	call unreal
	ret

; LAR, LSL, VERR, VERW, ARPL
inspect:
	DESC S0, 0x1000, 0x123, 0x93, 4
	DESC S1, 0, 0x7, 0xf3, 12
	DESC S2, 0, 0xfffff, 0x99, 12	; execute-only
	DESC S3, 0, 0xfffff, 0x9f, 12	; conforming, readable
	DESC S4, 0, 0x67, 0x89, 0	; TSS
	DESC S5, 0, 0, 0x8c, 0		; call gate
	DESC S6, 0, 0, 0x8e, 0		; interrupt gate: not for LAR
%macro SEL 2
	mov ecx, %2
	mov eax, -1
	%1 eax, ecx
%endmacro
	SEL lsl, S0
	ASSERT z
	ASSERT_EQ eax, 0x123
	SEL lsl, S1
	ASSERT z
	ASSERT_EQ eax, 0x7fff
	SEL lsl, S4
	ASSERT z
	ASSERT_EQ eax, 0x67
	SEL lsl, S5
	ASSERT nz
	ASSERT_EQ eax, -1
	SEL lsl, 0
	ASSERT nz
	SEL lsl, 0xfff8
	ASSERT nz
	SEL lar, S0
	ASSERT z
	and eax, 0xf0ff00
	ASSERT_EQ eax, 0x409300
	SEL lar, S1
	ASSERT z
	and eax, 0xf0ff00
	ASSERT_EQ eax, 0xc0f300
	SEL lar, S4
	ASSERT z
	SEL lar, S5
	ASSERT z
	SEL lar, S6
	ASSERT nz
	mov eax, -1
	mov cx, S0
	lar ax, cx
	ASSERT_EQ eax, 0xffff9300
	; RPL 3 against DPL 0
	SEL lar, S0 | 3
	ASSERT nz
	SEL lar, S1 | 3
	ASSERT z
	SEL lar, S3 | 3			; conforming: any level
	ASSERT z
%macro VER 2
	mov eax, %2
	%1 ax
%endmacro
	VER verr, S0
	ASSERT z
	VER verw, S0
	ASSERT z
	VER verr, S2
	ASSERT nz
	VER verr, S3
	ASSERT z
	VER verw, S3
	ASSERT nz
	VER verr, S4
	ASSERT nz
	VER verw, 0
	ASSERT nz
	VER verr, S0 | 3
	ASSERT nz
	mov eax, 0x10
	mov ecx, 0x13
	arpl ax, cx
	ASSERT z
	ASSERT_EQ eax, 0x13
	arpl ax, cx
	ASSERT nz
	ASSERT_EQ eax, 0x13
	USER_BEGIN
	VER verr, S0
	ASSERT nz
	VER verr, S1
	ASSERT z
	SEL lsl, S0
	ASSERT nz
	str ax
	sldt ax
	smsw ax
	sgdt [scratch]
	USER_END
	ret

accessed:
	DESC S0, 0, 0xfffff, 0x92, 12
	mov eax, S0
	mov fs, eax
	test byte [gdt + S0 + 5], 1
	ASSERT nz
	DESC S0, 0, 0xfffff, 0x92, 12
	verr ax
	test byte [gdt + S0 + 5], 1
	ASSERT z
	mov eax, S0 | 3
	FAULTS 13, S0, mov fs, eax
	test byte [gdt + S0 + 5], 1
	ASSERT z
	ret

conforming:
	DESC S0, 0, 0xfffff, 0x9f, 12	; DPL 0, conforming
	DESC S1, 0, 0xfffff, 0xdb, 12	; DPL 2
	DESC S2, 0, 0xfffff, 0xfb, 12	; DPL 3, 32-bit
	USER_BEGIN
	jmp S0:.a
.a:	mov eax, cs
	ASSERT_EQ eax, S0 | 3
	jmp UCS32:.b
.b:	FAULTS 13, CS32, jmp CS32:.c
.c:	FAULTS 13, S1, jmp S1:.d
.d:	FAULTS 13, 0, jmp 0:.e
.e:	FAULTS 13, DS32, jmp DS32:.f
.f:
	USER_END
	ret

; 32-bit call gates, to an inner level with parameters and to the same.
gates:
	GATE S0, CS32, .inner, 0xec, 2
	GATE S1, CS32, .same, 0x8c, 0
	GATE S2, CS32, .inner, 0x8c, 0	; DPL 0
	GATE S3, CS32, .inner, 0x6c, 0	; not present
	USER_BEGIN
	push dword 0x11111111
	push dword 0x22222222
	mov ebx, esp
	call S0:0x77777777		; the offset is ignored
.back:	cmp esp, ebx
	lea ecx, [ebx + 8]
	ASSERT_EQ esp, ecx
	ASSERT_EQ eax, 0x33333333
	mov ecx, cs
	ASSERT_EQ ecx, UCS32
	FAULTS 13, S2, call S2:0
	FAULTS 11, S3, call S3:0
	FAULTS 13, CS32, jmp S0:0	; inner level by JMP
	USER_END
	call S1:0
	ASSERT_EQ eax, 0x44444444
	ret
.same:	mov eax, 0x44444444
	retf
.inner:	ASSERT_EQ dword [esp], .back
	ASSERT_EQ dword [esp + 4], UCS32
	ASSERT_EQ dword [esp + 8], 0x22222222
	ASSERT_EQ dword [esp + 12], 0x11111111
	ASSERT_EQ dword [esp + 16], ebx
	ASSERT_EQ dword [esp + 20], UDS32
	lea ecx, [esp + 24]
	ASSERT_EQ ecx, ISTACK
	mov ecx, cs
	ASSERT_EQ ecx, CS32
	mov ecx, ss
	ASSERT_EQ ecx, DS32
	mov eax, DS32
	mov fs, eax
	mov eax, UDS32
	mov gs, eax
	mov eax, 0x33333333
	retf 8


; Far returns to the outer level: segments that are too privileged become null.
farret:
	mov eax, DS32
	mov fs, eax
	mov eax, UDS32
	mov gs, eax
	push UDS32
	push USTACK
	push UCS32
	push .user
	mov [ksp], esp
	add dword [ksp], 16
	pushfd
	or dword [esp], 0x3000
	popfd
	retf
.user:	mov eax, fs
	ASSERT_EQ eax, 0
	mov eax, gs
	ASSERT_EQ eax, UDS32
	mov eax, ds
	ASSERT_EQ eax, 0
	mov eax, cs
	ASSERT_EQ eax, UCS32
	ASSERT_EQ esp, USTACK
	; to an inner level: no
	push DS32
	push esp
	push CS32
	push .x
	mov eax, UDS32
	mov ds, eax
	FAULTS 13, CS32, retf
	FAULTS 13, CS32, iretd
.x:	USER_END
	; code segment limits
	DESC S1, 0x100000, 0xfff, 0x9b, 4
	FAULTS 13, 0, jmp S1:0x1000
	FAULTS 13, 0, call S1:0x1000
	push CS32
	push .l
	push S1
	push 0x1000
	FAULTS 13, 0, retf
	add esp, 8
	retf
.l:	; running into the end of the segment
	DESC S1, 0x100000, 0, 0x9b, 4
	mov eax, .end - 0x100000
	mov [gdt + S1], ax
	mov dword [hook], .over
	mov ebx, 0
	jmp S1:.run - 0x100000
.run:	mov ecx, 100
.turn:	inc ebx
	dec ecx
	jnz .turn
.end:	db 0xb8, 0, 0, 0, 0		; the segment ends inside of it
	FAIL
.over:	mov dword [hook], 0
	pop eax
	ASSERT_EQ eax, 13
	pop eax
	ASSERT_EQ eax, 0
	pop eax
	ASSERT_EQ eax, .end - 0x100000
	pop eax
	ASSERT_EQ eax, S1
	popfd
	ASSERT_EQ ebx, 100
	ret

ldt:
	mov dword [scratch], 0x0000ffff
	mov dword [scratch + 4], 0x00cf9300
	mov dword [scratch + 8], 0x0000ffff
	mov dword [scratch + 12], 0x00cffa00
	DESC LDTSEL, 0, 15, 0x82, 0
	mov eax, scratch
	mov edx, gdt + LDTSEL
	call set_base
	mov eax, LDTSEL
	lldt ax
	sldt cx
	ASSERT_EQ cx, LDTSEL
	mov eax, 4
	mov fs, eax
	mov eax, [fs:mb_header]
	ASSERT_EQ eax, 0x1badb002
	mov eax, 0x14
	FAULTS 13, 0x14, mov fs, eax
	SEL lsl, 4
	ASSERT z
	SEL lar, 0xc
	ASSERT z
	test byte [scratch + 5], 1
	ASSERT nz
	; selectors 4 to 7 are not null
	xor eax, eax
	lldt ax
	mov eax, 4
	FAULTS 13, 4, mov fs, eax
	mov eax, LDTSEL | 4
	FAULTS 13, LDTSEL | 4, lldt ax
	mov eax, S0
	FAULTS 13, S0, lldt ax
	ret

; A 16-bit stack: SP wraps, the upper half of ESP stays.
stack16:
	mov edx, esp
	mov eax, DS16
	mov ss, eax
	mov esp, 0xabcd8000
	push eax
	ASSERT_EQ esp, 0xabcd7ffc
	ASSERT_EQ dword [0x7ffc], DS16
	pop ecx
	ASSERT_EQ esp, 0xabcd8000
	mov sp, 2
	push ax
	ASSERT_EQ esp, 0xabcd0000
	push eax
	ASSERT_EQ esp, 0xabcdfffc
	ASSERT_EQ dword [0xfffc], DS16
	pop ecx
	ASSERT_EQ esp, 0xabcd0000
	mov sp, 0x7000
	mov ebp, 0x12345678
	enter 0x10, 0
	ASSERT_EQ ebp, 0xabcd6ffc
	ASSERT_EQ esp, 0xabcd6fec
	leave
	ASSERT_EQ esp, 0xabcd7000
	ASSERT_EQ ebp, 0x12345678
	call .near
	ASSERT_EQ esp, 0xabcd7000
	pushad
	popad
	ASSERT_EQ esp, 0xabcd7000
	mov eax, DS32
	mov ss, eax
	mov esp, edx
	ret
.near:	ret

; Real mode with limits of 4 GiB.
unreal:
	mov [ksp], esp
	DESC S0, 0, 0xfffff, 0x93, 12
	lidt [real_idt_ptr]
	jmp CS16:real
back:	mov eax, DS32
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov fs, eax
	mov gs, eax
	mov esp, [ksp]
	lidt [idt_ptr]
	ASSERT_EQ dword [scratch], 0x5a5a1234
	ASSERT_EQ dword [got_vec], 13
	ret

	align 8
scratch: dd 0, 0, 0, 0

	section low
	bits 16
real:	mov ax, S0
	mov fs, ax
	mov ax, DS16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x7000
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:.rm
.rm:	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov es, ax
	mov fs, ax			; base and selector only
	mov dword [fs:dword scratch], 0x5a5a1234
	; DS has a limit of 64 KiB: #GP through the real-mode table, no error code
	mov word [13 * 4], .gp
	mov word [13 * 4 + 2], 0
	mov ebx, 0x10000
	mov cx, 0
	mov [ebx], al
	cmp cx, 1
	jne .bad
	mov ebx, 0xffff
	mov cx, 0
	mov [bx], ax
	cmp cx, 1
	jne .bad
	; INT and IRET, a stack that wraps
	mov word [0x70 * 4], .int
	mov word [0x70 * 4 + 2], 0
	mov ax, 0
	int 0x70
	cmp ax, 5
	jne .bad
	mov sp, 2
	push ax
	push ax
	cmp sp, 0xfffe
	jne .bad
	mov esp, 0x7000
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CS32:back
.bad:	FAIL
.gp:	mov cx, 1
	push bp
	mov bp, sp
	add word [bp + 2], 3
	cmp byte [bp + 7], 0
	pop bp
	mov word [fs:dword got_vec], 13
	cmp ebx, 0xffff
	jne .iret
	push bp
	mov bp, sp
	sub word [bp + 2], 1		; this one has two bytes
	pop bp
.iret:	iret
.int:	mov ax, 5
	iret
low_size equ $ - low_start
