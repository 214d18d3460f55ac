; FXSAVE, the XSAVE family, XCR0, and CPUID's word on them.
; qemu-differs: XSAVEC and reserved parts of the header (SDM volume 1, 13.7 to 13.10)

%include "lib64.inc"

test:
	mov rax, cr4
	or eax, 0x600
	btr rax, 18
	mov cr4, rax
	fninit
	mov dword [area], 0x1f80
	ldmxcsr [area]
	; FXSAVE
	fld1
	fldpi
	mov rax, 0x0102030405060708
	movq xmm5, rax
	lea rdi, [area]
	fxsave [rdi]
	ASSERT_EQ word [rdi], 0x37f
	ASSERT_EQ word [rdi + 2], 0x3000	; TOP is 6
	ASSERT_EQ byte [rdi + 4], 0xc0		; registers 6 and 7
	ASSERT_EQ dword [rdi + 24], 0x1f80
	ASSERT_EQ [rdi + 160 + 5 * 16], rax
	ASSERT_EQ word [rdi + 32 + 8], 0x4000	; pi is ST0
	ASSERT_EQ word [rdi + 48 + 8], 0x3fff
	FAULTS 13, 0, fxsave [rdi + 8]
	FAULTS 13, 0, fxrstor [rdi + 8]
	mov dword [rdi + 24], 0xffff0000
	FAULTS 13, 0, fxrstor [rdi]
	mov dword [rdi + 24], 0x1fa0
	fninit
	pxor xmm5, xmm5
	fxrstor [rdi]
	movq rbx, xmm5
	ASSERT_EQ rbx, rax
	stmxcsr [area2]
	ASSERT_EQ dword [area2], 0x1fa0
	fnstsw ax
	ASSERT_EQ ax, 0x3000
	mov dword [area2], 0x10000
	FAULTS 13, 0, ldmxcsr [area2]
	; CR0.TS and CR0.EM
	mov rax, cr0
	or eax, 8
	mov cr0, rax
	FAULTS 7, 0, fxsave [rdi]
	FAULTS 7, 0, pxor xmm0, xmm0
	FAULTS 7, 0, fld1
	clts
	mov rax, cr0
	or eax, 4
	mov cr0, rax
	FAULTS 6, 0, pxor xmm0, xmm0
	FAULTS 7, 0, fld1
	and eax, ~4
	mov cr0, rax
	mov rax, cr4
	and eax, ~0x200
	mov cr4, rax
	FAULTS 6, 0, pxor xmm0, xmm0
	or eax, 0x200
	mov cr4, rax
	; XSAVE
	mov eax, 1
	cpuid
	bt ecx, 26
	jnc .none
	bt ecx, 27
	ASSERT nc
	FAULTS 6, 0, xgetbv
	FAULTS 6, 0, xsave [rdi]
	mov rax, cr4
	bts rax, 18
	mov cr4, rax
	mov eax, 1
	cpuid
	bt ecx, 27
	ASSERT c
	mov r15d, ecx
	xor ecx, ecx
	xor edx, edx
	xor eax, eax
	FAULTS 13, 0, xsetbv			; x87 cannot be off
	mov eax, 5
	FAULTS 13, 0, xsetbv			; AVX without SSE
	mov eax, 3
	bts eax, 31
	FAULTS 13, 0, xsetbv
	mov eax, 3
	mov ecx, 1
	FAULTS 13, 0, xsetbv
	xor ecx, ecx
	mov eax, 3
	xsetbv
	USER_BEGIN
	xor ecx, ecx
	xgetbv
	ASSERT_EQ eax, 3
	FAULTS 13, 0, xsetbv
	mov ecx, 99
	FAULTS 13, 0, xgetbv
	USER_END
	bt r15d, 28
	jnc .noavx
	FAULTS 6, 0, vpxor ymm0, ymm0, ymm0	; not enabled in XCR0
	xor ecx, ecx
	xor edx, edx
	mov eax, 7
	xsetbv
	mov eax, 0xd
	xor ecx, ecx
	cpuid
	ASSERT_EQ ebx, 832
	mov rax, 0x1112131415161718
	movq xmm1, rax
	vinsertf128 ymm1, ymm1, xmm1, 1
	vpxor xmm2, xmm2, xmm2
	lea rdi, [area]
	mov ecx, 1024 / 8
	xor eax, eax
	rep stosq
	lea rdi, [area]
	mov eax, 7
	xor edx, edx
	xsave [rdi]
	mov rax, 0x1112131415161718
	ASSERT_EQ [rdi + 576 + 16], rax
	ASSERT_EQ [rdi + 160 + 16], rax
	mov rcx, [rdi + 512]
	and ecx, 6
	ASSERT_EQ ecx, 6
	vzeroall
	mov eax, 4
	xrstor [rdi]
	vextractf128 xmm3, ymm1, 1
	movq rbx, xmm3
	movq rcx, xmm1
	ASSERT_EQ rcx, 0
	mov rax, 0x1112131415161718
	ASSERT_EQ rbx, rax
	mov eax, 7
	xrstor [rdi]
	movq rcx, xmm1
	ASSERT_EQ rcx, [rdi + 160 + 16]
	; a component that is not in XSTATE_BV goes to its initial state
	and byte [rdi + 512], ~4
	mov eax, 7
	xrstor [rdi]
	vextractf128 xmm3, ymm1, 1
	movq rbx, xmm3
	ASSERT_EQ rbx, 0
	; the header's rules
	FAULTS 13, 0, xrstor [rdi + 8]
	FAULTS 13, 0, xsave [rdi + 32]
	or byte [rdi + 512], 8
	FAULTS 13, 0, xrstor [rdi]
	and byte [rdi + 512], 7
	mov byte [rdi + 520], 1
	FAULTS 13, 0, xrstor [rdi]
	mov byte [rdi + 520], 0
	mov byte [rdi + 528], 1
	FAULTS 13, 0, xrstor [rdi]
	mov byte [rdi + 528], 0
	; XSAVEC writes the compacted form
	mov eax, 0xd
	mov ecx, 1
	cpuid
	bt eax, 1
	jnc .noavx
	vzeroall
	mov rax, 0x99
	movq xmm1, rax
	mov eax, 7
	xor edx, edx
	xsavec [rdi]
	mov rcx, [rdi + 520]
	btr rcx, 63
	ASSERT c
	ASSERT_EQ ecx, 7
	test byte [rdi + 512], 4		; AVX is in its initial state
	ASSERT z
	test byte [rdi + 512], 2
	ASSERT nz
	vzeroall
	mov eax, 7
	xrstor [rdi]
	movq rcx, xmm1
	ASSERT_EQ rcx, 0x99
.noavx:	mov rax, cr0
	or eax, 8
	mov cr0, rax
	mov eax, 3
	FAULTS 7, 0, xsave [rdi]
	clts
	xor ecx, ecx
	xor edx, edx
	mov eax, 1
	xsetbv
	mov eax, 3
	xsetbv
.none:	ret

	align 64
area:	times 1024 db 0
area2:	times 1024 db 0
