; A boot disk of two sectors. The first, in real mode, says hello through the
; BIOS, reads the second through it twice, by cylinder, head and sector and by
; LBA, and jumps there. The second prints on COM1 through the BIOS and ends the
; machine through isa-debug-exit: 0x15, or 1 where something is not as it should.

bits 16
org 0x7c00

        jmp     0:start
start:
        xor     ax, ax
        mov     ds, ax
        mov     es, ax
        mov     ss, ax
        mov     sp, 0x7c00
        sti
        cld
        mov     [drive], dl
        mov     si, hello
        call    print

        mov     ah, 0x41                ; extensions present?
        mov     bx, 0x55aa
        int     0x13
        jc      bad
        cmp     bx, 0xaa55
        jne     bad
        mov     si, packet
        mov     dl, [drive]
        mov     ah, 0x42
        int     0x13
        jc      bad

        mov     ax, 0x0201              ; one sector
        mov     cx, 0x0002              ; cylinder 0, sector 2
        mov     dh, 0
        mov     dl, [drive]
        mov     bx, 0x7e00
        int     0x13
        jc      bad
        mov     si, 0x7e00              ; both have to be the same
        mov     di, 0x9000
        mov     cx, 256
        repe cmpsw
        jne     bad

        mov     ebx, 0                  ; the memory map has entries
        mov     di, 0x8000
.e820:  mov     eax, 0xe820
        mov     edx, 0x534d4150
        mov     ecx, 20
        int     0x15
        jc      bad
        cmp     eax, 0x534d4150
        jne     bad
        inc     byte [entries]
        test    ebx, ebx
        jnz     .e820
        cmp     byte [entries], 3
        jb      bad
        hlt                             ; the timer wakes it
        jmp     second

bad:    mov     si, t_bad
        call    print
        mov     al, 1
exit:   mov     dx, 0x501
        out     dx, al
.hang:  hlt
        jmp     .hang

print:  lodsb
        test    al, al
        jz      .done
        mov     ah, 0x0e
        mov     bx, 7
        int     0x10
        jmp     print
.done:  ret

hello:  db "boot sector runs", 13, 10, 0
t_bad:  db "BAD", 13, 10, 0
drive:  db 0
entries: db 0
align 4
packet: db 16, 0
        dw 1, 0x9000, 0
        dq 1
        times 510 - ($ - $$) db 0
        dw 0xaa55

second:
        mov     si, t_screen
        call    print
        mov     dx, 0                   ; COM1: 9600 8n1
        mov     ax, 0x00e3
        int     0x14
        mov     si, t_serial
.next:  lodsb
        test    al, al
        jz      .done
        mov     ah, 1
        mov     dx, 0
        int     0x14
        test    ah, 0x80
        jnz     bad
        jmp     .next
.done:  mov     al, 0x15
        jmp     exit
t_screen: db "second sector runs", 13, 10, 0
t_serial: db "second sector on COM1", 13, 10, 0
        times 1024 - ($ - $$) db 0
