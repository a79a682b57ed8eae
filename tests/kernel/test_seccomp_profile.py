"""A profile of Docker's JSON: what of it holds where, and the program that comes of it."""

import errno
import json
from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.kernel.seccomp import compile_profile
from orchestr8.kernel.seccomp_profile import Profile, Rule, parse
from orchestr8.kernel.seccomp_rules import Compare
from tests.kernel.test_seccomp import ALLOW, ENOSYS, X86_64, pytestmark, run

__all__ = ["pytestmark"]

LOG, ERRNO = 0x7FFC0000, 0x00050000


def parsed(
    *syscalls: dict[str, Any], default: str = "SCMP_ACT_ALLOW", capabilities: tuple[str, ...] = (), **more: Any
) -> Profile:
    return parse({"defaultAction": default, "syscalls": list(syscalls), **more}, capabilities, "x86_64", (6, 1))


def refuse(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": list(names), "action": "SCMP_ACT_ERRNO", **more}


def test_names_actions_and_error_numbers() -> None:
    assert parsed(refuse("mkdir", "rmdir", errnoRet=95), {"name": "read", "action": "SCMP_ACT_LOG"}) == Profile(
        ALLOW, (Rule(("mkdir", "rmdir"), ERRNO | 95, ((),)), Rule(("read",), LOG, ((),)))
    )
    assert parsed(default="SCMP_ACT_ERRNO").default_action == ERRNO | errno.EPERM
    assert parsed(default="SCMP_ACT_ERRNO", defaultErrnoRet=38).default_action == ERRNO | 38


def test_conditions_on_several_arguments_hold_together_and_on_one_each_by_itself() -> None:
    def condition(index: int, value: int) -> dict[str, Any]:
        return {"index": index, "value": value, "op": "SCMP_CMP_EQ"}

    apart = parsed(refuse("socket", args=[condition(0, 1), condition(1, 2)]))
    assert apart.rules[0].alternatives == ((Compare(0, 4, 1), Compare(1, 4, 2)),)
    same = parsed(refuse("socket", args=[condition(0, 1), condition(0, 2)]))
    assert same.rules[0].alternatives == ((Compare(0, 4, 1),), (Compare(0, 4, 2),))


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({"includes": {"caps": ["CAP_SYS_TIME"]}}, True),
        ({"includes": {"caps": ["CAP_SYS_TIME", "CAP_BPF"]}}, False),
        ({"excludes": {"caps": ["CAP_BPF", "CAP_SYS_TIME"]}}, False),
        ({"excludes": {"caps": ["CAP_BPF"]}}, True),
        ({"includes": {"arches": ["amd64"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "6.1"}}, True),
        ({"includes": {"minKernel": "6.10"}}, False),
        ({"excludes": {"minKernel": "5.4"}}, False),
    ],
)
def test_rules_for_some_capabilities_machines_and_kernels(when: dict[str, Any], holds: bool) -> None:
    assert bool(parsed(refuse("mkdir", **when), capabilities=("CAP_SYS_TIME",)).rules) is holds


@pytest.mark.parametrize(
    ("profile", "error"),
    [
        ([], "the profile must be a mapping"),
        ({}, "defaultAction must be one of"),
        ({"defaultAction": "SCMP_ACT_NOTIFY"}, "defaultAction must be one of"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}, None),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [1]}, r"syscalls\[0\] must be a mapping"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [1], "action": "SCMP_ACT_LOG"}]},
            "names of system calls",
        ),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse("x", args=[{"index": 6, "op": "SCMP_CMP_EQ"}])]},
            "from 0 to 5",
        ),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse("x", args=[{"index": 0, "op": "EQ"}])]},
            r"args\[0\].op",
        ),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse("x", errnoRet=-1)]}, "errnoRet"),
        ({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refuse("x", includes={"minKernel": "new"})]}, "minKernel"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(profile: Any, error: str | None) -> None:
    if error is None:
        parse(profile, (), "x86_64", (6, 1))
        return
    with pytest.raises(InvalidInput, match=error) as caught:
        parse(json.loads(json.dumps(profile)), (), "x86_64", (6, 1))
    assert caught.value.code == "O8-614"


MKDIR, PERSONALITY, READ = 83, 135, 0


def test_the_program_of_one_that_names_what_is_refused() -> None:
    program = compile_profile(parsed(
        refuse("mkdir", errnoRet=95),
        refuse("personality", args=[{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]),
        {"names": ["a_call_of_tomorrow"], "action": "SCMP_ACT_KILL"},
    ))  # fmt: skip
    assert run(program, MKDIR) == ERRNO | 95
    assert run(program, PERSONALITY, 8) == ERRNO | errno.EPERM
    assert run(program, PERSONALITY, 0) == ALLOW
    assert run(program, 9999) == ALLOW
    assert run(program, READ, architecture=0x40000003) == ALLOW  # the 32 bits of the same machine


def test_the_program_of_one_that_names_what_is_allowed_lets_new_calls_be_absent() -> None:
    program = compile_profile(
        parsed({"names": ["read", "mkdir"], "action": "SCMP_ACT_ALLOW"}, default="SCMP_ACT_ERRNO")
    )
    assert run(program, READ) == ALLOW
    assert run(program, 1) == ERRNO | errno.EPERM
    assert run(program, 9999) == ENOSYS
    assert X86_64
