; Locked instructions: aligned, across cache lines and pages; CMPXCHG8B and 16B.
; qemu-differs: a locked access across pages may be half done, alignment of
;   CMPXCHG16B in old versions (SDM volume 2, CMPXCHG8B)

%include "lib64.inc"

test:
	mov qword [PT0], TPA + 3
	mov qword [PT0 + 8], TPA + 0x2003	; not the next physical page
	mov qword [PT0 + 16], 0
	mov rax, cr3
	mov cr3, rax
	mov r8d, TVA
%assign off 0
%rep 3
%if off == 0
	lea rbx, [r8 + 0x100]			; aligned
%elif off == 1
	lea rbx, [r8 + 0x13d]			; over a cache line
%else
	lea rbx, [r8 + 0xffd]			; over a page
%endif
	mov rax, 0x1122334455667788
	mov [rbx], rax
	lock add qword [rbx], 0x12
	mov rcx, 0x112233445566779a
	ASSERT_EQ [rbx], rcx
	lock sub dword [rbx], 0x12
	ASSERT_EQ [rbx], rax
	lock xor word [rbx], 0x7788
	ASSERT_EQ word [rbx], 0
	lock or word [rbx], 0x7788
	ASSERT_EQ [rbx], rax
	stc
	lock adc dword [rbx], 0
	ASSERT_EQ dword [rbx], 0x55667789
	stc
	lock sbb dword [rbx], 0
	lock and dword [rbx], 0x55667788
	ASSERT_EQ [rbx], rax
	lock inc qword [rbx]
	lock dec qword [rbx]
	ASSERT_EQ [rbx], rax
	lock not qword [rbx]
	lock neg qword [rbx]
	inc rax
	ASSERT_EQ [rbx], rax
	dec rax
	lock dec qword [rbx]
	lock bts qword [rbx], 0
	ASSERT nc
	lock btr qword [rbx], 0
	ASSERT c
	lock btc dword [rbx], 3
	ASSERT c
	lock btc dword [rbx], 3
	ASSERT nc
	ASSERT_EQ [rbx], rax
	mov ecx, 0x1000
	lock xadd dword [rbx], ecx
	ASSERT_EQ ecx, 0x55667788
	ASSERT_EQ dword [rbx], 0x55668788
	xchg [rbx], ecx
	ASSERT_EQ ecx, 0x55668788
	ASSERT_EQ [rbx], rax
	mov rdx, 0x99
	lock cmpxchg [rbx], rdx
	ASSERT z
	ASSERT_EQ qword [rbx], 0x99
	lock cmpxchg [rbx], rdx
	ASSERT nz
	ASSERT_EQ eax, 0x99
	; a 32-bit failure clears the upper half of RAX, success leaves it
	mov rax, 0x1234567800000099
	lock cmpxchg [rbx], edx
	ASSERT z
	mov rcx, 0x1234567800000099
	ASSERT_EQ rax, rcx
	mov eax, 1
	lock cmpxchg [rbx], edx
	ASSERT nz
	ASSERT_EQ rax, 0x99
	; CMPXCHG8B
	mov rax, 0x1122334455667788
	mov [rbx], rax
	mov eax, 0x55667788
	mov edx, 0x11223344
	push rbx
	mov rdi, rbx
	mov ebx, 0xaaaaaaaa
	mov ecx, 0xbbbbbbbb
	lock cmpxchg8b [rdi]
	ASSERT z
	mov rbp, 0xbbbbbbbbaaaaaaaa
	ASSERT_EQ [rdi], rbp
	lock cmpxchg8b [rdi]
	ASSERT nz
	ASSERT_EQ eax, 0xaaaaaaaa
	ASSERT_EQ edx, 0xbbbbbbbb
	pop rbx
%assign off off + 1
%endrep
	; CMPXCHG16B
	lea rdi, [r8 + 0x200]
	mov qword [rdi], 1
	mov qword [rdi + 8], 2
	mov eax, 1
	mov edx, 2
	mov ebx, 3
	mov ecx, 4
	lock cmpxchg16b [rdi]
	ASSERT z
	ASSERT_EQ qword [rdi], 3
	ASSERT_EQ qword [rdi + 8], 4
	cmpxchg16b [rdi]
	ASSERT nz
	ASSERT_EQ rax, 3
	ASSERT_EQ rdx, 4
	FAULTS 13, 0, cmpxchg16b [rdi + 8]
	FAULTS 13, 0, lock cmpxchg16b [rdi + 1]
	; LOCK where it may not be
	FAULTS 6, 0, db 0xf0, 0x48, 0x89, 0x07	; MOV
	FAULTS 6, 0, db 0xf0, 0x01, 0xc0	; register
	FAULTS 6, 0, db 0xf0, 0x0f, 0xa3, 0x07	; BT
	FAULTS 6, 0, db 0xf0, 0xff, 0x37	; PUSH
	FAULTS 6, 0, db 0xf0, 0x3b, 0x07	; CMP
	FAULTS 6, 0, db 0xf0, 0x85, 0x07	; TEST
	FAULTS 6, 0, db 0xf0, 0x03, 0x07	; ADD r, m
	FAULTS 6, 0, db 0xf0, 0xd1, 0x27	; SHL
	FAULTS 6, 0, db 0xf0, 0xa5		; MOVS
	FAULTS 6, 0, db 0xf0, 0x0f, 0xb1, 0xc1	; CMPXCHG r, r
	FAULTS 6, 0, db 0xf0, 0x87, 0xc1	; XCHG r, r
	; across into a page that is not there
	lea rbx, [r8 + 0x1ffd]
	mov word [r8 + 0x1ffd], 0x1234
	FAULTS 14, 2, lock add dword [rbx], 1
	FAULTS 14, 2, lock cmpxchg8b [rbx]
	ASSERT_EQ word [r8 + 0x1ffd], 0x1234
	ret
