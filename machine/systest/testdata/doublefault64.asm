; What comes of a fault while a fault is delivered (SDM volume 3, table 6-5).

%include "lib64.inc"

test:
	; #GP while #GP is delivered: #DF with code 0 on the interrupt stack, whatever
	; the stack pointer is
	mov byte [idt + 13 * 16 + 5], 0x0e
	mov r12, rsp
	mov qword [hook], .df
	mov dword [where], .one
	mov rbx, 0x800000000000
	mov eax, [rbx]
.one:	mov byte [idt + 13 * 16 + 5], 0x8e
	ASSERT_EQ dword [count], 1
	; #PF while #PF is delivered: the stack is not there
	mov rsp, TVA + 0x1000
	mov qword [PT0], 0
	invlpg [TVA]
	mov dword [where], .two
	mov eax, [TVA + 8]
.two:	mov rsp, r12
	ASSERT_EQ dword [count], 2
	mov rax, cr2
	ASSERT_EQ rax, TVA + 0x1000 - 8
	; #NP while #PF is delivered
	mov byte [idt + 14 * 16 + 5], 0x0e
	mov dword [where], .three
	mov eax, [TVA + 8]
.three:	ASSERT_EQ dword [count], 3
	mov byte [idt + 14 * 16 + 5], 0x8e
	; #PF while #GP is delivered is a page fault
	mov qword [hook], 0
	mov byte [idt + 14 * 16 + 4], 1
	mov rsp, TVA + 0x1000
	mov dword [resume], .four
	mov eax, [rbx]
.four:	mov rsp, r12
	ASSERT_EQ dword [got_vec], 14
	ASSERT_EQ dword [got_code], 2
	mov byte [idt + 14 * 16 + 4], 0
	; #UD is benign: a page fault of its delivery is one
	mov byte [idt + 14 * 16 + 4], 1
	mov rsp, TVA + 0x1000
	mov dword [resume], .five
	ud2
.five:	mov rsp, r12
	ASSERT_EQ dword [got_vec], 14
	mov byte [idt + 14 * 16 + 4], 0
	mov dword [count], 0
	ret
.df:	ASSERT_EQ dword [rsp], 8
	ASSERT_EQ dword [rsp + 8], 0
	lea rax, [rsp + 56]
	ASSERT_EQ rax, IST1
	inc dword [count]
	mov eax, [where]
	mov [rsp + 16], rax
	add rsp, 16
	iretq

where:	dd 0
count:	dd 0
