# A process that has its successor born in its own memory. 64-bit x86 Linux, C calling convention:
#   long succeed(struct clone_args *arguments, size_t size)
# clone3(2) with CLONE_VM and CLONE_VFORK. The successor returns with 0; whoever called, and found it impossible, with a
# negative errno. The caller of what succeeded must touch nothing when the kernel lets it go on, least of all the stack,
# which the successor went on with: it lets go of its descriptors, on whose end others wait, and waits to be killed. To end
# by itself, here and now, would keep the successor from this processor for as long as it takes to give a whole memory back.
# The machine code stands in clone.py; tests assemble this file and compare.
        .intel_syntax noprefix
        .globl  succeed
succeed:
        mov     eax, 435                # clone3(arguments, size)
        syscall
        test    rax, rax
        jg      caller
        ret
caller:
        mov     edi, 3                  # close_range(3, ~0, 0)
        or      esi, -1
        xor     edx, edx
        mov     eax, 436
        syscall
rest:
        mov     eax, 34                 # pause()
        syscall
        jmp     rest
