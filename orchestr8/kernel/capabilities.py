"""Capabilities of the calling thread: capget(2), capset(2), the bounding and the ambient set.

A program that becomes another user calls `limit` before it changes its ids and `apply` after. Used by forked children.
Which capabilities a container has is decided by whoever writes its bundle; `DEFAULT` is Docker's list.
"""

import ctypes
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from orchestr8.kernel.libc import check, libc
from orchestr8.kernel.prctl import prctl

NAMES: Final = tuple(  # by number: <linux/capability.h>
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
        *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
        *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
        *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
        *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
        "CHECKPOINT_RESTORE",
    )
)
_NUMBERS: Final = {name: number for number, name in enumerate(NAMES)}

DEFAULT: Final = tuple(
    f"CAP_{name}"
    for name in (
        *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP", "NET_BIND_SERVICE"),
        *("NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"),
    )
)

_HEADER: Final = struct.pack("=Ii", 0x20080522, 0)  # struct __user_cap_header_struct: version 3, this thread
_DATA: Final = struct.Struct("=6I")  # struct __user_cap_data_struct: three sets, low halves, then high halves
_LOW: Final = 0xFFFFFFFF
_PR_SET_KEEPCAPS: Final = 8
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_RAISE: Final = 2
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4


class CapabilitySets(NamedTuple):
    """Bit n stands for capability n."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0

    @classmethod
    def from_oci(cls, capabilities: Mapping[str, Sequence[str]]) -> "CapabilitySets":
        """From `process.capabilities` of an OCI config; a set that is absent is empty."""
        return cls(**{field: mask(capabilities.get(field) or ()) for field in cls._fields})


def oci_capabilities(uid: int, names: Iterable[str] = DEFAULT) -> dict[str, list[str]]:
    """`process.capabilities` for a program that starts as `uid`: what execve would leave to it, and nothing to inherit.

    A program that is not root starts with none, and a setuid program of its image may gain no more than `names`.
    """
    granted = list(names)
    if uid != 0:
        return {"bounding": granted}
    return {"bounding": granted, "effective": granted, "permitted": granted}


def mask(names: Iterable[str]) -> int:
    """The bits of `names`; an unknown name is a KeyError, since it cannot be granted or refused."""
    return sum({1 << _NUMBERS[name] for name in names})


def names_of(bits: int) -> tuple[str, ...]:
    return tuple(name for name, number in _NUMBERS.items() if bits >> number & 1)


def read() -> CapabilitySets:
    """Effective, permitted and inheritable set of the calling thread (the others are in /proc/self/status)."""
    data = ctypes.create_string_buffer(_DATA.size)
    check(libc.capget(_HEADER, data), "capget")
    low, high = _DATA.unpack(data.raw)[:3], _DATA.unpack(data.raw)[3:]
    effective, permitted, inheritable = (each | upper << 32 for each, upper in zip(low, high, strict=True))
    return CapabilitySets(effective=effective, permitted=permitted, inheritable=inheritable)


def limit(sets: CapabilitySets) -> None:
    """First half, still with every capability: shrink the bounding set, and keep the permitted set over setuid."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    bounding = sets.bounding
    number = 0
    # The kernel may know capabilities that have no name here: those are dropped too.
    while bounding >> number & 1 or _drop(number):
        number += 1
    _prctl(_PR_SET_KEEPCAPS, int(sets.permitted != 0))


def apply(sets: CapabilitySets) -> None:
    """Second half, after setuid: the thread has exactly `sets` from here on."""
    fields = (sets.effective, sets.permitted, sets.inheritable)
    data = _DATA.pack(*(each & _LOW for each in fields), *(each >> 32 for each in fields))
    check(libc.capset(_HEADER, data), "capset")
    _prctl(_PR_SET_KEEPCAPS, 0)
    number, ambient = 0, sets.ambient
    while ambient:
        if ambient & 1:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, number)
        number, ambient = number + 1, ambient >> 1


def _drop(number: int) -> bool:
    """Take a capability out of the bounding set. False: the kernel has none of that number."""
    if prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        return True
    present = prctl(_PR_CAPBSET_READ, number, 0, 0, 0)
    check(-1 if present == 1 else 0, "prctl", _PR_CAPBSET_DROP)
    return bool(present == 0)  # which who has no right to drop anything need not drop


def _prctl(option: int, argument: int, second: int = 0) -> None:
    check(prctl(option, argument, second, 0, 0), "prctl", option)
