import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw


def test_each_form_of_a_line() -> None:
    text = (
        "\ufeff# a comment\n\nA=1\nB = two words # comment\r\nexport C=3\n  D: four\nE='$A # \\'x\\''\n"
        'F="$A\\t\\"q\\" \\$A"\nG=a#b\nH=\nI="first\nsecond"\n'
    )
    assert parse_dotenv(text) == {
        "A": "1", "B": "two words", "C": "3", "D": "four", "E": "$A # 'x'", "F": '1\t"q" $A', "G": "a#b", "H": "",
        "I": "first\nsecond",
    }  # fmt: skip


def test_a_key_alone_comes_from_the_environment_or_is_left_out() -> None:
    assert parse_dotenv("A\nB # why\nC\n", {"A": "1", "B": "2"}.get) == {"A": "1", "B": "2"}


def test_a_variable_comes_from_the_environment_before_earlier_lines() -> None:
    assert parse_dotenv("A=file\nB=$A\nC=${D:-d}\n", {"A": "shell"}.get) == {"A": "file", "B": "shell", "C": "d"}
    assert parse_dotenv("A=file\nB=$A\n") == {"A": "file", "B": "file"}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("A=1\nB C=2\n", "line 2: key cannot contain a space"),
        ("\n\nA='x\n", "line 3: unterminated quoted value"),
        ('A="x\n\nB=1\n', "line 1: unterminated quoted value"),
        ("A$=1", 'line 1: unexpected character "$" in variable name'),
        ("A=1\nB=${A\n", "line 2: `${A` has no closing brace"),
        ('A=1\nB="\\0000"\n', "line 2: a value cannot hold the character NUL: no program can be given it"),
        ("A=${B:?set it}\n", "line 1: required variable B is missing a value: set it"),
    ],
)
def test_an_error_names_its_line(text: str, error: str) -> None:
    with pytest.raises(BadEnvFile) as caught:
        parse_dotenv(text)
    assert str(caught.value) == error


def test_the_lines_above_come_before_the_files_before() -> None:
    earlier = {"A": "before", "B": "before"}.get
    assert parse_dotenv("A=own\nX=$A\nY=$B\nB\nC\n", earlier=earlier) == {
        "A": "own", "X": "own", "Y": "before", "B": "before",
    }  # fmt: skip


def test_what_is_not_set_is_told_with_its_line() -> None:
    told: list[tuple[str, int]] = []
    parse_dotenv("A=1\nB=$A$C\nD=${E:-x}${F}\n", unset=lambda name, line: told.append((name, line)))
    assert told == [("C", 2), ("F", 3)]


def test_values_that_double_line_by_line_come_to_an_end() -> None:
    text = "A0=" + "x" * 100 + "\n" + "".join(f"A{n + 1}=$A{n}$A{n}$A{n}$A{n}\n" for n in range(40))
    with pytest.raises(BadEnvFile, match=r"^line \d+: (it becomes longer than 4 MiB|the values of the file .*)$"):
        parse_dotenv(text)


def test_a_value_may_begin_with_the_sign_of_a_comment() -> None:
    assert parse_dotenv("A=#1\nB= # x\nC=1 # x\nD=''# x\n") == {"A": "#1", "B": "# x", "C": "1", "D": ""}


def test_text_behind_a_closing_quote_is_told() -> None:
    told: list[tuple[str, int]] = []
    assert parse_dotenv('\nA="x" y\nB=1\n', odd=lambda text, line: told.append((text, line))) == {"A": "x", "B": "1"}
    assert told == [("text behind the closing quote is not part of the value", 2)]


def test_raw_takes_lines_as_they_are() -> None:
    text = "# no\nA='q' # kept\nB=$A\nC\nD\n"
    assert parse_raw(text, {"C": "3"}.get) == {"A": "'q' # kept", "B": "$A", "C": "3"}
    with pytest.raises(BadEnvFile, match="line 1: key cannot contain a space"):
        parse_raw("A B=1")


KEYS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.]{0,8}", fullmatch=True).filter(lambda key: key != "export")
TEXT = st.text(alphabet=st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=20)


@given(st.dictionaries(KEYS, TEXT, max_size=5))
def test_double_quoted_values_come_back_as_they_were(values: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        for plain, escape in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\n", "\\n"), ("\r", "\\r")):
            value = value.replace(plain, escape)
        return f'"{value}"'

    assert parse_dotenv("".join(f"{key}={quoted(value)}\n" for key, value in values.items())) == values


@given(st.text(alphabet="A=:'\"$\\{} \t\n#ex", max_size=30))
def test_any_text_is_parsed_or_refused_with_a_line(text: str) -> None:
    with contextlib.suppress(BadEnvFile):
        parse_dotenv(text)
