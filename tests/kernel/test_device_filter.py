"""The device program, run by a small eBPF interpreter, decides as the rules read."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.kernel.device_filter import assemble
from orchestr8.kernel.device_rules import ANY, DEFAULT_DEVICES, DevicePolicy, DeviceRule

TYPE = {"b": 1, "c": 2}
BITS = {"m": 1, "r": 2, "w": 4}


def run(program: bytes, type: str, access: str, major: int, minor: int) -> bool:
    """The program's verdict: the handful of instructions that the assembler uses, as the kernel defines them."""
    context = [sum(BITS[each] for each in access) << 16 | TYPE[type], major, minor]
    registers = [0] * 11
    at = 0
    while True:
        opcode, both, offset, value = struct.unpack_from("=BBhi", program, at * 8)
        destination, source = both & 0xF, both >> 4
        at += 1
        if opcode == 0x61:
            registers[destination] = context[offset // 4]
        elif opcode == 0xBF:
            registers[destination] = registers[source]
        elif opcode == 0xB7:
            registers[destination] = value
        elif opcode == 0x57:
            registers[destination] &= value
        elif opcode == 0x77:
            registers[destination] >>= value
        elif opcode == 0x55:
            at += offset if registers[destination] != value else 0
        elif opcode == 0x15:
            at += offset if registers[destination] == value else 0
        elif opcode == 0x95:
            return bool(registers[0])
        else:
            raise AssertionError(f"unknown instruction {opcode:#x}")


def matches(rule: DeviceRule, type: str, access: str, major: int, minor: int) -> bool:
    """To be allowed, all of a request must be in the exception; to be refused, a part of it."""
    touched = set(access) <= set(rule.access) if rule.allow else set(access) & set(rule.access)
    return rule.type == type and rule.major in {ANY, major} and rule.minor in {ANY, minor} and bool(touched)


NUMBERS = st.integers(0, 4)
ACCESS = st.sets(st.sampled_from("rwm"), min_size=1).map("".join)


def policies(allow: bool) -> st.SearchStrategy[DevicePolicy]:
    number = st.one_of(st.just(ANY), NUMBERS)
    rule = st.builds(DeviceRule, st.sampled_from("bc"), number, number, ACCESS, st.just(not allow))
    return st.builds(DevicePolicy, st.just(allow), st.lists(rule, max_size=6).map(tuple))


@given(st.booleans().flatmap(policies), st.sampled_from("bc"), ACCESS, NUMBERS, NUMBERS)
def test_a_request_is_the_exception_when_one_rule_matches_it(
    policy: DevicePolicy, type: str, access: str, major: int, minor: int
) -> None:
    excepted = any(matches(rule, type, access, major, minor) for rule in policy.exceptions)
    assert run(assemble(policy), type, access, major, minor) is (excepted != policy.allow)


@pytest.mark.parametrize(
    ("type", "access", "major", "minor", "allowed"),
    [
        ("c", "rw", 1, 3, True),  # /dev/null
        ("c", "rw", 136, 17, True),  # /dev/pts/17
        ("c", "m", 10, 229, True),  # a node for /dev/fuse may be made
        ("c", "rw", 10, 229, False),  # and not opened
        ("c", "r", 1, 1, False),  # /dev/mem
        ("c", "r", 1, 11, False),  # /dev/kmsg
        ("b", "m", 8, 0, True),
        ("b", "r", 8, 0, False),  # a disk
    ],
)
def test_the_default_list_is_dockers(type: str, access: str, major: int, minor: int, allowed: bool) -> None:
    assert run(assemble(DevicePolicy(False, DEFAULT_DEVICES)), type, access, major, minor) is allowed
