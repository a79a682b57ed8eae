"""Lines and messages as Docker's drivers make them: the bytes are what Docker 28.5.2 sent for the same output."""

import re
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.runtime.logsenders.journal import JournalFormat, encode_field
from orchestr8.runtime.logsenders.lines import PART_BYTES, Line, Splitter
from orchestr8.runtime.logsenders.syslog import SyslogFormat

AT = 1795761543_050832000  # 2026-11-27 06:39:03.050832 UTC


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def syslog(form: str, *, facility: int = 3, tag: str = "f7649c74e855", counted: bool = False) -> SyslogFormat:
    return SyslogFormat(form, facility=facility, tag=tag, hostname="vm", pid=8647, counted=counted)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", b"<30>Nov 27 06:39:03 f7649c74e855[8647]: hello\n"),
        ("rfc3164", b"<30>Nov 27 06:39:03 vm f7649c74e855[8647]: hello\n"),
        ("rfc5424", b"<30>1 2026-11-27T06:39:03Z vm f7649c74e855 8647 f7649c74e855 - hello\n"),
        ("rfc5424micro", b"<30>1 2026-11-27T06:39:03.050832Z vm f7649c74e855 8647 f7649c74e855 - hello\n"),
    ],
)
def test_each_syslog_format_is_dockers(form: str, expected: bytes) -> None:
    assert syslog(form).message(1, Line(b"hello", AT)) == expected


def test_stderr_is_an_error_and_the_facility_counts() -> None:
    assert syslog("").message(2, Line(b"to err", AT)).startswith(b"<27>Nov")
    assert syslog("", facility=19).message(1, Line(b"x", AT)).startswith(b"<158>Nov")
    assert syslog("", facility=19).message(2, Line(b"x", AT)).startswith(b"<155>Nov")
    assert syslog("", facility=0).message(2, Line(b"x", AT)).startswith(b"<3>Nov")


def test_only_formats_of_rfc_5424_have_their_length_in_front() -> None:
    plain = syslog("rfc5424").message(1, Line(b"hello", AT))
    assert syslog("rfc5424", counted=True).message(1, Line(b"hello", AT)) == b"%d %s" % (len(plain), plain)
    for form in ("", "rfc3164"):
        assert syslog(form, counted=True).message(1, Line(b"x", AT)) == syslog(form).message(1, Line(b"x", AT))


def test_bytes_of_a_line_stay_as_they_are_and_an_empty_one_is_no_message() -> None:
    assert syslog("").message(1, Line(b"\xff\0bin  ", AT)).endswith(b"[8647]: \xff\0bin  \n")
    assert syslog("").message(1, Line(b"", AT)) == b""


def test_times_are_local_and_single_digits_of_days_are_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    early = 1772582400_000000000  # 2026-03-04 00:00:00 UTC
    assert syslog("").message(1, Line(b"x", early)).startswith(b"<30>Mar  4 05:30:00 ")
    assert b" 2026-03-04T05:30:00+05:30 " in syslog("rfc5424").message(1, Line(b"x", early))
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    assert b" 2026-03-03T20:30:00.000001-03:30 " in syslog("rfc5424micro").message(1, Line(b"x", early + 1000))


def test_each_line_has_its_own_time() -> None:
    form = syslog("rfc5424")
    seconds = [form.message(1, Line(b"x", AT + step * 500_000_000))[20:25] for step in range(4)]
    assert seconds == [b"39:03", b"39:03", b"39:04", b"39:04"]


FIELDS = [("CONTAINER_ID", "a952b796ce0f"), ("FOO", "x\ny")]


def test_an_entry_has_the_fields_of_docker() -> None:
    entry = JournalFormat(FIELDS).message(2, Line(b"to err", AT))
    epoch = re.search(rb"CONTAINER_LOG_EPOCH=([0-9a-f]{64})\n", entry)
    assert epoch is not None
    assert entry.replace(epoch[0], b"") == (
        b"PRIORITY=3\nMESSAGE=to err\nCONTAINER_ID=a952b796ce0f\nFOO\n\x03\0\0\0\0\0\0\0x\ny\n"
        b"SYSLOG_TIMESTAMP=2026-11-27T06:39:03.050832Z\nCONTAINER_LOG_ORDINAL=1\n"
    )


def test_entries_are_numbered_and_parts_are_marked() -> None:
    form = JournalFormat([])
    assert b"MESSAGE=\n" in form.message(1, Line(b"", AT)), "an empty line is an entry"
    second = form.message(1, Line(b"x", AT, "ab", 1, last=False))
    assert second.endswith(
        b"CONTAINER_LOG_ORDINAL=2\nCONTAINER_PARTIAL_ID=ab\nCONTAINER_PARTIAL_ORDINAL=1\n"
        b"CONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n"
    )
    last = form.message(1, Line(b"x", AT, "ab", 2, last=True))
    assert last.endswith(b"CONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=true\n")


@given(st.binary(max_size=50))
def test_a_field_can_be_read_back(value: bytes) -> None:
    encoded = encode_field("NAME", value)
    if encoded.startswith(b"NAME="):
        assert encoded == b"NAME=" + value + b"\n"
        assert b"\n" not in value
    else:
        (length,) = struct.unpack_from("<Q", encoded, 5)
        assert (encoded[:5], length, encoded[13:]) == (b"NAME\n", len(value), value + b"\n")


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.text("a\n").map(str.encode), st.just(b"z" * PART_BYTES), st.just(b"\n"))
    )
)
def test_lines_in_one_are_the_same_messages(chunks: list[bytes]) -> None:
    single, several = Splitter(), Splitter()
    one_by_one = syslog("rfc3164")
    for chunk in chunks:
        expected = b"".join(one_by_one.message(2, line) for line in single.take(chunk, AT))
        block = several.take_whole(chunk, AT)
        found = (
            syslog("rfc3164").block(2, block, AT)
            if block
            else b"".join(one_by_one.message(2, line) for line in several.take(chunk, AT))
        )
        assert found == expected
    assert texts(several.finish()) == texts(single.finish())


def texts(lines: list[Line]) -> list[bytes]:
    return [line.text for line in lines]


def test_reads_are_cut_into_lines_wherever_they_end() -> None:
    splitter = Splitter()
    assert texts(splitter.take(b"one\n\ntw", AT)) == [b"one", b""]
    assert splitter.take(b"", AT) == []
    assert splitter.take(b"o\nrest", AT + 1) == [Line(b"two", AT + 1)]
    (rest,) = splitter.finish()
    assert (rest.text, rest.at, rest.ordinal, rest.last) == (b"rest", AT + 1, 1, False)
    assert splitter.finish() == []


def test_a_long_line_comes_in_parts_that_belong_together() -> None:
    splitter = Splitter()
    found = splitter.take(b"x" * 20000 + b"\nnext\n", AT)
    assert [(len(line.text), line.ordinal, line.last) for line in found] == [
        (16384, 1, False), (3616, 2, True), (4, 0, False),
    ]  # fmt: skip
    assert found[0].part_of == found[1].part_of != ""
    assert re.fullmatch("[0-9a-f]{64}", found[0].part_of)
    assert found[2].part_of == ""
    (again, end) = splitter.take(b"x" * PART_BYTES + b"\n", AT)
    assert again.part_of not in ("", found[0].part_of)
    assert (end.text, end.ordinal, end.last) == (b"", 2, True), "exactly one part, and then the newline"


def test_a_line_whose_end_is_lost_is_forgotten() -> None:
    splitter = Splitter()
    splitter.take(b"head of a line", AT)
    splitter.drop()
    assert texts(splitter.take(b"whole\n", AT)) == [b"whole"]


@given(st.lists(st.one_of(st.binary(max_size=40), st.integers(1, 40000).map(lambda size: b"y" * size), st.just(b"\n"))))
def test_nothing_is_lost_or_added_by_cutting(chunks: list[bytes]) -> None:
    splitter = Splitter()
    found = [line for chunk in chunks for line in splitter.take(chunk, AT)]
    rest = splitter.finish()
    whole = b"".join(line.text + (b"\n" if line.last or not line.part_of else b"") for line in found)
    assert whole + b"".join(line.text for line in rest) == b"".join(chunks)
    assert all(len(line.text) <= PART_BYTES for line in found + rest)
