; Long mode: call gates, far transfers, interrupt stacks, IRET's rules.
; qemu-differs: L and D both set, checks of call gates (SDM volume 3, 5.8.3.1)

%include "lib64.inc"

GATE	equ FREESEL		; 16 bytes
GATE2	equ FREESEL + 16
BADCS	equ FREESEL + 32
CONF	equ FREESEL + 40

%macro CALLGATE 4		; selector, code segment, offset, access byte
	mov rax, %3
	mov [gdt + %1], ax
	mov word [gdt + %1 + 2], %2
	mov word [gdt + %1 + 4], (%4) << 8
	shr rax, 16
	mov [gdt + %1 + 6], ax
	shr rax, 16
	mov [gdt + %1 + 8], eax
	mov dword [gdt + %1 + 12], 0
%endmacro

test:
	CALLGATE GATE, CS64, .inner, 0xec
	CALLGATE GATE2, CS64, .same, 0x8c
	mov rax, 0x00ef9b000000ffff		; L and D
	mov [gdt + BADCS], rax
	mov rax, 0x00af9f000000ffff		; conforming
	mov [gdt + CONF], rax
	; same level: 8-byte slots
	mov rbx, rsp
	call dword far [.gate2]
.r1:	ASSERT_EQ rsp, rbx
	ASSERT_EQ eax, 0x11
	; from user mode: a new stack, SS is null
	USER_BEGIN
	mov rbx, rsp
	call dword far [rel .gate]
.r2:	ASSERT_EQ rsp, rbx
	ASSERT_EQ eax, 0x22
	mov eax, ss
	ASSERT_EQ eax, UDS
	FAULTS 13, GATE2, call dword far [rel .gate2]
	FAULTS 13, CS64, jmp dword far [rel .gate]
	FAULTS 13, CS64, jmp dword far [rel .kernel]
	FAULTS 13, 0, jmp dword far [rel .null]
	jmp dword far [rel .conforming]
.conf:	mov eax, cs
	ASSERT_EQ eax, CONF | 3
	jmp dword far [rel .user]
.back:	USER_END
	FAULTS 13, BADCS, jmp dword far [.bad]
	; compatibility-mode call gate types are not gates here
	mov byte [gdt + GATE2 + 5], 0x84
	FAULTS 13, GATE2, call dword far [.gate2]
	mov byte [gdt + GATE2 + 5], 0x0c
	FAULTS 11, GATE2, call dword far [.gate2]
	mov byte [gdt + GATE2 + 5], 0x8c
	mov dword [gdt + GATE2 + 12], 0x0100	; type of the upper half
	FAULTS 13, GATE2, call dword far [.gate2]
	mov dword [gdt + GATE2 + 12], 0
	mov dword [gdt + GATE2 + 8], 0x8000
	FAULTS 13, 0, call dword far [.gate2]		; not canonical
	mov word [gdt + GATE2 + 2], CS32
	FAULTS 13, CS32, call dword far [.gate2]
	; IRET: to a null SS at CPL 0, NT, far RIP, bad segments
	mov rbx, rsp
	push 0
	push rbx
	pushfq
	push CS64
	lea rax, [.i1]
	push rax
	iretq
.i1:	mov eax, ss
	ASSERT_EQ eax, 0
	ASSERT_EQ rsp, rbx
	mov eax, DS64
	mov ss, eax
%macro BADIRET 4		; code, CS, SS, RIP
	push %3
	push rbx
	pushfq
	push %2
	mov rax, %4
	push rax
	mov byte [idt + 13 * 16 + 4], 1
	FAULTS 13, %1, iretq
	mov byte [idt + 13 * 16 + 4], 0
	mov rsp, rbx
%endmacro
	BADIRET 0, 0, DS64, .i1
	BADIRET DS64, DS64, DS64, .i1
	BADIRET 0, CS64, DS64, 0x800000000000
	BADIRET 0, UCS64, 0, .i1
	BADIRET 0, UCS64, 3, .i1
	BADIRET DS64, UCS64, DS64, .i1
	pushfq
	or dword [rsp], 0x4000
	popfq
	FAULTS 13, 0, iretq
	pushfq
	and dword [rsp], ~0x4000
	popfq
	; the stack is aligned to 16 bytes
	mov rbx, rsp
	lea rsp, [rbx - 3]
	TRAPS 3, int3
	mov rax, [got_frame]
	lea rcx, [rbx - 3]
	ASSERT_EQ [got_rsp], rcx
	mov rsp, rbx
	add eax, 64				; behind SS
	and eax, 15
	ASSERT z
	; IST, from CPL 0 too
	mov byte [idt + 3 * 16 + 4], 2
	TRAPS 3, int3
	mov byte [idt + 3 * 16 + 4], 0
	mov rax, [got_frame]
	ASSERT_EQ rax, IST2 - 64
	ASSERT_EQ qword [got_rsp], rbx
	; an IST that is not canonical
	mov rax, [tss + 36 + 8]
	mov rcx, 0x800000000000
	mov [tss + 36 + 8], rcx
	mov byte [idt + 6 * 16 + 4], 2
	FAULTS 12, 1, ud2
	mov byte [idt + 6 * 16 + 4], 0
	mov [tss + 36 + 8], rax
	ret
.same:	lea rcx, [rbx - 16]
	ASSERT_EQ rsp, rcx
	ASSERT_EQ qword [rsp], .r1
	ASSERT_EQ qword [rsp + 8], CS64
	mov eax, 0x11
	o64 retf
.inner:	ASSERT_EQ rsp, ISTACK - 32
	mov eax, .r2 + UBASE
	ASSERT_EQ [rsp], rax
	ASSERT_EQ qword [rsp + 8], UCS64
	ASSERT_EQ [rsp + 16], rbx
	ASSERT_EQ qword [rsp + 24], UDS
	mov eax, ss
	ASSERT_EQ eax, 0
	mov eax, 0x22
	o64 retf
	align 8
.gate:	dd 0x12345678
	dw GATE
.gate2:	dd 0
	dw GATE2
.kernel: dd 0
	dw CS64
.null:	dd 0
	dw 0
.bad:	dd 0
	dw BADCS
.conforming: dd .conf + UBASE
	dw CONF
.user:	dd .back + UBASE
	dw UCS64
