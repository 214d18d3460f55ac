; Control registers and MSRs: what raises #GP.
; qemu-differs: it accepts reserved bits (SDM volume 2, MOV to control registers; volume 4)

%include "lib64.inc"

test:
	mov rax, cr0
	mov rbx, rax
	btr rbx, 0
	FAULTS 13, 0, mov cr0, rbx		; PG without PE
	mov rbx, rax
	or ebx, 0x20000000
	FAULTS 13, 0, mov cr0, rbx		; NW without CD
	bts rax, 40
	FAULTS 13, 0, mov cr0, rax
	mov rax, cr4
	mov rbx, rax
	btr rbx, 5
	FAULTS 13, 0, mov cr4, rbx		; no PAE in long mode
	mov rbx, rax
	bts rbx, 31
	FAULTS 13, 0, mov cr4, rbx
	mov eax, 16
	FAULTS 13, 0, mov cr8, rax
	mov ecx, 0xc0000080
	rdmsr
	btr eax, 8
	FAULTS 13, 0, wrmsr			; LME while paging
	mov ecx, 0xc0000082
	mov edx, 0x00800000
	FAULTS 13, 0, wrmsr			; not canonical
	mov ecx, 0x277
	mov eax, 0x02020202
	xor edx, edx
	FAULTS 13, 0, wrmsr			; PAT
	mov ecx, 0x12345678
	ret
