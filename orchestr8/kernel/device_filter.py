"""The eBPF program by which cgroup v2 allows and refuses devices.

It is assembled by hand: load the access, the type and the numbers, then one block of comparisons per exception; the
first match decides, the end is the general rule. Which rules there are says `device_rules`.
"""

import ctypes
import os
import struct
from typing import Final

from orchestr8.kernel.device_rules import ALL_ACCESS, ANY, DevicePolicy, DeviceRule
from orchestr8.kernel.libc import check, syscall

# <linux/bpf.h>: commands, types, and the bits of struct bpf_cgroup_dev_ctx.access_type
_BPF: Final = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_PROG_LOAD: Final = 5
_PROG_ATTACH: Final = 8
_PROG_TYPE_CGROUP_DEVICE: Final = 15
_ATTACH_TYPE_CGROUP_DEVICE: Final = 6
_ATTACH_FLAG_ALLOW_MULTI: Final = 2
_TYPES: Final = {"b": 1, "c": 2}
_ACCESS: Final = {"m": 1, "r": 2, "w": 4}

# eBPF opcodes (<linux/bpf_common.h>, <linux/bpf.h>) that the program needs
_LOAD_WORD: Final = 0x61  # dst = *(u32 *)(src + off)
_MOVE: Final = 0xBF  # dst = src
_MOVE_VALUE: Final = 0xB7  # dst = imm
_AND_VALUE: Final = 0x57  # dst &= imm
_SHIFT_RIGHT: Final = 0x77  # dst >>= imm
_JUMP_IF_EQUAL: Final = 0x15  # if dst == imm, skip off instructions
_JUMP_UNLESS_EQUAL: Final = 0x55  # if dst != imm
_EXIT: Final = 0x95


def assemble(policy: DevicePolicy) -> bytes:
    """The program that does what `policy` says."""
    program = [
        _instruction(_LOAD_WORD, 2, 1, 0),
        _instruction(_MOVE, 3, 2),
        _instruction(_AND_VALUE, 2, value=0xFFFF),  # r2: type
        _instruction(_SHIFT_RIGHT, 3, value=16),  # r3: the access asked for
        _instruction(_LOAD_WORD, 4, 1, 4),  # r4: major
        _instruction(_LOAD_WORD, 5, 1, 8),  # r5: minor
    ]
    for exception in policy.exceptions:
        program += _block(exception)
    program += [_instruction(_MOVE_VALUE, 0, value=int(policy.allow)), _instruction(_EXIT)]
    return b"".join(program)


def load(policy: DevicePolicy) -> int:
    """Give the program to the kernel: a descriptor, good for any number of groups."""
    program = assemble(policy)
    instructions, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL")
    attributes = struct.pack(
        "=IIQQIIQII16s",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(instructions),
        ctypes.addressof(licence),
        *(0, 0, 0),  # no verifier log
        *(0, 0),  # kernel version, flags
        b"o8_devices",
    )
    return _bpf(_PROG_LOAD, attributes)


def attach(program_fd: int, group: str) -> None:
    """Filter the device access of the cgroup v2 directory `group` and all below it, until it is removed."""
    group_fd = os.open(group, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        attributes = struct.pack("=IIII", group_fd, program_fd, _ATTACH_TYPE_CGROUP_DEVICE, _ATTACH_FLAG_ALLOW_MULTI)
        _bpf(_PROG_ATTACH, attributes, group)
    finally:
        os.close(group_fd)


def _bpf(command: int, attributes: bytes, subject: str = "") -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return check(syscall(_BPF, ctypes.c_int(command), buffer, ctypes.c_uint(len(attributes))), "bpf", subject)


def _block(rule: DeviceRule) -> list[bytes]:
    """What is allowed must be asked for whole; a refusal holds for a request that has any part of it, as on v1."""
    tests = [(_JUMP_UNLESS_EQUAL, 2, _TYPES[rule.type])]
    prelude = []
    access = sum(_ACCESS[letter] for letter in set(rule.access))
    if set(rule.access) != set(ALL_ACCESS):
        mask = sum(_ACCESS.values()) & ~access if rule.allow else access
        prelude = [_instruction(_MOVE, 1, 3), _instruction(_AND_VALUE, 1, value=mask)]
        tests.append((_JUMP_UNLESS_EQUAL if rule.allow else _JUMP_IF_EQUAL, 1, 0))
    if rule.major != ANY:
        tests.append((_JUMP_UNLESS_EQUAL, 4, rule.major))
    if rule.minor != ANY:
        tests.append((_JUMP_UNLESS_EQUAL, 5, rule.minor))
    verdict = [_instruction(_MOVE_VALUE, 0, value=int(rule.allow)), _instruction(_EXIT)]
    jumps = [
        _instruction(opcode, register, offset=len(tests) - position - 1 + len(verdict), value=value)
        for position, (opcode, register, value) in enumerate(tests)
    ]
    return [*prelude, *jumps, *verdict]


def _instruction(opcode: int, destination: int = 0, source: int = 0, offset: int = 0, *, value: int = 0) -> bytes:
    """One struct bpf_insn."""
    return struct.pack("=BBhi", opcode, source << 4 | destination, offset, value)
