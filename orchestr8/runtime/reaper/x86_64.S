# PID 1 of a container once it is set up: start the program, reap, forward signals, end with it. 64-bit x86 Linux, no libc.
# argv is [name, process id in decimal]: the program is there already; or [name, options, path, the program's argv...], and
# then the environment is its own, and descriptor 3 the socket of whoever waits for its execve: that closes it, or the number
# of an error is written to it. Options are "-" and perhaps a "t", of a program with a terminal. The program starts once this
# process has let go of all that it was given: it may look into it.
# Every signal to be forwarded is blocked already, but for 32 and 33, and none is ignored.
# The machine code stands in __init__.py; tests assemble this file and compare.
        .intel_syntax noprefix
        .globl  _start
_start:
        mov     rbx, rsp                # [rbx]: argc; then argv, a null, the environment, a null
        mov     edi, 126
        mov     rax, [rbx + 8]          # argv[0]: executed by anybody else, `#!/proc/self/exe` say, this is no program
        cmp     byte ptr [rax], 'o'
        jne     quit
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
        cmp     dword ptr [rbx], 2
        jne     start
        mov     rsi, [rbx + 16]         # argv[1]
        xor     r12d, r12d              # r12: the program's pid
digit:
        movzx   eax, byte ptr [rsi]
        test    al, al
        jz      wait
        imul    r12d, r12d, 10
        lea     r12d, [r12 + rax - 48]
        inc     rsi
        jmp     digit
start:
        mov     eax, 56                 # clone(SIGCHLD, NULL, NULL, NULL, 0): a fork
        mov     edi, 17
        xor     esi, esi
        xor     edx, edx
        xor     r10d, r10d
        xor     r8d, r8d
        syscall
        test    eax, eax
        js      failed
        jz      program
        mov     r12d, eax
        mov     eax, 3                  # close(3)
        mov     edi, 3
        syscall
        mov     ecx, [rbx]              # forget argv and environment, from argv[1] to the end of the last string
        lea     rsi, [rbx + 8 * rcx]    # the last one of argv
        lea     rdx, [rsi + 16]
last:
        mov     rax, [rdx]
        test    rax, rax
        jz      length
        mov     rsi, rdx
        add     rdx, 8
        jmp     last
length:
        mov     rdi, [rsi]
        xor     eax, eax
        mov     rcx, -1
        repne   scasb
        mov     rcx, rdi
        mov     rdi, [rbx + 16]
        sub     rcx, rdi
        rep     stosb
        mov     edi, r12d               # kill(program, SIGCONT): it may go on
        mov     esi, 18
        mov     eax, 62
        syscall
wait:
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
program:
        mov     eax, 128                # rt_sigtimedwait(&go_on, NULL, NULL, 8)
        lea     rdi, [rip + go_on]
        xor     esi, esi
        xor     edx, edx
        mov     r10d, 8
        syscall
        cmp     eax, -4                 # EINTR
        je      program
        mov     eax, 112                # setsid()
        syscall
        mov     r13, [rbx + 16]         # argv[1]
option:
        inc     r13
        movzx   eax, byte ptr [r13]
        test    al, al
        jz      execute
        cmp     al, 't'
        je      terminal
        jmp     option
terminal:
        mov     eax, 16                 # ioctl(0, TIOCSCTTY, 0)
        xor     edi, edi
        mov     esi, 0x540e
        xor     edx, edx
        syscall
        test    eax, eax
        jz      option
        jmp     failed
execute:
        mov     eax, 72                 # fcntl(3, F_SETFD, FD_CLOEXEC)
        mov     edi, 3
        mov     esi, 2
        mov     edx, 1
        syscall
        push    0
        mov     eax, 14                 # rt_sigprocmask(SIG_SETMASK, &none, NULL, 8)
        mov     edi, 2
        mov     rsi, rsp
        xor     edx, edx
        mov     r10d, 8
        syscall
        mov     ecx, [rbx]              # execve(argv[2], argv + 3, environment)
        mov     rdi, [rbx + 24]
        lea     rsi, [rbx + 32]
        lea     rdx, [rbx + 8 * rcx + 16]
        mov     eax, 59
        syscall
failed:
        neg     eax                     # write(3, &error, 4)
        push    rax
        mov     eax, 1
        mov     edi, 3
        mov     rsi, rsp
        mov     edx, 4
        syscall
        mov     edi, 126                # what it is told by counts, not this
        jmp     quit
        .balign 8
go_on:
        .quad   1 << 17                 # SIGCONT
set:                                    # all but KILL, STOP and the faults ILL TRAP ABRT BUS FPE SEGV SYS
        .quad   ~((1 << 8) | (1 << 18) | (1 << 3) | (1 << 4) | (1 << 5) | (1 << 6) | (1 << 7) | (1 << 10) | (1 << 30))
name:
        .asciz  "orchestr8-init"
