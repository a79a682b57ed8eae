"""The seccomp filter of a container: `kernel.seccomp_rules` compiled to a program by libseccomp. For the engine.

Forked children install the program with `kernel.seccomp_install` and never load libseccomp. In front of libseccomp's
program stands our own one, for what it cannot say: a number newer than the rules is ENOSYS, and a name that this
libseccomp is too old for is allowed by its number. What is allowed whatever its arguments is there, too, by runs of numbers:
libseccomp compares with each number alone, and the kernel translates every instruction anew at each start.
"""

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, NamedTuple, Self

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.kernel import seccomp_rules as rules
from orchestr8.kernel.capabilities import DEFAULT
from orchestr8.kernel.seccomp_profile import Profile

_LIBRARY: Final = "libseccomp.so.2"
_ALLOW: Final = 0x7FFF0000
_ERRNO: Final = 0x00050000
_REFUSALS: Final = {0x80000000, 0x00000000, 0x00030000, _ERRNO}  # kill the process or the thread, SIGSYS, an errno
_ATTRIBUTE_OPTIMIZE: Final = 8  # SCMP_FLTATR_CTL_OPTIMIZE
_BINARY_TREE: Final = 2
_NATIVE: Final = 0  # SCMP_ARCH_NATIVE
_UNKNOWN_NAME: Final = -1  # __NR_SCMP_ERROR; other negative numbers stand for calls of other architectures
_MULTIPLEXED: Final = range(-299, -99)  # in i386's socketcall(2) or ipc(2), most beside it, too: libseccomp knows which
_CAP_SYS_ADMIN: Final = "CAP_SYS_ADMIN"

# Classic BPF (<linux/bpf_common.h>) over struct seccomp_data: the number is at 0, the architecture at 4.
_LOAD: Final = 0x20
_JUMP: Final = 0x05
_JUMP_IF_EQUAL: Final = 0x15
_JUMP_IF_GREATER: Final = 0x25
_JUMP_IF_AT_LEAST: Final = 0x35
_RETURN: Final = 0x06
_JUMP_MAX: Final = 255
_RUNS_MAX: Final = 100  # of which a search is made: a jump reaches from its first instruction to its last
_INSTRUCTIONS_MAX: Final = 4096
_NUMBER: Final = 0
_ARCHITECTURE: Final = 4


class _Architecture(NamedTuple):
    """A way to make system calls: the kernel's AUDIT_ARCH_ value, and libseccomp's where it differs."""

    audit: int
    seccomp: int
    private_from: int = 0  # numbers from here on are not in the common table (x32's, ARM's own)


_X86_64: Final = _Architecture(0xC000003E, 0xC000003E, private_from=0x40000000)
_X32: Final = _Architecture(0xC000003E, 0x4000003E)
_I386: Final = _Architecture(0x40000003, 0x40000003)
_AARCH64: Final = _Architecture(0xC00000B7, 0xC00000B7)
_ARM: Final = _Architecture(0x40000028, 0x40000028, private_from=0x0F0000)
_ARCHITECTURES: Final = {"x86_64": (_X86_64, _I386, _X32), "aarch64": (_AARCH64, _ARM)}  # the machine's own first


class _Comparison(ctypes.Structure):
    """One struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def compile_default(capabilities: Iterable[str] = DEFAULT) -> bytes:
    """The default profile for a container with `capabilities`: instructions for `seccomp_install.install`. Cached."""
    return _compiled(frozenset(capabilities), os.uname().machine)


@functools.lru_cache(maxsize=32)
def _compiled(capabilities: frozenset[str], machine: str) -> bytes:
    architectures = _ARCHITECTURES.get(machine)
    if architectures is None:
        raise Unsupported(f"no seccomp profile for {machine}", helps=[f"it is there for {', '.join(_ARCHITECTURES)}"])
    allowed = _allowed_names(capabilities, machine)
    with _Filter(architectures) as filter_:
        for name in sorted(allowed):
            if any(_number(name, each.seccomp) in _MULTIPLEXED for each in architectures):
                filter_.add(_ALLOW, name)
        for name, conditions in rules.CONDITIONAL.items():
            for condition in conditions:
                filter_.add(_ALLOW, name, condition)
        if _CAP_SYS_ADMIN not in capabilities:
            filter_.add(_ALLOW, "clone", rules.UNPRIVILEGED_CLONE)
            filter_.add(_ERRNO | errno.ENOSYS, "clone3")
        main = filter_.export()
    return _bounded(_front(architectures, allowed) + main)


def compile_profile(profile: Profile) -> bytes:
    """A profile of the user's own, with its capabilities already settled (`seccomp_profile.parse`)."""
    architectures = _ARCHITECTURES.get(os.uname().machine)
    if architectures is None:
        raise Unsupported(f"no seccomp filters for {os.uname().machine}")
    newest = 0
    with _Filter(architectures, profile.default_action) as filter_:
        for rule in profile.rules:
            if rule.action == profile.default_action:
                continue  # libseccomp takes no rule that says nothing
            for name in rule.names:
                for conditions in rule.alternatives:
                    filter_.add(rule.action, name, *conditions)
                newest = max(newest, _number(name))
        main = filter_.export()
    # What is allowed unless it is named needs no help to find out that a call is new.
    refuses = profile.default_action & ~0xFFFF in _REFUSALS
    return _bounded((_front(architectures, frozenset(), newest) if refuses and newest else b"") + main)


def _bounded(program: bytes) -> bytes:
    if len(program) // 8 > _INSTRUCTIONS_MAX:
        raise OperationFailed(f"the seccomp filter has {len(program) // 8} instructions, the kernel takes 4096")
    return program


def _allowed_names(capabilities: frozenset[str], machine: str) -> set[str]:
    """Names that are allowed whatever their arguments."""
    names = {*rules.ALWAYS, *rules.BY_MACHINE[machine]}
    for capability in capabilities & rules.BY_CAPABILITY.keys():
        names.update(rules.BY_CAPABILITY[capability])
    return names


def _front(architectures: Iterable[_Architecture], allowed: AbstractSet[str], newest: int = rules.NEWEST) -> bytes:
    """What is decided before libseccomp's program: it follows right behind, so falling through reaches it."""
    unresolved = {name for name in allowed if _number(name) == _UNKNOWN_NAME}
    program: list[bytes] = []
    for architecture in architectures:
        if architecture is _X32:
            continue  # the kernel calls it x86_64 with a bit in the number
        newer = {**rules.NEWER, **(rules.NEWER_X86_64 if architecture is _X86_64 else {})}
        kinds = [each for each in architectures if each.audit == architecture.audit]
        numbers = {newer[name] for name in unresolved & newer.keys()}
        numbers |= {_number(name, kind.seccomp) for kind in kinds for name in allowed}
        block = [_instruction(_LOAD, _NUMBER)]
        if architecture.private_from:
            block.append(_instruction(_JUMP_IF_AT_LEAST, architecture.private_from, 2, 0))
        block += [_instruction(_JUMP_IF_GREATER, newest, 0, 1), _instruction(_RETURN, _ERRNO | errno.ENOSYS)]
        block += _allow({number for number in numbers if number >= 0})
        program += [
            _instruction(_LOAD, _ARCHITECTURE),
            _instruction(_JUMP_IF_EQUAL, architecture.audit, 1, 0),
            _instruction(_JUMP, len(block)),
            *block,
        ]
    return b"".join(program)


def _allow(numbers: AbstractSet[int]) -> list[bytes]:
    """Allow these; other numbers reach what follows."""
    firsts = sorted(number for number in numbers if number - 1 not in numbers)
    ends = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    runs = list(zip(firsts, ends, strict=True))
    program: list[bytes] = []
    for at in range(0, len(runs), _RUNS_MAX):
        program += _search([bound for run in runs[at : at + _RUNS_MAX] for bound in run])
    return program


def _search(bounds: Sequence[int]) -> list[bytes]:
    """Allow a number with an odd count of `bounds` up to it, by halving; an instruction a bound, then the two ends."""

    def halve(low: int, high: int, at: int) -> list[bytes]:
        middle = (low + high) // 2
        below = halve(low, middle, at + 1) if low < middle else []
        above = halve(middle + 1, high, at + 1 + len(below)) if middle + 1 < high else []
        ends = [len(bounds) + count % 2 - at - 1 for count in (middle, middle + 1)]
        if_less, if_not = 0 if below else ends[0], len(below) if above else ends[1]
        return [_instruction(_JUMP_IF_AT_LEAST, bounds[middle], if_not, if_less), *below, *above]

    return [*halve(0, len(bounds), 0), _instruction(_JUMP, 1), _instruction(_RETURN, _ALLOW)]


def _instruction(opcode: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One struct sock_filter."""
    return struct.pack("=HBBI", opcode, if_true, if_false, value)


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError as error:
        raise OperationFailed(
            f"cannot load {_LIBRARY}", code="O8-410", notes=[str(error)], helps=["apt install libseccomp2"]
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def _number(name: str, architecture: int = _NATIVE) -> int:
    """Of a call; negative for what the architecture, or this libseccomp, does not have."""
    return int(_library().seccomp_syscall_resolve_name_arch(ctypes.c_uint32(architecture), name.encode()))


class _Filter:
    """A libseccomp filter under construction, `default` for what no rule names."""

    def __init__(self, architectures: tuple[_Architecture, ...], default: int = _ERRNO | errno.EPERM) -> None:
        self._library = _library()
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))
        if not self._context:
            raise OperationFailed("seccomp_init: out of memory")
        for architecture in architectures[1:]:  # libseccomp starts with the machine's own
            self._check("seccomp_arch_add", ctypes.c_uint32(architecture.seccomp))
        if self._attribute(_ATTRIBUTE_OPTIMIZE, _BINARY_TREE) not in {0, -errno.EEXIST}:  # EEXIST: older than 2.5
            raise OperationFailed("seccomp_attr_set: a binary tree is refused")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._library.seccomp_release(self._context)

    def add(self, action: int, name: str, *conditions: rules.Compare) -> None:
        """Add a rule, for when all `conditions` hold, for each architecture that has `name`; none when this libseccomp does
        not know it.
        """
        number = _number(name)
        if number == _UNKNOWN_NAME:
            return
        count = len(conditions)
        comparisons = (_Comparison * count)(*(_Comparison(*each) for each in conditions)) if count else None
        self._check(
            "seccomp_rule_add_array",
            ctypes.c_uint32(action),
            ctypes.c_int(number),
            ctypes.c_uint(count),
            comparisons,
            subject=name,
        )

    def export(self) -> bytes:
        """The finished program."""
        fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
        try:
            self._check("seccomp_export_bpf", ctypes.c_int(fd))
            return os.pread(fd, os.fstat(fd).st_size, 0)
        finally:
            os.close(fd)

    def _attribute(self, attribute: int, value: int) -> int:
        return int(self._library.seccomp_attr_set(self._context, ctypes.c_int(attribute), ctypes.c_uint32(value)))

    def _check(self, call: str, *arguments: object, subject: str = "") -> None:
        result = getattr(self._library, call)(self._context, *arguments)
        if result < 0:
            raise OperationFailed(f"{call} {subject}: {os.strerror(-result)}")
