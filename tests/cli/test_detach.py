"""Keys that let go of a terminal, among everything else that is typed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.cli.detach import DetachKeys
from orchestr8.cli.parser import UsageError


def fed(keys: DetachKeys, *typed: bytes) -> list[tuple[bytes, bool]]:
    return [keys.feed(each) for each in typed]


def test_the_keys_are_not_for_the_program_and_all_else_is() -> None:
    assert fed(DetachKeys(), b"ls\n", b"\x10\x11") == [(b"ls\n", False), (b"", True)]
    assert fed(DetachKeys(), b"a\x10", b"\x11b") == [(b"a", False), (b"", True)]
    assert fed(DetachKeys(), b"\x10", b"x\x11") == [(b"", False), (b"\x10x\x11", False)]
    assert fed(DetachKeys(), b"\x10\x10\x11") == [(b"\x10", True)]


def test_what_is_held_back_is_the_programs_when_nothing_follows() -> None:
    keys = DetachKeys()
    assert fed(keys, b"ls\n\x10") == [(b"ls\n", False)]
    assert (keys.rest(), keys.rest()) == (b"\x10", b"")


@pytest.mark.parametrize(
    ("written", "typed"),
    [("a", b"a"), ("ctrl-@", b"\0"), ("ctrl-\\", b"\x1c"), ("ctrl-A,b,~", b"\x01b~"), ("ctrl-],ctrl-]", b"\x1d\x1d")],
)
def test_how_keys_are_written(written: str, typed: bytes) -> None:
    assert DetachKeys(written).feed(b"!" + typed + b"?") == (b"!", True)


@pytest.mark.parametrize("written", ["", "ctrl-", "ctrl-1", "ab", "a,,b", "é", "\n", "ctrl-ä"])
def test_what_is_no_key(written: str) -> None:
    with pytest.raises(UsageError, match="is no key"):
        DetachKeys(written)


@given(st.lists(st.binary(max_size=6).map(lambda data: bytes(97 + byte % 3 for byte in data))))
def test_what_is_passed_on_and_held_back_is_what_was_typed(typed: list[bytes]) -> None:
    keys, passed = DetachKeys("a,b,a,c"), b""
    for number, each in enumerate(typed):
        some, detached = keys.feed(each)
        passed += some
        so_far = b"".join(typed[: number + 1])
        if detached:
            assert so_far.startswith(passed + b"abac")
            assert so_far.index(b"abac") == len(passed)
            return
        assert b"abac" not in so_far
        assert so_far.startswith(passed)
        assert b"abac".startswith(so_far[len(passed) :])
