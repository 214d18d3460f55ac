; Four-level paging: permissions, accessed and dirty bits, reserved bits, large
; pages, accesses that cross pages, and what the TLB may keep.
; qemu-differs: a read-modify-write reports a read, reserved bits of large pages
;   are not looked at, PCIDE can be set with a PCID (SDM volume 3, 4.7 and 4.10.1)

%include "lib64.inc"

; MAPTEST n, flags: maps test page n to its own physical page.
%macro MAPTEST 2
	mov rax, TPA + (%1) * 0x1000 + (%2)
	mov [PT0 + (%1) * 8], rax
	invlpg [TVA + (%1) * 0x1000]
%endmacro

P	equ 1
W	equ 2
U	equ 4
A	equ 0x20
D	equ 0x40
G	equ 0x100

test:
	call accessed_dirty
	call permissions
	call no_execute
	call reserved
	call crossing
	call large
	call smep_smap
	call globals
	call stale
	call fetch_crossing
	ret

accessed_dirty:
	MAPTEST 0, P | W
	mov r8d, TVA
	ASSERT_EQ qword [PT0], TPA + P + W
	mov eax, [r8]
	ASSERT_EQ qword [PT0], TPA + P + W + A
	mov [r8], eax
	ASSERT_EQ qword [PT0], TPA + P + W + A + D
	MAPTEST 0, P | W
	mov [r8 + 4], eax
	ASSERT_EQ qword [PT0], TPA + P + W + A + D
	MAPTEST 0, P | W
	lock inc dword [r8]
	ASSERT_EQ qword [PT0], TPA + P + W + A + D
	MAPTEST 0, P | W
	lock cmpxchg [r8], eax
	ASSERT_EQ qword [PT0], TPA + P + W + A + D
	; the dirty bit is cleared behind the TLB's back, and INVLPG makes it seen
	and byte [PT0], ~D
	invlpg [r8]
	mov [r8], eax
	test byte [PT0], D
	ASSERT nz
	; the tables above are accessed too
	test byte [PDU + 511 * 8], A
	ASSERT nz
	and byte [PDU + 511 * 8], ~A
	invlpg [r8]
	mov eax, [r8]
	test byte [PDU + 511 * 8], A
	ASSERT nz
	; a write that faults leaves the dirty bit
	mov rax, cr0
	or eax, 0x10000
	mov cr0, rax
	MAPTEST 0, P
	FAULTS 14, 3, mov [r8], eax
	test byte [PT0], D
	ASSERT z
	ret

permissions:
	; CR0.WP
	MAPTEST 0, P
	mov rax, cr0
	or eax, 0x10000
	mov cr0, rax
	mov eax, [r8]
	FAULTS 14, 3, mov [r8], eax
	FAULTS 14, 3, inc dword [r8]
	FAULTS 14, 3, lock inc dword [r8]
	FAULTS 14, 3, xchg eax, [r8]
	FAULTS 14, 3, bts dword [r8], 3
	FAULTS 14, 3, not byte [r8 + 7]
	ASSERT_CR2 TVA + 7
	; CMPXCHG writes even where the comparison fails
	mov eax, [r8]
	not eax
	FAULTS 14, 3, cmpxchg [r8], ecx
	FAULTS 14, 3, lock cmpxchg [r8], ecx
	mov rax, cr0
	and eax, ~0x10000
	mov cr0, rax
	mov [r8], ecx
	test byte [PT0], D
	ASSERT nz
	mov rax, cr0
	or eax, 0x10000
	mov cr0, rax
	FAULTS 14, 3, mov [r8], ecx
	; user mode
	MAPTEST 1, P | W
	MAPTEST 2, P | U
	MAPTEST 3, P | W | U
	USER_BEGIN
	mov r8d, TVA
	FAULTS 14, 5, mov eax, [r8]
	FAULTS 14, 5, mov eax, [r8 + 0x1000]
	FAULTS 14, 7, mov [r8 + 0x1000], eax
	FAULTS 14, 7, inc dword [r8 + 0x1000]
	mov eax, [r8 + 0x2000]
	FAULTS 14, 7, mov [r8 + 0x2000], eax
	mov [r8 + 0x3000], eax
	FAULTS 14, 6, mov [r8 + 0x8000], eax
	USER_END
	; the directory's bits count as well
	and byte [PDU + 511 * 8], ~W
	mov rax, cr3
	mov cr3, rax
	FAULTS 14, 3, mov [r8 + 0x3000], eax
	or byte [PDU + 511 * 8], W
	and byte [PDU + 511 * 8], ~U
	mov rax, cr3
	mov cr3, rax
	mov [r8 + 0x3000], eax
	USER_BEGIN
	mov r8d, TVA
	FAULTS 14, 5, mov eax, [r8 + 0x3000]
	USER_END
	or byte [PDU + 511 * 8], U
	mov rax, cr3
	mov cr3, rax
	ret

no_execute:
	MAPTEST 3, P | W
	mov byte [r8 + 0x3000], 0xc3
	lea rax, [r8 + 0x3000]
	call rax
	bts qword [PT0 + 3 * 8], 63
	invlpg [r8 + 0x3000]
	mov dword [got_vec], 0xff
	mov dword [resume], .nx
	call rax
	mov edx, .nx
	jmp fail_line
.nx:	pop rcx
	ASSERT_EQ dword [got_vec], 14
	ASSERT_EQ dword [got_code], 0x11
	ASSERT_CR2 TVA + 0x3000
	ASSERT_EQ qword [got_rip], TVA + 0x3000
	mov eax, [r8 + 0x3000]
	; not present: code 0x10 with NX in force
	mov qword [PT0 + 3 * 8], 0
	invlpg [r8 + 0x3000]
	mov dword [resume], .np
	call r8_3000
	mov edx, .np
	jmp fail_line
.np:	pop rcx
	ASSERT_EQ dword [got_code], 0x10
	ret
r8_3000: lea rax, [r8 + 0x3000]
	add rsp, 8
	call rax
	ret

reserved:
	MAPTEST 0, P | W
	bts qword [PT0], 45		; beyond MAXPHYADDR
	invlpg [r8]
	FAULTS 14, 9, mov eax, [r8]
	FAULTS 14, 11, mov [r8], eax
	MAPTEST 0, P | W
	; PS in the PML4 and an unaligned large page
	mov rax, 0x2000 + P + W + 0x80
	mov [PD0 + 300 * 8], rax
	invlpg [300 * 0x200000]
	FAULTS 14, 9, mov eax, [300 * 0x200000]
	mov qword [PD0 + 300 * 8], 300 * 0x200000 + P + W + 0x80
	invlpg [300 * 0x200000]
	; NX while EFER.NXE is clear is reserved
	bts qword [PT0], 63
	invlpg [r8]
	mov eax, [r8]
	mov ecx, 0xc0000080
	rdmsr
	and eax, ~0x800
	wrmsr
	invlpg [r8]
	FAULTS 14, 9, mov eax, [r8]
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x800
	wrmsr
	MAPTEST 0, P | W
	ret

; An access that crosses into a page that is not there does nothing at all.
crossing:
	MAPTEST 0, P | W
	mov qword [PT0 + 8], 0
	invlpg [r8 + 0x1000]
	lea r9, [r8 + 0xffd]
	jmp crossing_body

%macro CROSSES 2+	; code, instruction
	mov rcx, [TPA + 0xff8]
	FAULTS 14, %1, %2
	ASSERT_CR2 TVA + 0x1000
	ASSERT_EQ rcx, [TPA + 0xff8]
%endmacro
crossing_body:
	mov r10, rsp
	CROSSES 0, mov rax, [r9]
	CROSSES 0, mov eax, [r9]
	CROSSES 0, mov ax, [r9 + 2]
	mov rax, -1
	CROSSES 2, mov [r9], rax
	CROSSES 2, mov [r9], eax
	CROSSES 2, mov [r9 + 2], ax
	CROSSES 2, add [r9], rax
	CROSSES 2, add [r9], eax
	CROSSES 2, add [r9 + 2], ax
	CROSSES 2, lock add [r9], rax
	CROSSES 2, lock add [r9 + 2], ax
	CROSSES 2, xchg [r9], rax
	CROSSES 2, xadd [r9], rax
	CROSSES 2, inc qword [r9]
	CROSSES 2, neg dword [r9]
	CROSSES 2, shl qword [r9], 3
	CROSSES 2, shld [r9], rax, 3
	CROSSES 2, bts qword [r9], 3
	CROSSES 2, cmpxchg [r9], rax
	CROSSES 2, lock cmpxchg8b [r9]
	fninit
	fldz
	CROSSES 2, fstp qword [r9]
	CROSSES 0, fld tword [r9]
	CROSSES 2, fnstenv [r9]
	CROSSES 2, mov qword [r9], 1
	CROSSES 2, sgdt [r9]
	mov rsi, r10
	mov rdi, r9
	CROSSES 2, stosq
	CROSSES 2, movsq
	mov rsi, r9
	mov rdi, r10
	CROSSES 0, lodsq
	CROSSES 0, cmpsq
	ASSERT_EQ rsi, r9
	ASSERT_EQ rdi, r10
	; pushes: the stack pointer stays; the frame needs a stack of its own
	mov byte [idt + 14 * 16 + 4], 1
	lea rsp, [r9 + 8]
	CROSSES 2, push rax
	CROSSES 2, push qword [r10]
	CROSSES 2, call crossing
	CROSSES 2, enter 16, 0
	lea rcx, [r9 + 8]
	ASSERT_EQ rsp, rcx
	mov rsp, r9
	FAULTS 14, 0, pop rax
	FAULTS 14, 0, ret
	FAULTS 14, 0, popfq
	ASSERT_EQ rsp, r9
	mov rsp, r10
	mov byte [idt + 14 * 16 + 4], 0
	ret

; Large pages, their accessed and dirty bits, and INVLPG of all of one.
PDL	equ 511			; the entry of PD0 that is used
LVA	equ PDL * 0x200000
large:
	mov rax, TPA - TPA % 0x200000 + P + W + 0x80
	mov [PD0 + PDL * 8], rax
	mov r9, LVA
	invlpg [r9]
	mov eax, [r9 + 0x5000]
	ASSERT_EQ byte [PD0 + PDL * 8], P + W + A + 0x80
	mov dword [r9 + 0x6000], 0x12345678
	ASSERT_EQ byte [PD0 + PDL * 8], P + W + A + D + 0x80
	ASSERT_EQ dword [TPA + 0x6000], 0x12345678
	; INVLPG of one address drops the translations of all
	mov eax, [r9 + 0x1000]
	mov eax, [r9 + 0x1ff000]
	mov [r9 + 0x1ff000], eax
	mov qword [PD0 + PDL * 8], 0
	invlpg [r9 + 0x3000]
	FAULTS 14, 0, mov eax, [r9 + 0x1000]
	FAULTS 14, 0, mov eax, [r9 + 0x1ff000]
	FAULTS 14, 2, mov [r9 + 0x1ff000], eax
	FAULTS 14, 0, mov eax, [r9 + 0x6000]
	; the same of code
	mov rax, TPA - TPA % 0x200000 + P + W + 0x80
	mov [PD0 + PDL * 8], rax
	mov dword [r9 + 0x7000], 0x90c3c3c3
	lea rax, [r9 + 0x7000]
	call rax
	bts qword [PD0 + PDL * 8], 63
	invlpg [r9]
	mov dword [resume], .nx
	call rax
	mov edx, .nx
	jmp fail_line
.nx:	pop rax
	ASSERT_EQ dword [got_code], 0x11
	; 1 GiB
	mov rax, 0x83
	mov [PDPT + 2 * 8], rax
	mov r9d, 0x80000000
	mov dword [TPA + 0x123], 0x55aa1234
	mov eax, [r9 + TPA + 0x123]
	ASSERT_EQ eax, 0x55aa1234
	ASSERT_EQ byte [PDPT + 2 * 8], P + W + A + 0x80
	mov [r9 + TPA + 0x123], eax
	ASSERT_EQ byte [PDPT + 2 * 8], P + W + A + D + 0x80
	mov qword [PDPT + 2 * 8], 0
	invlpg [r9]
	FAULTS 14, 0, mov eax, [r9 + TPA + 0x123]
	; replacing a large page by small ones
	mov rax, TPA - TPA % 0x200000 + P + W + 0x80
	mov [PD0 + PDL * 8], rax
	mov r9, LVA
	invlpg [r9]
	mov eax, [r9]
	mov rax, PT0 + P + W
	mov [PD0 + PDL * 8], rax
	invlpg [r9]
	MAPTEST 5, P | W
	mov dword [r9 + 0x5000], 77
	ASSERT_EQ dword [TPA + 0x5000], 77
	mov qword [PD0 + PDL * 8], 0
	invlpg [r9]
	ret

smep_smap:
	MAPTEST 3, P | W | U
	MAPTEST 4, P | W
	mov byte [r8 + 0x3000], 0xc3
	mov byte [r8 + 0x4000], 0xc3
	mov rax, cr4
	bts rax, 20
	mov cr4, rax
	lea rax, [r8 + 0x4000]
	call rax
	lea rax, [r8 + 0x3000]
	mov dword [resume], .smep
	call rax
	mov edx, .smep
	jmp fail_line
.smep:	pop rax
	ASSERT_EQ dword [got_code], 0x11
	ASSERT_CR2 TVA + 0x3000
	mov rax, cr4
	btr rax, 20
	mov cr4, rax
	lea rax, [r8 + 0x3000]
	call rax
	; SMAP
	mov rax, cr4
	bts rax, 21
	mov cr4, rax
	clac
	FAULTS 14, 1, mov eax, [r8 + 0x3000]
	FAULTS 14, 3, mov [r8 + 0x3000], eax
	FAULTS 14, 3, inc dword [r8 + 0x3000]
	mov eax, [r8 + 0x4000]
	stac
	mov eax, [r8 + 0x3000]
	mov [r8 + 0x3000], eax
	clac
	FAULTS 14, 1, mov eax, [r8 + 0x3000]
	pushfq
	or dword [rsp], 0x40000
	popfq
	mov eax, [r8 + 0x3000]
	; an exception clears AC no more than other flags, IRET brings it back
	TRAPS 3, int3
	mov eax, [r8 + 0x3000]
	; in user mode SMAP does not count
	USER_BEGIN
	mov r8d, TVA
	mov eax, [r8 + 0x3000]
	mov [r8 + 0x3000], eax
	USER_END
	clac
	mov rax, cr4
	btr rax, 21
	mov cr4, rax
	mov eax, [r8 + 0x3000]
	ret

; Global pages outlive a load of CR3, not a change of CR4.PGE or an INVLPG.
globals:
	mov rax, cr4
	or eax, 0x80
	mov cr4, rax
	MAPTEST 5, P | W | G
	MAPTEST 6, P | W
	mov dword [TPA + 0x5000], 5
	mov dword [TPA + 0x6000], 6
	mov dword [TPA + 0x7000], 7
	mov eax, [r8 + 0x5000]
	mov eax, [r8 + 0x6000]
	mov rax, TPA + 0x7000 + P + W
	mov [PT0 + 5 * 8], rax
	mov [PT0 + 6 * 8], rax
	mov rax, cr3
	mov cr3, rax
	ASSERT_EQ dword [r8 + 0x6000], 7
	; the global one may be either: both are allowed
	invlpg [r8 + 0x5000]
	ASSERT_EQ dword [r8 + 0x5000], 7
	MAPTEST 5, P | W | G
	mov eax, [r8 + 0x5000]
	mov rax, TPA + 0x7000 + P + W
	mov [PT0 + 5 * 8], rax
	mov rax, cr4
	and eax, ~0x80
	mov cr4, rax
	ASSERT_EQ dword [r8 + 0x5000], 7
	ret

; INVPCID and PCIDs.
stale:
	mov eax, 7
	xor ecx, ecx
	cpuid
	bt ebx, 10
	jnc .none
	MAPTEST 6, P | W
%macro STALE 1
	MAPTEST 6, P | W
	ASSERT_EQ dword [r8 + 0x6000], 6
	mov rax, TPA + 0x7000 + P + W
	mov [PT0 + 6 * 8], rax
	mov eax, %1
	invpcid rax, [.desc]
	ASSERT_EQ dword [r8 + 0x6000], 7
%endmacro
	STALE 0
	STALE 1
	STALE 2
	STALE 3
	mov eax, 4
	FAULTS 13, 0, invpcid rax, [.desc]
	mov eax, 1
	FAULTS 13, 0, invpcid rax, [.bad]
	xor eax, eax
	FAULTS 13, 0, invpcid rax, [.far]
	USER_BEGIN
	FAULTS 13, 0, invpcid rax, [.desc]
	USER_END
	mov eax, 1
	cpuid
	bt ecx, 17
	jnc .none
	mov rax, cr3
	mov rbx, rax
	or eax, 5
	mov rax, cr4
	bts rax, 17
	mov cr4, rax
	lea rcx, [rbx + 5]
	mov cr3, rcx
	MAPTEST 6, P | W
	ASSERT_EQ dword [r8 + 0x6000], 6
	mov rax, TPA + 0x7000 + P + W
	mov [PT0 + 6 * 8], rax
	mov cr3, rbx
	mov eax, [r8 + 0x6000]
	mov cr3, rcx			; without bit 63: PCID 5 is flushed
	ASSERT_EQ dword [r8 + 0x6000], 7
	bts rcx, 63
	mov cr3, rcx
	mov rax, cr3
	btr rcx, 63
	ASSERT_EQ rax, rcx
	; PG cannot be cleared, nor PCIDE be set with a PCID in CR3
	mov rax, cr4
	btr rax, 17
	mov cr4, rax
	bts rax, 17
	FAULTS 13, 0, mov cr4, rax
	mov cr3, rbx
.none:	ret
	align 16
.desc:	dq 0, TVA + 0x6000
.bad:	dq 0x1000, 0
.far:	dq 0, 0x800000000000

; An instruction that goes on in a page that is not there, or not executable.
fetch_crossing:
	MAPTEST 0, P | W
	mov qword [PT0 + 8], 0
	invlpg [r8 + 0x1000]
	mov dword [TPA + 0xffc], 0xb8909090	; nop nop nop mov eax, ...
	mov dword [TPA + 0x1000], 0x12345678
	mov byte [TPA + 0x1004], 0xc3
	lea rbx, [r8 + 0xffc]
	mov dword [resume], .one
	call rbx
	mov edx, .one
	jmp fail_line
.one:	pop rcx
	ASSERT_EQ dword [got_vec], 14
	ASSERT_EQ dword [got_code], 0x10
	ASSERT_CR2 TVA + 0x1000
	ASSERT_EQ qword [got_rip], TVA + 0xfff
	MAPTEST 1, P | W
	bts qword [PT0 + 8], 63
	invlpg [r8 + 0x1000]
	mov dword [resume], .two
	call rbx
	mov edx, .two
	jmp fail_line
.two:	pop rcx
	ASSERT_EQ dword [got_code], 0x11
	ASSERT_CR2 TVA + 0x1000
	ASSERT_EQ qword [got_rip], TVA + 0xfff
	btr qword [PT0 + 8], 63
	invlpg [r8 + 0x1000]
	call rbx
	ASSERT_EQ eax, 0x12345678
	; the second half changes
	mov byte [TPA + 0x1000], 0x79
	call rbx
	ASSERT_EQ eax, 0x12345679
	; the second page becomes another
	mov dword [TPA + 0x2000], 0x9abcdef0
	mov byte [TPA + 0x2004], 0xc3
	mov rax, TPA + 0x2000 + P + W
	mov [PT0 + 8], rax
	invlpg [r8 + 0x1000]
	call rbx
	ASSERT_EQ eax, 0x9abcdef0
	; a conditional jump that crosses, from two physical pages at one address
	mov rdi, TPA
	call .plant
	mov byte [TPA + 0x801], 1
	mov rdi, TPA + 0x3000
	call .plant
	mov byte [TPA + 0x3801], 2
	MAPTEST 1, P | W
	mov rdi, TPA + 0x1000
	mov word [rdi], 0xffff
	lea rbx, [r8 + 0xffd]
	call rbx
	ASSERT_EQ al, 1
	call rbx
	ASSERT_EQ al, 1
	mov rax, TPA + 0x3000 + P + W
	mov [PT0], rax
	invlpg [r8]
	call rbx
	ASSERT_EQ al, 2
	call rbx
	ASSERT_EQ al, 2
	MAPTEST 0, P | W
	call rbx
	ASSERT_EQ al, 1
	ret
; At 0xffd: JMP rel32 to 0x800, where MOV AL, n and RET are.
.plant:	mov byte [rdi + 0xffd], 0xe9
	mov word [rdi + 0xffe], 0xf7fe	; 0x800 - 0x1002 = -0x802
	mov word [rdi + 0x800], 0x00b0
	mov byte [rdi + 0x802], 0xc3
	ret
