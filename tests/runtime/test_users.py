"""Who a program runs as: texts against passwd and group files that may be anything."""

import ctypes
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput
from orchestr8.runtime.users import User, read_file, resolve_user

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:,,,:/home/app:/bin/sh
homeless:x:1002:1002:::/bin/sh
2000:x:0:0:a number for a name:/:/bin/sh
short:x:0
negative:x:-1:0::/:/bin/sh
large:x:4294967296:0::/:/bin/sh
hex:x:0x0:0::/:/bin/sh
badgroup:x:5:none::/:/bin/sh
"""
GROUP = b"""root:x:0:
app:x:1001:
disk:x:6:app,other
extra:x:3000:other,app
3001:x:0:
wrong:x:-5:wrongmember
"""


def resolve(text: str) -> User:
    return resolve_user(text, PASSWD, GROUP)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", User(0, 0, (0,), "/root")),
        ("root", User(0, 0, (0,), "/root")),
        ("0", User(0, 0, (0,), "/root")),
        ("app", User(1000, 1001, (6, 1001, 3000), "/home/app")),
        ("1000", User(1000, 1001, (6, 1001, 3000), "/home/app")),
        ("001000", User(1000, 1001, (6, 1001, 3000), "/home/app")),
        ("app:disk", User(1000, 6, (6,), "/home/app")),
        ("app:6", User(1000, 6, (6,), "/home/app")),
        ("app:4242", User(1000, 4242, (4242,), "/home/app")),
        ("4242", User(4242, 0, (0,), "/")),
        ("4242:4243", User(4242, 4243, (4243,), "/")),
        ("4294967294:4294967294", User(4294967294, 4294967294, (4294967294,), "/")),
        ("homeless", User(1002, 1002, (1002,), "/")),
        ("homeless:0", User(1002, 0, (0,), "/")),
    ],
)
def test_names_and_numbers(text: str, expected: User) -> None:
    assert resolve(text) == expected


def test_a_number_is_an_id_though_somebody_has_it_as_a_name() -> None:
    assert resolve("2000").uid == 2000
    assert resolve("app:3001").gid == 3001


def test_the_primary_group_is_among_the_groups() -> None:
    """Else giving it up would gain what it is denied (CVE-2022-36109)."""
    for text in ("", "app", "app:disk", "77", "77:78"):
        user = resolve(text)
        assert user.gid in user.groups


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nobody", "the image's /etc/passwd has no user `nobody`"),
        ("short", "the image's /etc/passwd has no user `short`"),
        ("app:nogroup", "the image's /etc/group has no group `nogroup`"),
        ("negative", "`-1` is no id between 0 and 4294967294"),
        ("large", "`4294967296` is no id between 0 and 4294967294"),
        ("hex", "`0x0` is no id between 0 and 4294967294"),
        ("badgroup", "`none` is no id between 0 and 4294967294"),
        ("4294967295", "`4294967295` is no id between 0 and 4294967294"),
        ("0:4294967295", "`4294967295` is no id between 0 and 4294967294"),
        ("app:wrong", "`-5` is no id between 0 and 4294967294"),
        (":", "it must be `user`, `uid`, `user:group` or `uid:gid`"),
        (":0", "it must be `user`, `uid`, `user:group` or `uid:gid`"),
        ("0:", "it must be `user`, `uid`, `user:group` or `uid:gid`"),
        ("a:b:c", "it must be `user`, `uid`, `user:group` or `uid:gid`"),
    ],
)
def test_what_cannot_be_is_told_and_never_root(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve(text)
    assert caught.value.message == f"user `{text}` cannot be used: {why}"
    assert caught.value.code == "O8-610"


def test_a_member_whose_group_has_no_number_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="`-5` is no id"):
        resolve_user("wrongmember", b"wrongmember:x:1:1::/:/bin/sh\n", GROUP)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\r"])
def test_a_name_field_cannot_smuggle_in_another_line(separator: str) -> None:
    passwd = f"app:x:1000:1000:{separator}evil:x:0:0::/:/bin/sh\n".encode()
    with pytest.raises(InvalidInput, match="has no user `evil`"):
        resolve_user("evil", passwd, b"")


@given(st.text(), st.binary(), st.binary())
def test_any_text_against_any_files_is_a_user_in_range_or_an_error(text: str, passwd: bytes, group: bytes) -> None:
    try:
        user = resolve_user(text, passwd, group)
    except InvalidInput:
        return
    assert 0 <= user.uid < 2**32 - 1
    assert all(0 <= gid < 2**32 - 1 for gid in (user.gid, *user.groups))
    assert user.home


@given(st.text(alphabet="0123456789:x-+ eE._", min_size=1))
def test_without_files_root_is_only_what_says_zero(text: str) -> None:
    try:
        user = resolve_user(text, b"", b"")
    except InvalidInput:
        return
    name, _, group = text.partition(":")
    assert user.uid == int(name)
    assert name.isdigit()
    assert user.gid == (int(group) if group else 0)


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_numbers_mean_themselves_or_nothing(uid: int, gid: int) -> None:
    fits = max(uid, gid) < 2**32 - 1
    try:
        user = resolve_user(f"{uid}:{gid}", PASSWD, GROUP)
    except InvalidInput:
        assert not fits
    else:
        assert fits
        assert (user.uid, user.gid) == (uid, gid)


def test_only_regular_files_are_read_and_nothing_blocks(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(PASSWD)
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "fifo")
    found = {name: read_file(str(tmp_path / name)) for name in ("file", "link", "loop", "fifo", "missing", ".")}
    assert found == {"file": PASSWD, "link": PASSWD, "loop": b"", "fifo": b"", "missing": b"", ".": b""}
    assert read_file("/dev/zero") == b""


def test_a_file_that_is_too_long_is_cut_at_a_line(tmp_path: Path) -> None:
    line = b"user%07d:x:1000:1000::/:/bin/sh\n"
    content = b"".join(line % number for number in range(40_000))
    (tmp_path / "passwd").write_bytes(content)
    found = read_file(str(tmp_path / "passwd"))
    assert found == content[: len(found)]
    assert found.endswith(b"\n")
    assert len(found) > 1_000_000


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "passwd")
    libc = ctypes.CDLL(None)
    opened = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(opened, bytes(tmp_path / "passwd"), 0x20) > 0  # IN_OPEN
        assert read_file(str(tmp_path / "passwd")) == b""
        with pytest.raises(BlockingIOError):
            os.read(opened, 4096)
    finally:
        os.close(opened)
