"""The compiled default profile, run by a classic BPF interpreter for every system call number."""

import errno
import struct
from collections.abc import Callable

import pytest

from orchestr8.errors import Unsupported
from orchestr8.kernel import seccomp, seccomp_rules
from orchestr8.kernel.capabilities import DEFAULT
from orchestr8.kernel.seccomp import compile_default

X86_64 = 0xC000003E
I386 = 0x40000003
X32_BIT = 0x40000000
ALLOW = 0x7FFF0000
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
MINUS_ONE = 0xFFFFFFFF

pytestmark = pytest.mark.skipif("x86_64" not in __import__("os").uname().machine, reason="needs an x86_64 machine")


def run(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """The verdict on one call: the instructions of seccomp's BPF, as <linux/filter.h> defines them."""
    padded = (*arguments, *(0,) * (6 - len(arguments)))
    data = struct.pack("=IIQ6Q", number, architecture, 0, *padded)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    compare: dict[int, Callable[[int, int], bool]] = {
        0x15: lambda a, k: a == k,
        0x25: lambda a, k: a > k,
        0x35: lambda a, k: a >= k,
        0x45: lambda a, k: bool(a & k),
    }
    accumulator = at = 0
    while True:
        opcode, if_true, if_false, value = code[at]
        at += 1
        if opcode == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif opcode == 0x05:
            at += value
        elif opcode == 0x54:
            accumulator &= value
        elif opcode == 0x06:
            return value
        else:
            at += if_true if compare[opcode](accumulator, value) else if_false


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_default()


@pytest.mark.parametrize(
    "number",
    [
        *(0, 1, 59, 231),  # read write execve exit_group
        *(101, 317, 322),  # ptrace seccomp execveat
        *(434, 439, 451, 456),  # pidfd_open faccessat2 cachestat futex_requeue
        *(457, 462, 466),  # statmount mseal removexattrat: newer than the libseccomp of Debian 12
        335,  # uretprobe: the kernel itself makes programs call it
        161,  # chroot: by CAP_SYS_CHROOT, which is in the default set
    ],
)
def test_ordinary_calls_are_allowed(default: bytes, number: int) -> None:
    assert run(default, number) == ALLOW


@pytest.mark.parametrize(
    "number",
    [
        *(165, 166, 155),  # mount umount2 pivot_root
        *(272, 308),  # unshare setns
        *(425, 426, 427),  # io_uring_*
        *(248, 249, 250),  # add_key request_key keyctl
        *(321, 298, 323),  # bpf perf_event_open userfaultfd
        *(175, 313, 176, 246, 320),  # modules, kexec
        *(227, 164, 167, 169, 172),  # clock_settime settimeofday swapon reboot iopl
        *(428, 429, 430, 442),  # the mount calls by descriptor
        304,  # open_by_handle_at
        459,  # lsm_get_self_attr
    ],
)
def test_calls_that_reach_the_machine_are_refused(default: bytes, number: int) -> None:
    assert run(default, number) == EPERM


@pytest.mark.parametrize("number", [467, 470, 600, 100_000, X32_BIT - 1])
@pytest.mark.parametrize("architecture", [X86_64, I386])
def test_a_call_newer_than_the_profile_does_not_exist(default: bytes, number: int, architecture: int) -> None:
    assert run(default, number, architecture=architecture) == ENOSYS


def test_clone3_does_not_exist_so_that_libc_falls_back_to_clone(default: bytes) -> None:
    assert run(default, 435) == ENOSYS


@pytest.mark.parametrize(
    ("flags", "verdict"),
    [
        (0x1200011, ALLOW),  # fork
        (0x3D0F00, ALLOW),  # a thread
        *((flag, EPERM) for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)),
        (0x10000011 | 1 << 32, EPERM),
    ],
)
def test_clone_makes_no_namespaces(default: bytes, flags: int, verdict: int) -> None:
    assert run(default, 56, flags) == verdict


@pytest.mark.parametrize(
    ("family", "verdict"),
    [
        *((family, ALLOW) for family in (1, 2, 10, 16, 17, 29, 37, 39, 41, 42, 43, 44, 45)),
        *((family, EPERM) for family in (38, 40, 46, 1000)),  # AF_ALG, AF_VSOCK, and what does not exist yet
        (38 | 1 << 32, EPERM),  # the kernel looks at 32 bits only
        (40 | 1 << 63, EPERM),
    ],
)
def test_sockets_of_families_without_a_namespace_are_refused(default: bytes, family: int, verdict: int) -> None:
    assert run(default, 41, family, 1, 0) == verdict


@pytest.mark.parametrize(
    ("persona", "verdict"),
    [*((persona, ALLOW) for persona in (0, 8, 0x20000, 0x20008, MINUS_ONE)), (0x40000, EPERM), (1, EPERM)],
)
def test_personality_cannot_turn_off_address_randomisation(default: bytes, persona: int, verdict: int) -> None:
    assert run(default, 135, persona) == verdict


def test_programs_of_32_bits_have_the_same_profile(default: bytes) -> None:
    assert run(default, 11, architecture=I386) == ALLOW  # execve
    assert run(default, 21, architecture=I386) == EPERM  # mount
    assert run(default, 462, architecture=I386) == ALLOW  # mseal
    assert run(default, X32_BIT | 1) == ALLOW  # write by x32
    assert run(default, X32_BIT | 165) == EPERM  # mount by x32


def test_what_i386_has_in_one_call_with_others_is_allowed_by_its_own_number_too(default: bytes) -> None:
    for number in (337, 361, 373, 393, 402):  # recvmmsg bind shutdown semget msgctl
        assert run(default, number, architecture=I386) == ALLOW
    assert run(default, 359, 1, architecture=I386) == ALLOW  # socket
    assert run(default, 359, 40, architecture=I386) == EPERM  # AF_VSOCK


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [1, 2, 5, 255, 256, 1000])
def test_runs_of_numbers_are_allowed_and_no_others(step: int, count: int) -> None:
    numbers = {*range(3, 3 + count * step, step), *range(8, 20), X32_BIT}
    load, refuse = struct.pack("=HBBI", 0x20, 0, 0, 0), struct.pack("=HBBI", 0x06, 0, 0, EPERM)
    program = load + b"".join(seccomp._allow(numbers)) + refuse
    end = 3 + count * step
    looked_at = {*range(600), *range(600, end, 11), *range(max(0, end - 600), end + 3)}  # each is looked up by itself
    looked_at |= {X32_BIT - 1, X32_BIT, X32_BIT + 1, MINUS_ONE}
    assert {number for number in looked_at if run(program, number) == ALLOW} == numbers & looked_at


def test_the_program_is_short(default: bytes) -> None:
    """The kernel translates and tries all of it at each start."""
    assert len(default) // 8 < 600


def test_a_foreign_architecture_is_killed(default: bytes) -> None:
    assert run(default, 1, architecture=0x40000028) == 0  # SECCOMP_RET_KILL_THREAD


def test_only_the_named_calls_are_allowed(default: bytes) -> None:
    """Whatever their number: no call is allowed by accident of how the program is put together."""
    library = seccomp._library()
    names = {*seccomp_rules.ALWAYS, *seccomp_rules.BY_MACHINE["x86_64"], "chroot"}
    conditional = {"socket", "personality", "clone"}
    expected = {library.seccomp_syscall_resolve_name(name.encode()) for name in names}
    expected |= {number for name, number in {**seccomp_rules.NEWER, "uretprobe": 335}.items() if name in names}
    expected -= {library.seccomp_syscall_resolve_name(name.encode()) for name in conditional}
    impossible = 0xFFFF_FFFF_FFFF_FFFF  # as an argument: matches no condition
    allowed = {number for number in range(1024) if run(default, number, impossible) == ALLOW}
    assert allowed == {number for number in expected if number >= 0}


def test_a_capability_unlocks_its_calls() -> None:
    admin = compile_default([*DEFAULT, "CAP_SYS_ADMIN"])
    assert {number: run(admin, number) for number in (165, 272, 321, 435, 461)} == dict.fromkeys(
        (165, 272, 321, 435, 461), ALLOW
    )
    assert run(admin, 56, 0x10000000) == ALLOW  # clone with a user namespace
    assert run(admin, 175) == EPERM  # init_module is another capability's


def test_without_a_capability_its_calls_are_refused() -> None:
    assert run(compile_default([]), 161) == EPERM  # chroot


def test_a_profile_is_compiled_once_for_a_set_of_capabilities() -> None:
    assert compile_default(["CAP_CHOWN", "CAP_KILL"]) is compile_default(("CAP_KILL", "CAP_CHOWN"))


def test_the_kernel_takes_the_largest_program() -> None:
    assert len(compile_default(seccomp_rules.BY_CAPABILITY)) // 8 < 4096


def test_every_name_stands_once() -> None:
    assert len(seccomp_rules.ALWAYS) == len(set(seccomp_rules.ALWAYS))
    assert max(seccomp_rules.NEWER.values()) <= seccomp_rules.NEWEST


def test_another_machine_is_told_apart() -> None:
    with pytest.raises(Unsupported, match="no seccomp profile for riscv64"):
        seccomp._compiled(frozenset(), "riscv64")
