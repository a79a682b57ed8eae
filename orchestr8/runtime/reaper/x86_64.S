# PID 1 of a container once it is set up: reap, forward signals, end with the program. 64-bit x86 Linux, no libc.
# argv[1] is the program's process id in decimal; every signal to be forwarded is blocked already, but for 32 and 33.
# The machine code stands in __init__.py; tests assemble this file and compare.
        .intel_syntax noprefix
        .globl  _start
_start:
        mov     rbx, [rsp + 16]         # argv[1]
        xor     r12d, r12d              # r12: the program's pid
digit:
        movzx   eax, byte ptr [rbx]
        test    al, al
        jz      named
        imul    r12d, r12d, 10
        lea     r12d, [r12 + rax - 48]
        inc     rbx
        jmp     digit
named:
        mov     eax, 157                # prctl(PR_SET_NAME, name)
        mov     edi, 15
        lea     rsi, [rip + name]
        syscall
        mov     eax, 157                # prctl(PR_SET_PDEATHSIG, SIGKILL)
        mov     edi, 1
        mov     esi, 9
        syscall
        mov     eax, 14                 # rt_sigprocmask(SIG_BLOCK, &set, NULL, 8): 32 and 33, which a C library hides
        xor     edi, edi
        lea     rsi, [rip + set]
        xor     edx, edx
        mov     r10d, 8
        syscall
        sub     rsp, 16                 # [rsp]: a wait status
next:
        mov     eax, 128                # rt_sigtimedwait(&set, NULL, NULL, 8)
        lea     rdi, [rip + set]
        xor     esi, esi
        xor     edx, edx
        mov     r10d, 8
        syscall
        cmp     eax, 17                 # SIGCHLD
        je      reap
        test    eax, eax                # EINTR: after a stop and a continue
        jle     next
        mov     esi, eax                # kill(program, signal); whether it could be sent is the program's affair
        mov     edi, r12d
        mov     eax, 62
        syscall
        jmp     next
reap:
        mov     eax, 61                 # wait4(-1, &status, WNOHANG, NULL)
        mov     edi, -1
        mov     rsi, rsp
        mov     edx, 1
        xor     r10d, r10d
        syscall
        cmp     eax, r12d
        je      ended
        test    eax, eax
        jg      reap
        jmp     next
ended:
        mov     edi, [rsp]
        mov     eax, edi
        and     edi, 127                # killed by a signal: 128 + its number
        jnz     killed
        movzx   edi, ah                 # else the program's own code
        jmp     quit
killed:
        add     edi, 128
quit:
        mov     eax, 231                # exit_group(code)
        syscall
        .balign 8
set:                                    # all but KILL, STOP and the faults ILL TRAP ABRT BUS FPE SEGV SYS
        .quad   ~((1 << 8) | (1 << 18) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 10) | (1 << 30))
name:
        .asciz  "orchestr8-init"
