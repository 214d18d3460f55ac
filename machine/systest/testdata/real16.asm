; Real mode: the interrupt table, wrapping indices, stacks and branches, string
; instructions with 16-bit addresses, far transfers.

%include "lib32.inc"

	section .text
test:
	mov [ksp], esp
	mov al, [under_qemu]
	mov [0x510], al
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
	ret

	section low
	bits 16
%macro CHECK 1
	j%1 %%ok
	FAIL
%%ok:
%endmacro
%macro EQUALS 2
	cmp %1, %2
	CHECK e
%endmacro
%macro VECTOR 2
	mov word [%1 * 4], %2
	mov word [%1 * 4 + 2], 0
%endmacro
; TRAPPED vector, expected IP label offset from the start, instruction
%macro TRAPPED 3+
	VECTOR %1, handler
	mov word [vec_ip], 0
	mov word [vec_to], %%after
%%at:	%3
%%after:
%if %2
	EQUALS word [vec_ip], %%after
%else
	EQUALS word [vec_ip], %%at
%endif
%endmacro

real:	mov ax, DS16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov esp, 0x7000
	mov eax, cr0
	and al, 0xfe
	mov cr0, eax
	jmp 0:.rm
.rm:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	; exceptions: faults point at the instruction, traps behind it
	xor cx, cx
	mov ax, 1
	TRAPPED 0, 0, div cx
	TRAPPED 0, 0, aam 0
	TRAPPED 3, 1, int3
	TRAPPED 0x55, 1, int 0x55
	mov al, 0x7f
	add al, 1
	TRAPPED 4, 1, into
	mov ax, 7
	mov word [0x600], 1
	mov word [0x602], 6
	TRAPPED 5, 0, bound ax, [0x600]
	TRAPPED 6, 0, ud2
	TRAPPED 6, 0, sldt ax
	TRAPPED 6, 0, lar ax, ax
	TRAPPED 6, 0, arpl ax, ax
	cmp byte [0x510], 0
	jne .qemu				; it knows no limits in this mode
	TRAPPED 13, 0, mov eax, [dword 0xfffe]
	mov eax, 0x10000
	TRAPPED 13, 0, mov [eax], cl
.qemu:
	; IF and TF are cleared on the way, and come back
	VECTOR 0x56, .flags
	sti
	stc
	int 0x56
	CHECK c
	pushf
	pop ax
	test ax, 0x200
	CHECK nz
	cli
	jmp .strings
.flags:	pushf
	pop ax
	test ax, 0x300
	CHECK z
	clc
	iret

.strings:
	; SI and DI wrap, CX counts 16 bits
	cld
	mov ax, 0x2000
	mov es, ax
	mov ds, ax
	mov edi, 0x1234fff8
	mov ecx, 0x55550010
	mov al, 0xa5
	rep stosb
	cmp edi, 0x12340008
	CHECK e
	cmp ecx, 0x55550000
	CHECK e
	EQUALS byte [0xffff], 0xa5
	EQUALS byte [7], 0xa5
	mov si, 0xfff8
	mov di, 0x1000
	mov cx, 8
	rep movsw
	EQUALS si, 8
	EQUALS byte [0x100f], 0xa5
	std
	mov si, 1
	mov di, 0x2001
	mov cx, 2
	rep movsb
	EQUALS si, 0xffff
	EQUALS di, 0x1fff
	cld
	mov di, 0xfffe
	mov cx, 4
	mov al, 0xa5
	repe scasb
	EQUALS cx, 0
	EQUALS di, 2
	; overrides
	xor ax, ax
	mov ds, ax
	mov si, 0x1000
	es lodsb
	EQUALS al, 0xa5
	mov word [0x1000], 0x1111
	mov di, 0x3000
	mov si, 0x1000
	movsw
	EQUALS word [es:0x3000], 0x1111
	; 32-bit addresses
	mov esi, 0x1000
	mov edi, 0x3010
	mov ecx, 2
	a32 rep movsb
	EQUALS word [es:0x3010], 0x1111
	mov es, ax
	; XLAT, effective addresses that wrap
	mov bx, 0xfff0
	mov di, 0x620
	mov word [0x610], 0xbeef
	EQUALS word [bx + di], 0xbeef
	mov bp, 0xff00
	mov word [0x720], 0xf00d
	EQUALS word [bp + di + 0x200], 0xf00d
	mov bx, 0x600
	mov byte [0x650], 0x42
	mov al, 0x50
	xlatb
	EQUALS al, 0x42
	; the stack wraps
	mov dx, sp
	mov ax, 0x3000
	mov ss, ax
	mov sp, 4
	push dword 0x12345678
	push word 0x9abc
	EQUALS sp, 0xfffe
	pusha
	EQUALS sp, 0xffee
	popa
	pop ax
	EQUALS ax, 0x9abc
	pop eax
	cmp eax, 0x12345678
	CHECK e
	EQUALS sp, 4
	xor ax, ax
	mov ss, ax
	mov sp, dx
	; branches: LOOP by CX, LOOP by ECX, JCXZ
	mov ecx, 0x10005
	xor bx, bx
.loop:	inc bx
	loop .loop
	EQUALS bx, 5
	cmp ecx, 0x10000
	CHECK e
	jcxz .zero
	FAIL
.zero:	jecxz .bad
	jmp .far
.bad:	FAIL
	; far calls by other names of one address
.far:	call (LOWBASE >> 4):.there - LOWBASE
	EQUALS ax, LOWBASE >> 4
	pushf
	call 0:.iret
	mov word [0x600], .there
	mov word [0x602], 0
	call far [0x600]
	EQUALS ax, 0
	; a relative jump wraps at 64 KiB: code at 0x2000:0xfffd and 0x2000:0
	mov ax, 0x2000
	mov es, ax
	mov byte [es:0xfff0], 0xeb		; jmp short to 0x0010
	mov byte [es:0xfff1], 0x1e
	mov word [es:0x10], 0x55b0		; mov al, 0x55
	mov byte [es:0x12], 0xcb		; retf
	call 0x2000:0xfff0
	EQUALS al, 0x55
	xor ax, ax
	mov es, ax
	; operand size of 32 bits
	push dword 0x11223344
	pop ecx
	cmp ecx, 0x11223344
	CHECK e
	pushfd
	pop eax
	call dword .near
	jmp .end
.near:	o32 ret
.there:	mov ax, cs
	retf
.iret:	iret
.end:	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CS32:back

; Any of the TRAPPED vectors.
handler:
	push bp
	mov bp, sp
	push ax
	mov ax, [ss:bp + 2]
	mov [cs:vec_ip], ax
	mov ax, [cs:vec_to]
	mov [ss:bp + 2], ax
	pop ax
	pop bp
	iret
vec_ip:	dw 0
vec_to:	dw 0
low_size equ $ - low_start
