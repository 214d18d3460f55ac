; 32-bit paging and PAE in protected mode: 4 MiB pages, PSE-36, 2 MiB pages, the
; PDPTE registers, NX, reserved bits.
; qemu-differs: a read-modify-write reports a read, PDPTE registers are not cached
;   (SDM volume 3, 4.4.1)

%include "lib32.inc"

PD	equ 0x260000
PT	equ 0x261000
PDPT	equ 0x262000		; PAE
PDE	equ 0x263000		; to 0x266fff
PTE	equ 0x267000
TVA	equ 0x40000000
TPA	equ 0x400000

	section .text
test:
	call paging32
	call pae
	ret

paging32:
	mov edi, PD
	mov ecx, 0x800
	xor eax, eax
	rep stosd
	mov eax, cr4
	or eax, 0x10			; PSE
	and eax, ~0x20
	mov cr4, eax
	; identity in 4 MiB pages, and the tests' pages
	mov eax, 0x87
	xor ecx, ecx
.pd:	mov [PD + ecx * 4], eax
	add eax, 0x400000
	inc ecx
	cmp ecx, 16
	jb .pd
	mov dword [PD + (TVA >> 22) * 4], PT + 7
	mov eax, PD
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80010000		; PG, WP
	mov cr0, eax
	mov ebx, TVA
	FAULTS 14, 0, mov eax, [ebx]
	FAULTS 14, 2, mov [ebx + 4], eax
	ASSERT_EQ dword [got_cr2], TVA + 4
	mov dword [PT], TPA + 3
	mov dword [ebx], 0x12345678
	ASSERT_EQ dword [TPA], 0x12345678
	ASSERT_EQ dword [PT], TPA + 0x63
	USER_BEGIN
	mov ebx, TVA
	FAULTS 14, 5, mov eax, [ebx]
	FAULTS 14, 7, mov [ebx], eax
	FAULTS 14, 7, inc dword [ebx]
	USER_END
	mov ebx, TVA
	mov dword [PT], TPA + 1
	invlpg [ebx]
	FAULTS 14, 3, mov [ebx], eax
	FAULTS 14, 3, lock inc dword [ebx]
	; across pages
	mov dword [PT], TPA + 3
	mov dword [PT + 4], 0
	invlpg [ebx]
	FAULTS 14, 2, mov [ebx + 0xffe], eax
	ASSERT_EQ dword [got_cr2], TVA + 0x1000
	FAULTS 14, 0, fld qword [ebx + 0xffc]
	; a 4 MiB page: A and D, INVLPG of all of it
	mov dword [PD + (TVA >> 22) * 4], 0x400083
	mov eax, cr3
	mov cr3, eax
	mov dword [ebx + 0x3ff000], 0x77
	ASSERT_EQ dword [0x7ff000], 0x77
	ASSERT_EQ dword [PD + (TVA >> 22) * 4], 0x4000e3
	mov dword [PD + (TVA >> 22) * 4], 0
	invlpg [ebx]
	FAULTS 14, 2, mov dword [ebx + 0x3ff000], 0x78
	; PSE-36: bits 13 to 20 are address bits 32 to 39; bit 21 is reserved
	mov dword [PD + (TVA >> 22) * 4], 0x600083
	FAULTS 14, 9, mov eax, [ebx]
	; without PSE it is a page table
	mov dword [PD + (TVA >> 22) * 4], PT + 0x87
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	ret

pae:
	mov edi, PDPT
	mov ecx, 0x1800
	xor eax, eax
	rep stosd
	mov eax, 0x83
	xor ecx, ecx
.pd:	mov [PDE + ecx * 8], eax
	add eax, 0x200000
	inc ecx
	cmp ecx, 32
	jb .pd
	mov dword [PDPT], PDE + 1
	mov dword [PDPT + 8], PDE + 0x1001
	mov dword [PDE + 0x1000], PTE + 7
	mov eax, cr4
	or eax, 0x20
	mov cr4, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x800
	wrmsr
	mov eax, PDPT
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80010000
	mov cr0, eax
	mov ebx, TVA
	FAULTS 14, 0, mov eax, [ebx]
	mov dword [PTE], TPA + 3
	mov dword [ebx], 5
	ASSERT_EQ dword [PTE], TPA + 0x63
	; NX
	mov byte [ebx], 0xc3
	call ebx
	mov dword [PTE + 4], 0x80000000
	invlpg [ebx]
	mov dword [resume], .nx
	call ebx
	FAIL
.nx:	pop eax
	ASSERT_EQ dword [got_code], 0x11
	ASSERT_EQ dword [got_eip], TVA
	ASSERT_EQ dword [got_cr2], TVA
	; reserved bits
	mov dword [PTE + 4], 0x00100000
	invlpg [ebx]
	FAULTS 14, 9, mov eax, [ebx]
	mov dword [PTE + 4], 0
	invlpg [ebx]
	mov eax, [ebx]
	; a PDPTE is read when CR3 is loaded, not later
	mov dword [PDPT + 8], 0
	mov eax, [ebx]
	invlpg [ebx]
	mov eax, [ebx]
	mov eax, cr3
	mov cr3, eax
	FAULTS 14, 0, mov eax, [ebx]
	; reserved bits in one: #GP for the load
	mov dword [PDPT + 8], PDE + 0x1003
	mov eax, PDPT
	FAULTS 13, 0, mov cr3, eax
	mov dword [PDPT + 8], PDE + 0x1001
	mov cr3, eax
	; 2 MiB pages
	mov dword [PDE + 0x1000], 0x400083
	mov cr3, eax
	mov dword [ebx + 0x1ff000], 0x99
	ASSERT_EQ dword [0x5ff000], 0x99
	ASSERT_EQ dword [PDE + 0x1000], 0x4000e3
	mov dword [PDE + 0x1000], 0
	invlpg [ebx + 0x1000]
	FAULTS 14, 0, mov eax, [ebx + 0x1ff000]
	mov eax, cr0
	and eax, 0x7fffffff
	mov cr0, eax
	mov eax, cr4
	and eax, ~0x30
	mov cr4, eax
	ret

	section low
low_size equ $ - low_start
