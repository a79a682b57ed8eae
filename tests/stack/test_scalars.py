import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.ports import BadPort, check_ip
from orchestr8.stack.scalars import (
    format_duration,
    parse_bytes,
    parse_duration_ns,
    parse_flag,
    parse_fraction,
    parse_integer,
    parse_mode,
    resolve,
    split_command,
    to_text,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("Null", None), ("true", True), ("FALSE", False),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("N", "N"),
        ("22:22", "22:22"), ("1:30:00", "1:30:00"), ("2024-01-31", "2024-01-31"),
        ("0", 0), ("-12", -12), ("+5", 5), ("010", 8), ("0o10", 8), ("0x1F", 31), ("0b101", 5), ("1_000", 1000),
        ("08", 8.0), ("1.10", 1.1), (".5", 0.5), ("1e3", 1000.0), ("-.inf", -math.inf),
        ("1.2.3", "1.2.3"), ("-", "-"), (".", "."), ("+", "+"), ("0x", "0x"), ("8080:80", "8080:80"), ("5s", "5s"),
    ],
)  # fmt: skip
def test_a_plain_scalar_means_what_it_means_to_compose(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "true"), (False, "false"), (8, "8"), (2.5, "2.5"), (1.1, "1.1"), (100.0, "100"),
        (123456.0, "123456"), (1e6, "1e+06"), (1234567.5, "1.2345675e+06"), (1e-5, "1e-05"), (0.0001, "0.0001"),
        (-0.5, "-0.5"), (0.0, "0"), (math.inf, "+Inf"), (math.nan, "NaN"),
    ],
)  # fmt: skip
def test_a_number_becomes_text_as_go_prints_it(value: object, text: str) -> None:
    assert to_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_reads_back_as_the_number(value: float) -> None:
    assert float(to_text(value)) == value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("30s", "30s"), ("90s", "1m30s"), ("1h5m30s20ms", "1h5m30.02s"), ("1.5s", "1.5s"), ("500ms", "500ms"),
        ("1h", "1h0m0s"), ("0", "0s"), ("1us", "1µs"), ("2d", "48h0m0s"), ("1w", "168h0m0s"), ("250ns", "250ns"),
    ],
)  # fmt: skip
def test_a_duration_is_shown_as_go_shows_it(text: str, shown: str) -> None:
    assert format_duration(parse_duration_ns(text)) == shown


@given(st.integers(min_value=0, max_value=10**16))
def test_a_shown_duration_reads_back_as_the_same(nanoseconds: int) -> None:
    assert parse_duration_ns(format_duration(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("text", ["", "+", "10", "s", "5 s", "-5s", "5x", "1h 5m", "5s!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("512", 512), ("512b", 512), ("1k", 1024), ("640kb", 655360), ("1.5G", 1610612736), ("2MiB", 2097152),
     (64, 64), ("-1", -1), (1e6, 1_000_000), (1.5, 1)],
)  # fmt: skip
def test_sizes_are_powers_of_1024(text: object, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "1x", "-5", "1 2", "0x10", " 5m", "5m ", "٥m", "1" * 41])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a size is"):
        parse_bytes(text)


def test_a_flag_may_be_written_as_text() -> None:
    assert [parse_flag(word) for word in ("true", "Yes", "on", "1", "false", "NO", "off", "0")] == [True] * 4 + [
        False
    ] * 4
    with pytest.raises(ValueError, match="true or false"):
        parse_flag("maybe")


def test_a_mode_is_a_number_or_octal_text() -> None:
    assert [parse_mode(each) for each in (0o755, "0755", "755", "0o1777")] == [0o755, 0o755, 0o755, 0o1777]
    for wrong in ("", "9", "rwx", "7_5", " 7", "+7", 0o17777, -1):
        with pytest.raises(ValueError, match=r"."):
            parse_mode(wrong)


def test_an_integer_written_as_text_is_digits() -> None:
    assert [parse_integer(each) for each in ("5", "+5", "-5", "05")] == [5, 5, -5, 5]
    for wrong in ("", " 5", "5 ", "1_000", "0x1F", "٥", "1.0", "1" * 65):
        with pytest.raises(ValueError, match="is digits"):
            parse_integer(wrong)


def test_a_number_written_as_text_may_have_a_fraction_and_a_power_of_ten() -> None:
    assert [parse_fraction(each) for each in ("5", ".5", "5.", "-1.5", "1e3", "1_0")] == [5, 0.5, 5, -1.5, 1000, 10]
    for wrong in ("", ".", " 1", "inf", "nan", "1e999", "0x1p3"):
        with pytest.raises(ValueError, match=r"."):
            parse_fraction(wrong)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bundle exec thin -p 3000", ["bundle", "exec", "thin", "-p", "3000"]),
        ("  spaced   out ", ["spaced", "out"]),
        ("sh -c 'a b; c'", ["sh", "-c", "a b; c"]),
        ('echo "it\'s" ""', ["echo", "it's", ""]),
        (r"a\ b c\"d", ["a b", 'c"d']),
        (r"'a\ b'", [r"a\ b"]),
        (r'printf "a\nb"', ["printf", "a\nb"]),
        ("", []),
    ],
)
def test_a_command_line_is_split_into_words(text: str, words: list[str]) -> None:
    assert split_command(text) == (words, "")


def test_what_only_a_shell_understands_ends_the_command_line() -> None:
    assert split_command("serve > /dev/null") == (["serve"], "> /dev/null")
    assert split_command("a && b") == (["a"], "&& b")


@pytest.mark.parametrize(
    ("text", "why"), [("echo 'a", "is not closed"), ('echo "a', "is not closed"), ("a\\", "backslash")]
)
def test_an_open_quote_is_an_error(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        split_command(text)


@given(st.lists(st.text(alphabet=st.characters(blacklist_characters="'", blacklist_categories=("Cs",)))))
def test_single_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    assert split_command(" ".join(f"'{word}'" for word in words)) == (words, "")


@pytest.mark.parametrize("text", ["127.0.0.1", "0.0.0.0", "255.255.255.255", "::1", "fe80::1%eth0", "::ffff:10.0.0.1"])
def test_an_address_is_one(text: str) -> None:
    check_ip(text)


@pytest.mark.parametrize(
    "text",
    ["256.1.1.1", "01.1.1.1", "1.1.1", "1.1.1.1.1", "٣.1.1.1", "1.1.1.1%eth0", "", "...", "1.1.1.-1", "1.1.1.1 "],
)
def test_what_is_nearly_an_address_is_none(text: str) -> None:
    with pytest.raises(BadPort, match=re.escape(f"invalid ip address: {text}")):
        check_ip(text)
