; A multiboot kernel that prints what its loader told it on COM1 and on the
; screen, and ends the machine through isa-debug-exit: 0x2a where all is as the
; specification says (Multiboot specification 0.6.96), 1 where it is not.

bits 32
org 0x100000

MAGIC   equ 0x1badb002
FLAGS   equ 1 << 16 | 1 << 1 | 1 << 0   ; addresses given, memory map, page alignment

start:
        jmp     entry

align 4
header:
        dd      MAGIC, FLAGS, -(MAGIC + FLAGS)
        dd      header, start, end, bss_end, entry

entry:
        mov     esp, stack_top
        mov     [magic], eax
        mov     [info], ebx
        mov     esi, hello
        call    print
        cmp     dword [magic], 0x2badb002
        jne     bad
        mov     eax, cr0                ; protected, not paged
        and     eax, 0x80000001
        cmp     eax, 1
        jne     bad
        pushfd
        pop     eax
        test    eax, 1 << 9             ; interrupts are off
        jnz     bad
        mov     edi, bss_start          ; what the file does not hold is zero
        mov     ecx, stack - bss_start
        xor     eax, eax
        repe scasb
        jne     bad

        ; A20 is open: 1 MiB and 2 MiB are different places.
        mov     dword [0x300000], 0x12345678
        mov     dword [0x200000], 0
        cmp     dword [0x300000], 0x12345678
        jne     bad

        mov     ebx, [info]
        mov     eax, [ebx]
        and     eax, 1 << 0 | 1 << 2 | 1 << 6
        cmp     eax, 1 << 0 | 1 << 2 | 1 << 6
        jne     bad

        mov     esi, t_cmdline
        call    print
        mov     esi, [ebx + 16]
        call    print
        call    newline

        ; Modules, if the loader says that there are any.
        test    dword [ebx], 1 << 3
        jz      .nomods
        mov     ecx, [ebx + 20]
        mov     edi, [ebx + 24]
.mod:   jecxz   .nomods
        mov     esi, t_module
        call    print
        mov     esi, [edi + 8]
        call    print
        mov     esi, t_holds
        call    print
        mov     esi, [edi]
        test    esi, 0xfff
        jnz     bad                     ; page-aligned, as the header asks
        mov     edx, [edi + 4]
.byte:  cmp     esi, edx
        jae     .modend
        lodsb
        call    putc
        jmp     .byte
.modend:
        call    newline
        add     edi, 16
        dec     ecx
        jmp     .mod
.nomods:
        ; The memory map: what is usable from 1 MiB on up to 4 GiB, in KiB, and
        ; what mem_upper says.
        mov     edi, [ebx + 48]
        mov     edx, edi
        add     edx, [ebx + 44]
        xor     ebp, ebp
.map:   cmp     edi, edx
        jae     .mapend
        cmp     dword [edi + 20], 1
        jne     .next
        cmp     dword [edi + 8], 0      ; above 4 GiB
        jne     .next
        cmp     dword [edi + 4], 0x100000
        jb      .next
        mov     eax, [edi + 12]
        shr     eax, 10
        add     ebp, eax
.next:  add     edi, [edi]
        add     edi, 4
        jmp     .map
.mapend:
        mov     esi, t_memory
        call    print
        mov     eax, ebp
        call    number
        mov     esi, t_lower
        call    print
        mov     eax, [ebx + 4]
        call    number
        call    newline
        mov     esi, t_screen
        mov     edi, 0xb8000
        mov     ah, 0x1f
.cell:  lodsb
        stosw
        test    al, al
        jnz     .cell
        mov     al, 0x2a
        jmp     exit
bad:
        mov     esi, t_bad
        call    print
        mov     al, 1
exit:
        mov     dx, 0x501
        out     dx, al
.hang:  hlt
        jmp     .hang

; print prints the text at esi up to a NUL.
print:
        lodsb
        test    al, al
        jz      .done
        call    putc
        jmp     print
.done:  ret

newline:
        mov     al, 13
        call    putc
        mov     al, 10
putc:
        push    edx
        push    eax
        mov     dx, 0x3fd
.wait:  in      al, dx
        test    al, 0x20
        jz      .wait
        pop     eax
        mov     dx, 0x3f8
        out     dx, al
        pop     edx
        ret

; number prints eax in decimal.
number:
        push    ebx
        push    edx
        push    ecx
        mov     ebx, 10
        xor     ecx, ecx
.digit: xor     edx, edx
        div     ebx
        push    edx
        inc     ecx
        test    eax, eax
        jnz     .digit
.out:   pop     eax
        add     al, '0'
        call    putc
        loop    .out
        pop     ecx
        pop     edx
        pop     ebx
        ret

hello:          db 13, 10, "multiboot kernel", 13, 10, 0
t_cmdline:      db "command line: ", 0
t_module:       db "module: ", 0
t_holds:        db " holds: ", 0
t_memory:       db "upper KiB: ", 0
t_lower:        db " lower KiB: ", 0
t_bad:          db "BAD", 13, 10, 0
t_screen:       db "written to the screen", 0
magic:          dd 0
info:           dd 0
align 4
end:
bss_start       equ end
stack           equ end + 8192
stack_top       equ stack + 8192
bss_end         equ stack_top
