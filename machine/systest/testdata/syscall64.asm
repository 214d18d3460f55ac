; SYSCALL and SYSRET, SYSENTER and SYSEXIT, SWAPGS, FSGSBASE, RDTSCP, UMIP,
; CR4.TSD, the I/O permission map, compatibility mode with tables above 4 GiB.
; qemu-differs: SYSCALL in compatibility mode is AMD's (SDM volume 2, SYSCALL)

%include "lib64.inc"

HIGH	equ 0xffff800000000000

%macro WRMSR 2
	mov ecx, %1
	mov rax, %2
	mov rdx, rax
	shr rdx, 32
	wrmsr
%endmacro

test:
	call fast_calls
	call bases
	call umip
	call tsd
	call ports
	call compat
	ret

fast_calls:
	WRMSR 0xc0000081, (0x20 << 48) | (CS64 << 32)
	WRMSR 0xc0000082, .entry
	WRMSR 0xc0000084, 0x4700
	USER_BEGIN 0x3a03			; CF, IF, OF
	mov ebx, 1
	syscall
.ret:	pushfq
	pop rdx
	ASSERT_EQ ebx, 2
	and edx, 0x3f7fd7
	ASSERT_EQ edx, 0x3a03
	ASSERT_EQ ecx, .ret + UBASE
	mov eax, ss
	ASSERT_EQ eax, 0x2b
	mov eax, cs
	ASSERT_EQ eax, 0x33
	cli
	USER_END
	; EFER.SCE
	mov ecx, 0xc0000080
	rdmsr
	and eax, ~1
	wrmsr
	FAULTS 6, 0, syscall
	FAULTS 6, 0, o64 sysret
	mov ecx, 0xc0000080
	rdmsr
	or eax, 1
	wrmsr
	mov rcx, 0x800000000000
	FAULTS 13, 0, o64 sysret
	; SYSENTER
	WRMSR 0x174, 0
	USER_BEGIN
	FAULTS 13, 0, sysenter
	USER_END
	FAULTS 13, 0, sysexit
	; sysexit selectors: CS+16 = 0x20 user 32-bit, CS+32 = 0x30 user 64-bit
	WRMSR 0x174, 0x10
	WRMSR 0x175, IST2
	WRMSR 0x176, .enter
	USER_BEGIN 0x3203
	mov ebx, 3
	mov edi, USTACK + UBASE
	sysenter
	FAIL
.back:	ASSERT_EQ ebx, 4
	mov eax, cs
	ASSERT_EQ eax, 0x33
	mov eax, ss
	ASSERT_EQ eax, 0x3b
	mov eax, UDS
	mov ss, eax
	cli
	USER_END
	ret
.entry:	ASSERT_EQ ecx, .ret + UBASE
	mov eax, cs
	ASSERT_EQ eax, CS64
	mov eax, ss
	ASSERT_EQ eax, DS64
	mov rbp, rsp
	mov esp, KSTACK - 0x100
	pushfq
	pop rdx
	and edx, 0x4700
	ASSERT z
	mov rsp, rbp
	mov edx, r11d
	and edx, 0x3f7fd7
	ASSERT_EQ edx, 0x3a03
	inc ebx
	o64 sysret
.enter:	ASSERT_EQ esp, IST2
	pushfq
	pop rdx
	test edx, 0x200
	ASSERT z
	mov eax, cs
	ASSERT_EQ eax, 0x10			; as the MSR says, whatever is there
	inc ebx
	mov edx, .back + UBASE
	mov ecx, edi
	o64 sysexit

bases:
	WRMSR 0xc0000101, 0x1111000
	WRMSR 0xc0000102, 0xffff888811110000
	swapgs
	mov ecx, 0xc0000101
	rdmsr
	ASSERT_EQ edx, 0xffff8888
	ASSERT_EQ eax, 0x11110000
	swapgs
	mov ecx, 0xc0000100
	mov eax, buffer
	xor edx, edx
	wrmsr
	ASSERT_EQ qword [fs:8], 0x5555
	; a load of FS sets the base to that of the descriptor
	mov eax, DS64
	mov fs, eax
	mov ecx, 0xc0000100
	rdmsr
	ASSERT_EQ eax, 0
	xor eax, eax
	mov gs, eax
	; FSGSBASE
	mov rax, cr4
	btr rax, 16
	mov cr4, rax
	FAULTS 6, 0, rdfsbase rax
	mov rax, cr4
	bts rax, 16
	mov cr4, rax
	USER_BEGIN
	mov eax, buffer + UBASE
	wrfsbase rax
	ASSERT_EQ qword [fs:8], 0x5555
	rdfsbase rbx
	ASSERT_EQ rbx, rax
	mov rax, -1
	wrgsbase eax
	rdgsbase rbx
	shr rax, 32
	ASSERT_EQ rbx, rax
	rdgsbase ebx
	mov rax, 0x800000000000
	FAULTS 13, 0, wrfsbase rax
	USER_END
	mov rax, cr4
	btr rax, 16
	mov cr4, rax
	ret

umip:
	USER_BEGIN
	sgdt [buffer + 16]
	sidt [buffer + 16]
	sldt eax
	str eax
	smsw eax
	USER_END
	mov rax, cr4
	bts rax, 11
	mov cr4, rax
	USER_BEGIN
	FAULTS 13, 0, sgdt [buffer + 16]
	FAULTS 13, 0, sidt [buffer + 16]
	FAULTS 13, 0, sldt eax
	FAULTS 13, 0, str eax
	FAULTS 13, 0, smsw eax
	FAULTS 13, 0, sldt [buffer + 16]
	USER_END
	smsw eax
	str eax
	ASSERT_EQ eax, TSSSEL
	mov rax, cr4
	btr rax, 11
	mov cr4, rax
	ret

tsd:
	WRMSR 0xc0000103, 0x12345
	USER_BEGIN
	rdtsc
	rdtscp
	ASSERT_EQ ecx, 0x12345
	rdpid rcx
	ASSERT_EQ rcx, 0x12345
	USER_END
	mov rax, cr4
	bts rax, 2
	mov cr4, rax
	rdtsc
	USER_BEGIN
	FAULTS 13, 0, rdtsc
	FAULTS 13, 0, rdtscp
	rdpid rcx
	USER_END
	mov rax, cr4
	btr rax, 2
	mov cr4, rax
	; it does not go backwards
	rdtsc
	mov ebx, eax
	mov esi, edx
	rdtsc
	sub eax, ebx
	sbb edx, esi
	ASSERT ae
	ret

; The map: CPL 3 with IOPL 0. The segment's limit is 0x2067.
ports:
	or byte [tss + 104 + 0x81 / 8], 2
	USER_BEGIN 2
	in al, 0x80
	FAULTS 13, 0, in al, 0x81
	FAULTS 13, 0, in ax, 0x80
	FAULTS 13, 0, in eax, 0x7e
	in ax, 0x7f - 1
	FAULTS 13, 0, out 0x81, al
	mov edx, 0x81
	FAULTS 13, 0, out dx, al
	lea rdi, [buffer + 16]
	FAULTS 13, 0, insb
	lea rsi, [buffer + 16]
	FAULTS 13, 0, outsb
	mov dx, 0xffff
	FAULTS 13, 0, in al, dx			; needs the byte behind the map
	FAULTS 13, 0, in ax, dx
	FAULTS 13, 0, cli
	USER_END
	USER_BEGIN 0x1002
	FAULTS 13, 0, in al, 0x81
	USER_END
	and byte [tss + 104 + 0x81 / 8], ~2
	ret

; Descriptor tables and TSS where 32-bit code could not reach them.
compat:
	mov rax, [PML4]
	mov [PML4 + 256 * 8], rax
	lgdt [.gdt]
	lidt [.idt]
	mov dword [gdt + TSSSEL + 8], HIGH >> 32
	and byte [gdt + TSSSEL + 5], ~2
	mov eax, TSSSEL
	ltr ax
	mov rax, cr3
	mov cr3, rax
	mov [ksp], rsp
	push UDS
	mov eax, USTACK + UBASE
	push rax
	push 0x3002
	push UCS32
	mov eax, .user32 + UBASE
	push rax
	iretq
	bits 32
.user32:
	mov eax, UDS
	mov ds, eax
	mov es, eax
	mov ebx, UBASE
	inc eax
	dec eax					; INC and DEC in this mode
	mov dword [ebx + resume], .r1 + UBASE
	mov dword [ebx + got_vec], 0xff
	ud2
.r1:	cmp dword [ebx + got_vec], 6
	je .ok1
	mov edx, .ok1
	jmp fail_line
.ok1:	mov dword [ebx + resume], .r2 + UBASE
	syscall
.r2:	cmp dword [ebx + got_vec], 6
	je .ok2
	mov edx, .ok2
	jmp fail_line
.ok2:	; segment limits count here
	mov dword [ebx + resume], .r3 + UBASE
	mov eax, [0x7fe00000]
.r3:	cmp dword [ebx + got_vec], 14
	je .ok3
	mov edx, .ok3
	jmp fail_line
.ok3:	push ds
	pop es
	mov eax, cs
	cmp eax, UCS32
	je .ok4
	mov edx, .ok4
	jmp fail_line
.ok4:	; effective addresses wrap at 4 GiB
	mov eax, 0xfffffff0
	mov ecx, [eax + ebx + buffer + 8 + 0x10]	; above the base and round again
	cmp ecx, 0x5555
	je .ok5
	mov edx, .ok5
	jmp fail_line
.ok5:	jmp UCS64:.user64 + UBASE
	bits 64
.user64:
	mov rax, 0x123456789
	int 0x80
	mov eax, DS64
	mov ds, eax
	mov es, eax
	lgdt [gdt_ptr]
	lidt [idt_ptr]
	mov dword [gdt + TSSSEL + 8], 0
	and byte [gdt + TSSSEL + 5], ~2
	mov eax, TSSSEL
	ltr ax
	mov qword [PML4 + 256 * 8], 0
	mov rax, cr3
	mov cr3, rax
	ret
	align 8
.gdt:	dw gdt_end - gdt - 1
	dq HIGH + gdt
.idt:	dw 256 * 16 - 1
	dq HIGH + idt

	align 16
buffer:	dq 0, 0x5555, 0, 0, 0, 0, 0, 0
