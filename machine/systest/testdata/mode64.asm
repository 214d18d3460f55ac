; Between user and system, in hot loops: SYSCALL and SYSRET with what comes with
; them, IRET to both, CLI, STI and its shadow, PUSHF and POPF, with an interrupt
; that waits; alignment checks, NT and null selectors on the way.

%include "lib64.inc"

VEC	equ 0x41

test:	mov al, 0xff		; no interrupts but the test's own
	out 0x21, al
	out 0xa1, al
	mov ecx, 0xc0000081	; STAR: SYSCALL to 08, SYSRET to 20 + 16 and + 8
	xor eax, eax
	mov edx, 0x00200008
	wrmsr
	mov ecx, 0xc0000082
	lea rax, [entry]
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000084
	mov eax, 0x47700
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000102
	mov eax, 0x1234
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000101
	mov eax, 0x5678
	wrmsr

	; system calls
	mov dword [calls], 0
	USER_BEGIN 0x202
	mov r12d, 40
.call:	mov r13, 0x1111
	stc
	syscall
.back:	ASSERT c		; entry sets what R11 had
	mov rax, .back + UBASE
	ASSERT_EQ rcx, rax
	test r11d, 0x200
	ASSERT nz
	ASSERT_EQ r13, 0x1112
	mov ax, cs
	ASSERT_EQ ax, UCS64
	mov ax, ss
	ASSERT_EQ ax, UDS
	dec r12d
	jnz .call
	USER_END
	ASSERT_EQ dword [calls], 40
	mov ax, cs
	ASSERT_EQ ax, CS64

	; IRET within CPL 0: SS null, SS of data, flags
	mov r12d, 20
.iret:	mov rbp, rsp
	push 0
	push rbp
	push 0x0ad7		; all status flags, IF
	and qword [rsp], ~0x200
	push CS64
	lea rax, [.same]
	push rax
	iretq
.same:	pushfq
	pop rax
	ASSERT_EQ eax, 0x8d7
	ASSERT_EQ rsp, rbp
	mov ax, ss
	ASSERT_EQ ax, 0
	push DS64
	push rbp
	push 0x3002
	push CS64
	lea rax, [.data]
	push rax
	iretq
.data:	pushfq
	pop rax
	ASSERT_EQ eax, 0x3002
	mov ax, ss
	ASSERT_EQ ax, DS64
	; with AC, and with NT, ID
	push DS64
	push rbp
	push 0x244002
	push CS64
	lea rax, [.ac]
	push rax
	iretq
.ac:	pushfq
	pop rax
	ASSERT_EQ eax, 0x244002
	push 2
	popfq
	pushfq
	pop rax
	ASSERT_EQ eax, 2
	; faults: a selector beyond the table, not canonical, a data segment in CS
	push DS64
	push rbp
	push 2
	push 0xfff0
	lea rax, [.data]
	push rax
	FAULTS 13, 0xfff0, iretq
	mov qword [rsp + 8], DS64
	FAULTS 13, DS64, iretq
	mov qword [rsp + 8], CS64
	QEMU_DIFFERS			; it faults at the target
	mov rax, 1 << 47
	mov [rsp], rax
	FAULTS 13, 0, iretq
	QEMU_END
	mov rsp, rbp
	dec r12d
	jnz .iret

	call waiting
	call user_flags
	ret

; A system call that changes R13 and returns with carry set.
entry:	mov [save_rsp], rsp
	mov esp, KSTACK - 0x1000
	pushfq
	and qword [rsp], ~0x8d5		; status flags, which QEMU clears
	cmp qword [rsp], 2
	jne .bad
	pop rax
	mov ax, cs
	cmp ax, CS64
	jne .bad
	mov ax, ss
	cmp ax, DS64
	jne .bad
	swapgs
	mov r8, rcx
	mov ecx, 0xc0000101
	rdmsr
	mov rcx, r8
	cmp eax, 0x1234
	jne .bad
	swapgs
	inc r13
	add dword [calls], 1
	or r11d, 1
	mov rsp, [save_rsp]
	o64 sysret
.bad:	FAIL

; An interrupt waits for IF, which STI, POPF and IRET set.
waiting:
	mov r14d, 0xfee00000
	mov dword [r14 + 0xf0], 0x1ff
	mov dword [r14 + 0x80], 0
	mov rbx, [idt + VEC * 16]
	lea rax, [.came]
	mov [idt + VEC * 16], ax
	shr eax, 16
	mov [idt + VEC * 16 + 6], ax
	xor r15d, r15d
	mov r12d, 30
.more:	call .post		; STI, with the instruction behind it
	ASSERT_EQ r15d, 0
	sti
	inc r13d
.sti:	nop
	cli
	lea rax, [.sti]
	ASSERT_EQ [where], rax
	ASSERT_EQ r15d, 1
	; STI and CLI: never
	call .post
	sti
	cli
	nop
	ASSERT_EQ r15d, 0
	push 0x202		; POPF: at once
	popfq
.popf:	nop
	cli
	lea rax, [.popf]
	ASSERT_EQ [where], rax
	ASSERT_EQ r15d, 1
	call .post		; IRET
	mov rbp, rsp
	push DS64
	push rbp
	push 0x202
	push CS64
	lea rax, [.iret]
	push rax
	iretq
.iret:	nop
	cli
	lea rax, [.iret]
	ASSERT_EQ [where], rax
	ASSERT_EQ r15d, 1
	; none waits
	xor r15d, r15d
	sti
	nop
	cli
	push 0x202
	popfq
	nop
	cli
	ASSERT_EQ r15d, 0
	dec r12d
	jnz .more
	mov [idt + VEC * 16], rbx
	ret
.post:	xor r15d, r15d
	mov dword [r14 + 0x310], 0
	mov dword [r14 + 0x300], 0x40000 + VEC	; to itself
.wait:	test dword [r14 + 0x200 + (VEC / 32) * 0x10], 1 << (VEC & 31)
	jz .wait
	ret
.came:	inc r15d
	mov rax, [rsp]
	mov [where], rax
	mov dword [r14 + 0xb0], 0
	iretq

; What user code may not change, it does not.
user_flags:
	USER_BEGIN 0x202
	mov r12d, 10
.more:	push 0x3cd7
	and dword [rsp], ~0x500
	popfq
	pushfq
	pop rax
	ASSERT_EQ eax, 0xad7
	FAULTS 13, 0, cli
	FAULTS 13, 0, sti
	dec r12d
	jnz .more
	push 2
	popfq
	USER_END
	ret

	align 8
calls:	dq 0
where:	dq 0
save_rsp: dq 0
