; Virtual-8086 mode: IOPL 3 and 0, with and without VME, the interrupt redirection
; map, VIF and VIP, ports, segments, IRET there and back.
; qemu-differs: INT3 and VIP (SDM volume 3, chapter 21)

%include "lib32.inc"

V86STACK equ 0x7000
VM	equ 0x20000
IOPL3	equ 0x3000
IFLAG	equ 0x200
VIF	equ 0x80000
VIP	equ 0x100000

; V86 flags, label: runs 16-bit code at 0:label until it makes the monitor's call,
; HLT, which #GPs; AX to DI stay. The flags at the end are in got_flags.
%macro V86 2
	mov dword [v86_flags], %1
	mov dword [v86_ip], %2
	call enter_v86
%endmacro

	section .text
test:
	mov dword [tss0 + 4], ISTACK
	; the port after 0x60 is not allowed
	mov byte [tss0 + 136 + 0x61 / 8], 2
	mov eax, cr4
	and eax, ~1
	mov cr4, eax

	; the way there and back: segments, flags
	V86 IOPL3 | 0x2, low_segs
	ASSERT_EQ ax, 0x1234
	mov ecx, [got_flags]
	and ecx, 0x3a7000
	ASSERT_EQ ecx, VM | IOPL3
	ASSERT_EQ dword [got_cs], 0
	ASSERT_EQ dword [got_ss], 0
	mov eax, ds
	ASSERT_EQ eax, DS32

	; IOPL 3: CLI, STI, PUSHF and POPF do as they say, INT goes to the monitor
	V86 IOPL3 | IFLAG, low_iopl3
	ASSERT_EQ dword [v86_result], 0
	V86 IOPL3, low_int
	ASSERT_EQ dword [got_vec], 13
	ASSERT_EQ dword [got_code], 0x70 * 8 + 2
	mov byte [idt + 0x70 * 8 + 5], 0xee
	V86 IOPL3, low_int
	ASSERT_EQ dword [got_vec], 0x70
	ASSERT_EQ dword [got_eip], low_int_end
	mov byte [idt + 0x70 * 8 + 5], 0x8e
	V86 IOPL3, low_int3
	ASSERT_EQ dword [got_vec], 3
	; IOPL 0: these fault
	V86 0, low_cli
	ASSERT_EQ dword [got_eip], low_cli
	V86 0, low_sti
	ASSERT_EQ dword [got_eip], low_sti
	V86 0, low_pushf
	ASSERT_EQ dword [got_eip], low_pushf
	V86 0, low_popf
	ASSERT_EQ dword [got_eip], low_popf
	V86 0, low_iret
	ASSERT_EQ dword [got_eip], low_iret
	V86 0, low_int
	ASSERT_EQ dword [got_eip], low_int
	ASSERT_EQ dword [got_vec], 13
	ASSERT_EQ dword [got_code], 0
	V86 0, low_int3
	ASSERT_EQ dword [got_vec], 3
	; ports, by the map, whatever IOPL says
	V86 IOPL3, low_port
	ASSERT_EQ dword [got_eip], low_port_bad
	; what is never allowed
	V86 IOPL3, low_lgdt
	ASSERT_EQ dword [got_vec], 13
	ASSERT_EQ dword [got_eip], low_lgdt
	V86 IOPL3, low_cr0
	ASSERT_EQ dword [got_vec], 13
	V86 IOPL3, low_sldt
	ASSERT_EQ dword [got_vec], 6
	V86 IOPL3, low_lar
	ASSERT_EQ dword [got_vec], 6
	V86 IOPL3, low_arpl
	ASSERT_EQ dword [got_vec], 6
	; limits of 64 KiB
	V86 IOPL3, low_limit
	ASSERT_EQ dword [got_vec], 13
	V86 IOPL3, low_limit_ss
	ASSERT_EQ dword [got_vec], 12
	; the operand size of 32 bits
	V86 IOPL3 | 0x200, low_pushfd
	ASSERT_EQ eax, 0x3202

	; VME
	mov eax, 1
	cpuid
	test edx, 2
	jz .novme
	mov eax, cr4
	or eax, 1
	mov cr4, eax
	V86 0, low_vme
	ASSERT_EQ dword [v86_result], 0
	ASSERT_EQ dword [got_eip], low_vme_end
	mov ecx, [got_flags]
	and ecx, VIF | IFLAG | IOPL3
	ASSERT_EQ ecx, VIF
	; STI with VIP faults
	V86 VIP, low_sti
	ASSERT_EQ dword [got_vec], 13
	ASSERT_EQ dword [got_eip], low_sti
	; 32-bit PUSHF faults, and POPF that sets TF
	V86 0, low_pushfd
	ASSERT_EQ dword [got_eip], low_pushfd
	V86 0, low_popf_tf
	ASSERT_EQ dword [got_eip], low_popf_tf_end
	; INT through the real-mode table, when its bit is clear
	mov word [0x70 * 4], low_handler
	mov word [0x70 * 4 + 2], 0
	and byte [tss0 + 104 + 0x70 / 8], ~1
	V86 VIF | IFLAG, low_int_vme
	ASSERT_EQ dword [v86_result], 0
	V86 IOPL3 | IFLAG, low_int_vme3
	ASSERT_EQ dword [v86_result], 0
	or byte [tss0 + 104 + 0x70 / 8], 1
	V86 0, low_int
	ASSERT_EQ dword [got_vec], 13
	ASSERT_EQ dword [got_code], 0
	; protected-mode virtual interrupts
	mov eax, cr4
	and eax, ~1
	or eax, 2
	mov cr4, eax
	USER_BEGIN 2
	sti
	cli
	sti
	USER_END
	USER_BEGIN VIP | 2
	FAULTS 13, 0, sti
	USER_END
	mov eax, cr4
	and eax, ~2
	mov cr4, eax
.novme:	ret

enter_v86:
	mov [ksp], esp
	mov dword [v86_result], 0
	mov dword [hook], .leave
	push 0x1111			; GS
	push 0x2222			; FS
	push 0				; DS
	push 0x3333			; ES
	push 0				; SS
	push V86STACK
	mov eax, [v86_flags]
	or eax, VM | 2
	push eax
	push 0
	push dword [v86_ip]
	iretd
; An exception: the end.
.leave:	push eax
	mov eax, ds
	ASSERT_EQ eax, 0		; the data segments are null
	mov eax, gs
	ASSERT_EQ eax, 0
	mov eax, DS32
	mov ds, eax
	mov es, eax
	pop eax
	push ebx
	lea ebx, [esp + 4]
	mov [save_eax], eax
	mov eax, [ebx]
	mov [got_vec], eax
	mov eax, [ebx + 4]
	mov [got_code], eax
	mov eax, [ebx + 8]
	mov [got_eip], eax
	mov eax, [ebx + 12]
	mov [got_cs], eax
	mov eax, [ebx + 16]
	mov [got_flags], eax
	mov eax, [ebx + 24]
	mov [got_ss], eax
	ASSERT_EQ word [ebx + 32], 0	; DS
	lea eax, [ebx + 44]
	ASSERT_EQ eax, ISTACK
	mov eax, [save_eax]
	mov dword [hook], 0
	mov esp, [ksp]
	ret

	align 4
v86_flags: dd 0
v86_ip:	dd 0
v86_result equ 0x500
save_eax: dd 0

	section low
	bits 16
%macro CHECK 1
	j%1 %%ok
	FAIL
%%ok:
%endmacro
low_segs:
	mov ax, gs
	cmp ax, 0x1111
	CHECK e
	mov ax, fs
	cmp ax, 0x2222
	CHECK e
	mov ax, es
	cmp ax, 0x3333
	CHECK e
	mov ax, 0x7c0
	mov es, ax
	mov word [0x7c10], 0x1234
	mov ax, [es:0x10]
	jmp 0x800:.far - 0x8000
.far:	push cs
	pop bx
	cmp bx, 0x800
	CHECK e
	call 0:.farcall
	push word 0
	push word .end
	retf
.farcall:
	retf
.end:	hlt
low_iopl3:
	cli
	pushf
	pop ax
	test ax, 0x200
	CHECK z
	sti
	pushf
	pop ax
	test ax, 0x200
	CHECK nz
	and ax, 0xf000
	cmp ax, 0x3000
	CHECK e
	push word 0x0002
	popf
	pushf
	pop ax
	test ax, 0x200
	CHECK z
	and ax, 0x3000			; IOPL stays
	cmp ax, 0x3000
	CHECK e
	push word 0x0203
	push word 0
	push word .iret
	iret
.iret:	CHECK c
	pushf
	pop ax
	test ax, 0x200
	CHECK nz
	cli
	hlt
low_int: int 0x70
low_int_end:
	hlt
low_int3: int3
	hlt
low_cli: cli
	hlt
low_sti: sti
	hlt
low_pushf: pushf
	hlt
low_popf: popf
	hlt
low_iret: iret
	hlt
low_port:
	mov al, 0

	in al, 0xe9

low_port_bad:
	in ax, 0x60
	hlt
low_lgdt: lgdt [0]
low_cr0: mov eax, cr0
	hlt
low_sldt: sldt ax
	hlt
low_lar: lar ax, ax
	hlt
low_arpl: arpl ax, ax
	hlt
low_limit:
	mov ebx, 0xffff
	mov ax, [ebx]
	hlt
low_limit_ss:
	mov bp, 0xffff
	mov ax, [bp]
	hlt
low_pushfd:
	pushfd
	pop eax
	and eax, 0x3202
	hlt
low_vme:
	sti
	pushf
	pop ax
	test ax, 0x200			; VIF
	CHECK nz
	and ax, 0x3000			; reads as 3
	cmp ax, 0x3000
	CHECK e
	cli
	pushf
	pop ax
	test ax, 0x200
	CHECK z
	push word 0x202
	popf
	pushf
	pop ax
	test ax, 0x200
	CHECK nz
	push word 0x002
	push word 0
	push word .iret
	iret
.iret:	pushf
	pop ax
	test ax, 0x200
	CHECK z
	sti
low_vme_end:
	hlt
low_popf_tf:
	push word 0x102
low_popf_tf_end:
	popf
	hlt
low_int_vme:
	mov ax, 0
	int 0x70
	cmp ax, 7
	CHECK e
	pushf
	pop ax
	test ax, 0x200
	CHECK nz
	hlt
low_int_vme3:
	mov ax, 0
	int 0x70
	cmp ax, 7
	CHECK e
	hlt
low_handler:
	pushf
	pop ax
	test ax, 0x200
	CHECK z
	push bp
	mov bp, sp
	test word [bp + 6], 0x200	; IF or VIF was set
	CHECK nz
	mov ax, [bp + 6]
	and ax, 0x3000
	cmp ax, 0x3000
	CHECK e
	pop bp
	mov ax, 7
	iret
low_size equ $ - low_start
