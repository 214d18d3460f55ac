; Single stepping and breakpoints: DR0-DR3, DR6, DR7, RF, general detect.
; qemu-differs: no RF in what faults push, none of the shadow of MOV SS for single
;   steps, no breakpoints on locked or crossing accesses in time (SDM volume 3, 17.3)

%include "lib64.inc"

; STEPS n: the block up to here took n single steps; each is recorded by step_hook.
%macro STEP_ON 0
	mov dword [steps], 0
	mov qword [hook], step_hook
	pushfq
	or dword [rsp], 0x100
	popfq
%endmacro
%macro STEP_OFF 0
	pushfq
	and dword [rsp], ~0x100
	popfq
	mov qword [hook], 0
%endmacro

; The last step is behind POPF: PUSHF, AND and POPF count.
OFF	equ 3

test:
	mov rax, 0xffff0ff0
	mov dr6, rax
	mov eax, 0x400
	mov dr7, rax
	call stepping
	call breakpoints
	call detect
	mov eax, 0x400
	mov dr7, rax
	ret

step_hook:
	push rax
	mov eax, [rsp + 8]
	cmp eax, 1
	ASSERT e
	mov rax, dr6
	test eax, 0x4000
	ASSERT nz
	and eax, ~0x4000
	mov dr6, rax
	mov eax, [steps]
	inc dword [steps]
	cmp eax, 64
	jae .full
	push rbx
	mov rbx, [rsp + 32]
	mov [trace + rax * 8], rbx
	pop rbx
.full:	test dword [rsp + 40], 0x10000	; RF is never pushed by a trap
	ASSERT z
	pop rax
	add rsp, 16
	iretq

stepping:
	STEP_ON
	nop
.a:	nop
	inc eax
.b:	STEP_OFF
	ASSERT_EQ dword [steps], 3 + OFF
	mov eax, .a
	ASSERT_EQ [trace], rax
	mov eax, .b
	ASSERT_EQ [trace + 16], rax
	; jumps, taken and not
	STEP_ON
	jmp .c
.c:	xor eax, eax
	jz .d
	nop
.d:	jnz .a
	call .ret
	STEP_OFF
	ASSERT_EQ dword [steps], 6 + OFF
	; REP: a step for each iteration
	lea rdi, [buffer]
	mov ecx, 5
	mov al, 0x11
	STEP_ON
	rep stosb
.e:	STEP_OFF
	ASSERT_EQ dword [steps], 5 + OFF
	mov eax, .e
	ASSERT_EQ [trace + 32], rax
	sub rax, 2
	ASSERT_EQ [trace + 24], rax
	ASSERT_EQ byte [buffer + 4], 0x11
	; with a count of zero, one
	xor ecx, ecx
	STEP_ON
	rep stosb
	STEP_OFF
	ASSERT_EQ dword [steps], 1 + OFF
	lea rsi, [buffer]
	lea rdi, [buffer]
	mov ecx, 3
	STEP_ON
	repe cmpsb
	STEP_OFF
	ASSERT_EQ dword [steps], 3 + OFF
	; MOV SS holds the trap back by one instruction
	mov eax, ss
	STEP_ON
	mov ss, eax
	nop
.f:	nop
	STEP_OFF
	ASSERT_EQ dword [steps], 2 + OFF
	mov eax, .f
	ASSERT_EQ [trace], rax
	; POPF that sets TF does not trap, the instruction behind does (above); IRET too
	mov dword [steps], 0
	mov qword [hook], step_hook
	mov rbx, rsp
	mov eax, ss
	push rax
	push rbx
	pushfq
	or dword [rsp], 0x100
	mov eax, cs
	push rax
	mov eax, .g
	push rax
	iretq
.g:	nop
.h:	STEP_OFF
	ASSERT_EQ dword [steps], 1 + OFF
	mov eax, .h
	ASSERT_EQ [trace], rax
	; INT n under TF: the handler is not stepped, and no trap in it
	mov rax, [idt + 0x71 * 16]
	mov [saved], rax
	mov eax, .handler
	mov [idt + 0x71 * 16], ax
	shr eax, 16
	mov [idt + 0x71 * 16 + 6], ax
	STEP_ON
	int 0x71
.i:	nop
.j:	STEP_OFF
	mov rax, [saved]
	mov [idt + 0x71 * 16], rax
	ASSERT_EQ dword [steps], 1 + OFF
	mov eax, .j
	ASSERT_EQ [trace], rax
	; a step over SYSCALL: FMASK takes TF away, SYSRET brings it back with a trap
	mov ecx, 0xc0000081
	xor eax, eax
	mov edx, 0x00200000 + CS64	; user 0x20 | 3 and on, kernel 8
	wrmsr
	mov ecx, 0xc0000082
	mov eax, .entry
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000084
	mov eax, 0x700
	wrmsr
	mov qword [hook], step_hook
	mov dword [steps], 0
	USER_BEGIN 0x3102
	nop
	syscall
.k:	nop
	pushfq
	and dword [rsp], ~0x100
	popfq
	USER_END
	mov qword [hook], 0
	ASSERT_EQ dword [steps], 6
	mov eax, .k + UBASE
	ASSERT_EQ [trace + 8], rax
	ret
.ret:	ret
.handler:
	nop
	iretq
.entry:	nop
	o64 sysret

; BREAK n, address, type and length: sets breakpoint n alone.
%macro BREAK 3
	mov rax, %2
	mov dr%1, rax
	mov eax, 0x400 | 2 << (%1 * 2) | (%3) << (16 + %1 * 4)
	mov dr7, rax
	mov eax, 0xffff0ff0
	mov dr6, rax
%endmacro
EXEC	equ 0
WRITE	equ 1
RW	equ 3
IO	equ 2
LEN2	equ 4
LEN4	equ 12
LEN8	equ 8

; HITS n, instruction: a data breakpoint n, reported behind the instruction.
%macro HITS 2+
	TRAPS 1, %2
	mov rax, dr6
	ASSERT_EQ eax, 0xffff0ff0 | 1 << %1
	mov eax, 0xffff0ff0
	mov dr6, rax
%endmacro

; MISSES instruction: no trap comes (it would be unexpected).
%macro MISSES 1+
	mov qword [resume], 0
	%1
%endmacro

breakpoints:
	lea rbx, [buffer]
	xor eax, eax
	; execution: a fault, before the instruction
	BREAK 0, .x1, EXEC
	mov ecx, 1
	mov dword [resume], .x2
.x1:	mov ecx, 2
.x2:	ASSERT_EQ ecx, 1
	ASSERT_EQ dword [got_vec], 1
	mov eax, .x1
	ASSERT_EQ [got_rip], rax
	test dword [got_flags], 0x10000
	ASSERT z
	mov rax, dr6
	ASSERT_EQ eax, 0xffff0ff1
	; with RF in the flags that IRET loads, the instruction runs
	mov qword [hook], .set_rf
	mov dword [hits], 0
	BREAK 0, .x3, EXEC
.x3:	mov ecx, 3
	ASSERT_EQ ecx, 3
	ASSERT_EQ dword [hits], 1
	; and RF is gone behind it
	mov ecx, 5
	BREAK 3, .x4, EXEC
	mov dword [hits], 0
.x4:	dec ecx
	jnz .x4
	ASSERT_EQ dword [hits], 5
	; RF lasts through all of a REP instruction
	BREAK 1, .x5, EXEC
	mov dword [hits], 0
	mov ecx, 9
	lea rdi, [rbx]
.x5:	rep stosb
	ASSERT_EQ dword [hits], 1
	ASSERT_EQ ecx, 0
	mov qword [hook], 0
	; a fault pushes RF; with no breakpoint the flags after IRET are clean
	BREAK 0, buffer, EXEC
	lea rbx, [buffer]
	FAULTS 6, 0, ud2
	test dword [got_flags], 0x10000
	ASSERT nz
	TRAPS 3, int3
	test dword [got_flags], 0x10000
	ASSERT z

	; data
	BREAK 0, buffer + 16, WRITE | LEN4
	HITS 0, mov [rbx + 16], eax
	HITS 0, mov [rbx + 19], al
	HITS 0, mov [rbx + 12], rax
	HITS 0, mov [rbx + 9], rax
	MISSES mov [rbx + 8], rax
	MISSES mov [rbx + 20], eax
	MISSES mov ecx, [rbx + 16]
	HITS 0, inc dword [rbx + 16]
	HITS 0, lock inc dword [rbx + 16]
	HITS 0, xchg eax, [rbx + 16]
	HITS 0, bts dword [rbx + 16], 3
	lea rdi, [rbx + 16]
	HITS 0, stosd
	mov rcx, rsp
	lea rsp, [rbx + 24]
	mov byte [idt + 16 + 4], 1
	HITS 0, push rcx
	mov byte [idt + 16 + 4], 0
	mov rsp, rcx
	BREAK 2, buffer + 16, RW | LEN8
	HITS 2, mov ecx, [rbx + 16]
	HITS 2, mov cl, [rbx + 23]
	HITS 2, mov [rbx + 23], cl
	MISSES mov cl, [rbx + 24]
	lea rsi, [rbx + 16]
	HITS 2, lodsb
	HITS 2, cmp [rbx + 16], eax
	; a REP stops behind the element that hits
	BREAK 2, buffer + 16, RW
	lea rdi, [rbx + 12]
	mov ecx, 8
	mov dword [resume], .rep2
.rep:	rep stosb
	FAIL
.rep2:	ASSERT_EQ ecx, 3
	ASSERT_EQ dword [got_vec], 1
	mov eax, .rep
	ASSERT_EQ [got_rip], rax
	BREAK 0, buffer + 1, WRITE | LEN2	; the low bit is ignored
	HITS 0, mov [rbx], al
	HITS 0, mov [rbx + 1], al
	MISSES mov [rbx + 2], al
	; not enabled: DR7 without L and G bits
	mov eax, 0x400 | (WRITE | LEN2) << 16
	mov dr7, rax
	MISSES mov [rbx], al
	; I/O
	mov rax, cr4
	or eax, 8
	mov cr4, rax
	BREAK 1, 0x80, IO | LEN2
	HITS 1, out 0x80, al
	HITS 1, out 0x81, al
	MISSES out 0xe0, al
	HITS 1, in al, 0x80
	mov eax, 0x400
	mov dr7, rax
	; DR4 and DR5 are DR6 and DR7, but with CR4.DE #UD
	FAULTS 6, 0, db 0x0f, 0x21, 0xe0	; mov rax, dr4
	FAULTS 6, 0, db 0x0f, 0x23, 0xe8
	mov rax, cr4
	and eax, ~8
	mov cr4, rax
	mov rcx, dr6
	db 0x0f, 0x21, 0xe0
	ASSERT_EQ rax, rcx
	; fixed bits
	mov eax, 0
	mov dr6, rax
	mov rax, dr6
	mov ecx, 0xffff0ff0
	ASSERT_EQ rax, rcx
	xor eax, eax
	mov dr7, rax
	mov rax, dr7
	ASSERT_EQ rax, 0x400
	bts rax, 33
	FAULTS 13, 0, mov dr7, rax
	FAULTS 13, 0, mov dr6, rax
	; ICEBP
	TRAPS 1, db 0xf1
	ret
.set_rf:
	or dword [rsp + 32], 0x10000
	inc dword [hits]
	add rsp, 16
	iretq

detect:
	mov eax, 0xffff0ff0
	mov dr6, rax
	mov eax, 0x2400
	mov dr7, rax
	FAULTS 1, 0, mov rax, dr0
	mov rax, dr6
	ASSERT_EQ eax, 0xffff2ff0
	mov rax, dr7
	ASSERT_EQ eax, 0x400
	ret

	align 16
buffer:	times 64 db 0
trace:	times 64 dq 0
saved:	dq 0
steps:	dd 0
hits:	dd 0
