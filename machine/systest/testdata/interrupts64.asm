; Interrupts: STI's shadow, HLT, the 8254 through the 8259 and the local APIC,
; the APIC timer, priorities and CR8, self IPIs, NMI, x2APIC.

%define ITER 20
%include "lib64.inc"

LAPIC	equ 0xfee00000
ID	equ 0x20
TPR	equ 0x80
EOI	equ 0xb0
SVR	equ 0xf0
ISR	equ 0x100
IRR	equ 0x200
ICR	equ 0x300
LVTT	equ 0x320
LVT0	equ 0x350
TICR	equ 0x380
TCCR	equ 0x390
TDCR	equ 0x3e0

%macro WAPIC 2
	mov r14d, LAPIC
	mov dword [r14 + %1], %2
%endmacro

; SETGATE vector, handler
%macro SETGATE 2
	mov eax, %2
	mov [idt + %1 * 16], ax
	shr eax, 16
	mov [idt + %1 * 16 + 6], ax
%endmacro

; WAITFOR: until the count is at least n, with a bound on the wait.
%macro WAITFOR 1
	mov rcx, 4000000000
%%wait:	cmp dword [count], %1
	jae %%done
	dec rcx
	jnz %%wait
%%done:	cmp dword [count], %1
	ASSERT ae
%endmacro

test:
	call mask_pic
	SETGATE 0x40, count_apic
	SETGATE 0x50, count_apic
	SETGATE 0x60, count_apic
	SETGATE 0x20, count_pic
	SETGATE 0x28, count_pic2
	SETGATE 2, nmi
	WAPIC SVR, 0x1ff
	WAPIC LVT0, 0x10000
	WAPIC TPR, 0
	call shadow
	call priorities
	call nmis
	call timer
	call pit
	call x2apic
	ret

count_apic:
	push rax
	mov rax, [rsp + 8]
	mov [where], rax
	push r14
	inc dword [count]
	WAPIC EOI, 0
	pop r14
	pop rax
	iretq
count_pic2:
	push rax
	mov al, 0x20
	out 0xa0, al
	out 0x20, al
	jmp counted
count_pic:
	push rax
	mov al, 0x20
	out 0x20, al
counted:
	mov rax, [rsp + 8]
	mov [where], rax
	inc dword [count]
	pop rax
	iretq

mask_pic:
	mov al, 0x11
	out 0x20, al
	out 0xa0, al
	mov al, 0x20
	out 0x21, al
	mov al, 0x28
	out 0xa1, al
	mov al, 4
	out 0x21, al
	mov al, 2
	out 0xa1, al
	mov al, 1
	out 0x21, al
	out 0xa1, al
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	ret

%macro SELF 1
	WAPIC ICR, 0x44000 | %1		; to itself, fixed, edge
%endmacro

; With an interrupt waiting, STI lets exactly one instruction by.
shadow:
	mov dword [count], 0
	SELF 0x40
	nop
	nop
	ASSERT_EQ dword [count], 0
	bt dword [r14 + IRR + 0x20], 0
	ASSERT c
	sti
	nop
.a:	nop
	cli
	ASSERT_EQ dword [count], 1
	mov eax, .a
	ASSERT_EQ [where], rax
	; STI, CLI: never taken
	mov dword [count], 0
	SELF 0x40
	mov ecx, 10
.b:	sti
	cli
	dec ecx
	jnz .b
	ASSERT_EQ dword [count], 0
	; STI, STI, CLI: the second STI casts no shadow
	sti
	sti
.c:	cli
	ASSERT_EQ dword [count], 1
	mov eax, .c
	ASSERT_EQ [where], rax
	; STI, HLT: taken in HLT
	mov dword [count], 0
	SELF 0x40
	sti
	hlt
.d:	cli
	ASSERT_EQ dword [count], 1
	mov eax, .d
	ASSERT_EQ [where], rax
	; MOV SS
	mov dword [count], 0
	mov ebx, ss
	sti
	nop
	SELF 0x40
	nop
	jmp .e0
.e0:	ASSERT_EQ dword [count], 1
	cli
	SELF 0x40
	sti
	mov ss, ebx
	nop
.e:	cli
	ASSERT_EQ dword [count], 2
	; POPF has no shadow
	SELF 0x40
	pushfq
	or dword [rsp], 0x200
	popfq
.f:	cli
	ASSERT_EQ dword [count], 3
	mov eax, .f
	ASSERT_EQ [where], rax
	; nor has IRET
	SELF 0x40
	mov rdx, rsp
	push rbx
	push rdx
	pushfq
	or dword [rsp], 0x200
	push CS64
	mov eax, .g
	push rax
	iretq
.g:	cli
	ASSERT_EQ dword [count], 4
	mov eax, .g
	ASSERT_EQ [where], rax
	ret

priorities:
	; TPR holds back what is of its class or below
	mov dword [count], 0
	mov eax, 4
	mov cr8, rax
	ASSERT_EQ dword [r14 + TPR], 0x40
	SELF 0x40
	sti
	nop
	nop
	ASSERT_EQ dword [count], 0
	mov rax, cr8
	ASSERT_EQ eax, 4
	SELF 0x50
	nop
	jmp .a
.a:	ASSERT_EQ dword [count], 1
	xor eax, eax
	mov cr8, rax
	nop
	ASSERT_EQ dword [count], 2
	cli
	; the greater vector first; an interrupt in service holds lower ones back
	mov dword [count], 0
	SETGATE 0x50, .outer
	SELF 0x40
	SELF 0x50
	sti
	nop
	nop
	cli
	ASSERT_EQ dword [count], 2
	SETGATE 0x50, count_apic
	ret
.outer:	push rax
	ASSERT_EQ dword [count], 0
	bt dword [r14 + ISR + 0x20], 16
	ASSERT c
	sti
	nop
	nop
	nop
	cli
	ASSERT_EQ dword [count], 0
	; a higher one interrupts
	SELF 0x60
	sti
	nop
	nop
	cli
	ASSERT_EQ dword [count], 1
	WAPIC EOI, 0
	sti
	nop
	nop
	cli
	ASSERT_EQ dword [count], 2
	pop rax
	iretq

nmis:
	mov dword [nmi_count], 0
	WAPIC ICR, 0x4400
	jmp .a
.a:	nop
	ASSERT_EQ dword [nmi_count], 1
	; in the handler a second one waited for IRET, a third was lost
	mov dword [nmi_nest], 1
	WAPIC ICR, 0x4400
	jmp .b
.b:	nop
	nop
	jmp .c
.c:	ASSERT_EQ dword [nmi_count], 3
	ret
nmi:	push rax
	push r14
	inc dword [nmi_count]
	cmp dword [nmi_nest], 0
	je .end
	mov dword [nmi_nest], 0
	WAPIC ICR, 0x4400
	WAPIC ICR, 0x4400
	jmp .w
.w:	nop
	ASSERT_EQ dword [nmi_count], 2
.end:	pop r14
	pop rax
	iretq

timer:
	mov dword [count], 0
	WAPIC TDCR, 0xb			; by one
	WAPIC LVTT, 0x40		; one-shot
	WAPIC TICR, 20000
	sti
	WAITFOR 1
	ASSERT_EQ dword [r14 + TCCR], 0
	cli
	; wakes HLT
	WAPIC TICR, 20000
	sti
	hlt
	cli
	ASSERT_EQ dword [count], 2
	; periodic
	mov dword [count], 0
	WAPIC LVTT, 0x20040
	WAPIC TICR, 20000
	sti
	WAITFOR 5
	cli
	WAPIC LVTT, 0x10040
	WAPIC TICR, 0
	nop
	sti				; what was pending still comes
	nop
	nop
	cli
	; masked: counts, delivers nothing
	mov dword [count], 0
	WAPIC TICR, 1000
.z:	pause
	cmp dword [r14 + TCCR], 0
	jne .z
	sti
	nop
	nop
	cli
	ASSERT_EQ dword [count], 0
	; TSC deadline
	mov eax, 1
	cpuid
	bt ecx, 24
	jnc .none
	mov dword [count], 0
	WAPIC LVTT, 0x40040
	rdtsc
	shl rdx, 32
	or rax, rdx
	add rax, 100000
	mov r12, rax
	mov rdx, rax
	shr rdx, 32
	mov ecx, 0x6e0
	wrmsr
	sti
	WAITFOR 1
	cli
	rdtsc
	shl rdx, 32
	or rax, rdx
	cmp rax, r12
	ASSERT ae
	mov ecx, 0x6e0
	rdmsr
	or eax, edx
	ASSERT z
	; in the past: at once
	mov dword [count], 0
	mov eax, 1
	xor edx, edx
	wrmsr
	sti
	nop
	WAITFOR 1
	cli
	WAPIC LVTT, 0x10040
.none:	ret

; The 8254 by way of the 8259 and LINT0.
pit:
	mov dword [count], 0
	WAPIC LVT0, 0x700		; ExtINT
	mov al, 0x34
	out 0x43, al
	mov al, 0x00
	out 0x40, al
	mov al, 4
	out 0x40, al
	mov al, 0xfe
	out 0x21, al
	sti
	WAITFOR 3
	cli
	; in HLT
	mov ebx, [count]
	sti
	hlt
	cli
	cmp [count], ebx
	ASSERT a
	mov al, 0xff
	out 0x21, al
	mov al, 0x30
	out 0x43, al
	; the cascade: the RTC's interrupt comes by the second 8259
	mov dword [count], 0
	mov al, 0x0b
	out 0x70, al
	in al, 0x71
	or al, 0x40
	mov bl, al
	mov al, 0x0b
	out 0x70, al
	mov al, bl
	out 0x71, al
	mov al, 0x0c
	out 0x70, al
	in al, 0x71
	mov al, 0xfb
	out 0x21, al
	mov al, 0xfe
	out 0xa1, al
	sti
	WAITFOR 1
	cli
	mov al, 0xff
	out 0x21, al
	out 0xa1, al
	mov al, 0x0b
	out 0x70, al
	mov al, bl
	and al, ~0x40
	out 0x71, al
	mov al, 0x0c
	out 0x70, al
	in al, 0x71
	WAPIC LVT0, 0x10000
	ret

x2apic:
	mov eax, 1
	cpuid
	bt ecx, 21
	jnc .none
	mov ecx, 0x1b
	rdmsr
	test eax, 0x400
	jnz .on
	or eax, 0x400
	wrmsr
.on:	rdmsr
	test eax, 0x400
	ASSERT nz
	mov dword [count], 0
	mov ecx, 0x83f
	mov eax, 0x40
	xor edx, edx
	wrmsr
	sti
	nop
	nop
	cli
	; the handler's EOI went to xAPIC's address and was not heard
	ASSERT_EQ dword [count], 1
	mov ecx, 0x812
	rdmsr
	test eax, 1
	ASSERT nz
	mov ecx, 0x80b
	xor eax, eax
	xor edx, edx
	wrmsr
	mov ecx, 0x812
	rdmsr
	test eax, 1
	ASSERT z
	mov ecx, 0x80b
	mov eax, 1
	FAULTS 13, 0, wrmsr
	mov ecx, 0x802
	FAULTS 13, 0, wrmsr
	; ICR is one 64-bit register
	mov ecx, 0x830
	mov eax, 0x40000 | 0x50
	xor edx, edx
	wrmsr
	sti
	nop
	nop
	cli
	ASSERT_EQ dword [count], 2
	mov ecx, 0x80b
	xor eax, eax
	wrmsr
	; there is no way back but by disabling
	mov ecx, 0x1b
	rdmsr
	and eax, ~0x400
	FAULTS 13, 0, wrmsr
	and eax, ~0xc00
	wrmsr
	or eax, 0x800
	wrmsr
.none:	ret

	align 8
where:	dq 0
count:	dd 0
nmi_count: dd 0
nmi_nest: dd 0
