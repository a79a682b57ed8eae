"""Which system calls a container may make: the rules of Docker's default profile, as tables. Compiled by `kernel.seccomp`.

What is in no table is refused with EPERM: loading kernel code (kexec, modules, bpf), changing mounts and namespaces,
the kernel's keyring (it has no namespace), io_uring and userfaultfd (too often the way out), clocks, swap and quotas.
Names of other architectures stand here too; each machine takes those it has.
"""

from typing import Final, NamedTuple

FILES: Final = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64
    fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
    flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64
    futimesat getcwd getdents getdents64 getxattr getxattrat ioctl lchown lchown32 lgetxattr link linkat listmount
    listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat
    name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read
    readahead readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile sendfile64
    setxattr setxattrat splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs
    tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
"""
WAITING: Final = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 fanotify_mark futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake get_robust_list
    inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select
    set_robust_list signalfd signalfd4
"""
SOCKETS: Final = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 recvmsg
    send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair
"""
MEMORY: Final = """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease
    remap_file_pages
"""
PROCESSES: Final = """
    execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority getrlimit getrusage getsid
    get_thread_area gettid ioprio_get ioprio_set kill pause pidfd_open pidfd_send_signal prctl prlimit64
    process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask
    rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield setpgid setpriority setrlimit setsid set_thread_area set_tid_address sigaltstack
    sigprocmask sigreturn tgkill times tkill ugetrlimit uretprobe vfork wait4 waitid waitpid
"""
RIGHTS: Final = """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid getresgid32
    getresuid getresuid32 getuid getuid32 landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp
    setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid
    setresgid32 setresuid setresuid32 setreuid setreuid32 setuid setuid32
"""
MESSAGES: Final = """
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
    mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt shmget
"""
TIME: Final = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create timer_delete
    timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64
"""
MACHINE: Final = "getrandom sysinfo uname riscv_hwprobe"

ALWAYS: Final = tuple(f"{FILES} {WAITING} {SOCKETS} {MEMORY} {PROCESSES} {RIGHTS} {MESSAGES} {TIME} {MACHINE}".split())

BY_MACHINE: Final = {
    "x86_64": ("arch_prctl", "modify_ldt"),
    "aarch64": (
        *("arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"),
    ),
}

BY_CAPABILITY: Final = {
    capability: tuple(names.split())
    for capability, names in {
        "CAP_DAC_READ_SEARCH": "open_by_handle_at",
        "CAP_SYS_ADMIN": """
            bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr
            lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl
            quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare""",
        "CAP_SYS_BOOT": "reboot",
        "CAP_SYS_CHROOT": "chroot",
        "CAP_SYS_MODULE": "delete_module finit_module init_module",
        "CAP_SYS_PACCT": "acct",
        "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
        "CAP_SYS_RAWIO": "ioperm iopl",
        "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
        "CAP_SYS_TTY_CONFIG": "vhangup",
        "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
        "CAP_SYSLOG": "syslog",
        "CAP_BPF": "bpf",
        "CAP_PERFMON": "perf_event_open",
    }.items()
}


class Compare(NamedTuple):
    """A condition on one argument, over all of its 64 bits. Operators: <seccomp.h>."""

    argument: int
    operator: int
    value: int
    masked: int = 0  # MASKED_EQ: `value` is the mask, this the outcome


LESS: Final = 2
EQUAL: Final = 4
MASKED_EQUAL: Final = 7

# AF_ALG (38) and AF_VSOCK (40) are left out: kernel code with no namespace behind it. The families after them stand one
# by one, since "greater than 40" would also be true of 38 with a bit set that the kernel then ignores.
_LAST_OLD_FAMILY: Final = 37
_NEWER_FAMILIES: Final = (39, 41, 42, 43, 44, 45)  # NFC KCM QIPCRTR SMC XDP MCTP
# Linux, 32 bits of it (PER_LINUX32), both with UNAME26, and "what is it now?".
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_NEW_NAMESPACES: Final = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

# One Compare a rule; a call is allowed when one of its rules matches.
CONDITIONAL: Final = {
    "socket": (
        Compare(0, LESS, _LAST_OLD_FAMILY + 1),
        *(Compare(0, EQUAL, family) for family in _NEWER_FAMILIES),
    ),
    "personality": tuple(Compare(0, EQUAL, persona) for persona in _PERSONALITIES),
}
# Without CAP_SYS_ADMIN: no new namespaces. clone3 hides its flags in memory, where a filter cannot look, so it does not
# exist and the C library falls back to clone.
UNPRIVILEGED_CLONE: Final = Compare(0, MASKED_EQUAL, _NEW_NAMESPACES)

# Numbers given out since 2021, the same on every architecture: for names that an older libseccomp does not know.
NEWER: Final = {
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
    "memfd_secret": 447,
    "process_mrelease": 448,
    "futex_waitv": 449,
    "set_mempolicy_home_node": 450,
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
}
NEWER_X86_64: Final = {"uretprobe": 335}

# The newest number that these tables decided about. What comes after does not exist for a container: with EPERM a
# C library that probes for a new call would give up instead of falling back.
NEWEST: Final = 466
