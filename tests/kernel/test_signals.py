import os

from orchestr8.kernel import signals


def ignored() -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("SigIgn:")).split()[1], 16)


def test_what_the_c_library_keeps_to_itself_is_reset() -> None:
    pid = os.fork()
    if pid == 0:
        ignore = (1).to_bytes(8, "little") + bytes(24)
        for number in signals.RESERVED:
            signals.syscall(signals._RT_SIGACTION, number, ignore, None, signals.ctypes.c_size_t(8))
        before = ignored() >> 31 & 0b11
        signals.reset_reserved()
        os._exit(0 if before == 0b11 and not ignored() >> 31 & 0b11 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
