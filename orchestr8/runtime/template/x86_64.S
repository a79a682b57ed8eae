# Put a process's memory on a file without the process noticing. 64-bit x86 Linux, C calling convention:
#   long move(const struct { char *start; long length, offset; } *regions, long count, int fd)
# First every region is written to the file, then the file is mapped, private, where each was. 0, or a negative errno.
# Nothing but registers changes in between: what runs here must not be part of what is moved, nor its stack.
# The machine code stands in __init__.py; tests assemble this file and compare.
        .intel_syntax noprefix
        .globl  move
move:
        mov     r8d, edx                # the file
        xor     eax, eax
        mov     r9, rdi                 # the region, and how many are left
        push    rsi
write:
        sub     qword ptr [rsp], 1
        js      written
        push    rdi
        mov     rdi, [r9]
        mov     rdx, [r9 + 8]
        mov     r10, [r9 + 16]
more:
        push    rdi
        push    rsi
        mov     rsi, rdi
        mov     edi, r8d
        mov     eax, 18                 # pwrite64(fd, start, length, offset)
        syscall
        pop     rsi
        pop     rdi
        test    rax, rax
        jle     failed
        add     rdi, rax
        add     r10, rax
        sub     rdx, rax
        jnz     more
        pop     rdi
        add     r9, 24
        jmp     write
written:
        mov     [rsp], rsi              # again from the first one
map:
        sub     qword ptr [rsp], 1
        js      mapped
        push    rdi
        mov     r9, [rdi + 16]
        mov     rsi, [rdi + 8]
        mov     rdi, [rdi]
        mov     edx, 3                  # mmap(start, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, offset)
        mov     r10d, 0x12
        mov     eax, 9
        syscall
        cmp     rax, rdi
        jne     failed
        pop     rdi
        add     rdi, 24
        jmp     map
mapped:
        pop     rdi
        xor     eax, eax
        ret
failed:
        pop     rdi
        pop     rdi
        test    rax, rax
        jnz     told
        mov     rax, -5                 # EIO: a file that takes nothing
told:
        ret
