"""Small files can ask for much: read again and again, laid over each other, told a thousand times. Each of these once took
minutes, or all memory, or ended in a traceback. Time is not measured: what would hang runs into the limit of every test.
"""

import os
import sys
import threading
from pathlib import Path

import pytest

from orchestr8.errors import Diagnostic, Edit, Fix, InvalidInput
from orchestr8.stack.check import changeable, examine, mend, without_overlaps
from orchestr8.stack.dotenv import BadEnvFile, parse_dotenv, parse_raw
from orchestr8.stack.load import LoadOptions
from orchestr8.stack.problems import MAX_TOLD
from orchestr8.stack.source import read_text

WEB = "services: {web: {image: x}}\n"
LINES_90_000 = "".join(f"K{number}=v\n" for number in range(90_000))
TOO_MANY_LINES = "the env files of all services and includes together have more than 400000 lines"
TOO_LONG = "the env files of all services and includes together are longer than 32 MiB"


def services(count: int, lines: str) -> str:
    """A stack of `count` services, each of this line, with its number for `%` and the next one's for `+`."""
    return "services:\n" + "".join(
        f"  s{number}: {lines.replace('%', str(number)).replace('+', str(number + 1))}\n" for number in range(count)
    )


ENDS_WITH = {
    "an env file of many includes": (
        {"stack.yml": "include:\n" + "".join(f"  - {{path: i{n}.yml, env_file: big}}\n" for n in range(200)) + WEB,
         **{f"i{n}.yml": f"services: {{s{n}: {{image: x}}}}\n" for n in range(200)}, "big": LINES_90_000},
        TOO_MANY_LINES,
    ),
    "a long env file of one include": (
        {"stack.yml": "include: [{path: i.yml, env_file: [" + ", ".join("./" * n + "big" for n in range(20)) + "]}]\n" + WEB, "i.yml": WEB,
         "big": "#" * 10_000_000},
        TOO_LONG,
    ),
    "an env file that always says the same": (
        {"stack.yml": services(1000, "{image: x, env_file: big}"), "big": "K=v\n" * 5_000}, TOO_MANY_LINES,
    ),
    "label files": ({"stack.yml": services(100, "{image: x, label_file: big}"), "big": LINES_90_000}, TOO_MANY_LINES),
    "env files with long values": (
        {"stack.yml": services(40, "{image: x, env_file: a}"), "a": "A=$B\n", ".env": f"B={'x' * 1_000_000}\n"},
        TOO_LONG,
    ),
    "long variables by name": (
        {"stack.yml": services(40, "{image: x, environment: [B]}"), ".env": f"B={'x' * 1_000_000}\n"}, TOO_LONG,
    ),
    "an included file of which nothing is used": (
        {"stack.yml": services(12, "{extends: {file: f%.yml, service: web}}"),
         **{f"f{n}.yml": "x-a: [" + "a, " * 90_000 + "]\n" + WEB for n in range(12)}},
        "the included and extended files together have more than 1000000 values",
    ),
    "long files": (
        {"stack.yml": "include: [" + ", ".join(f"i{n}.yml" for n in range(5)) + "]\n" + WEB,
         **{f"i{n}.yml": "#" * 20_000_000 for n in range(5)}},
        "the included and extended files together are longer than 64 MiB",
    ),
    "a long text by extends": (
        {"stack.yml": "services:\n  base: {image: x, labels: {a: " + "x" * 1_000_000 + "}}\n"
         + "".join(f"  s{n}: {{extends: base}}\n" for n in range(200))},
        "`include` and `extends` bring more than 400000 values into the stack",
    ),
    "a long text by alias": (
        {"stack.yml": "x-a: &a " + "x" * 1_000_000 + "\nx-b: [" + "*a, " * 50 + "]\n" + WEB},
        "the file exceeds the limit of 32 MiB, its aliases expanded",
    ),
    "a long key": (
        {"stack.yml": '? "x-' + "k" * 10_000_000 + '"\n: [' + "a, " * 90_000 + "]\n" + WEB},
        "a key is longer than 1024 letters",
    ),
    "words": (
        {"stack.yml": "services: {web: {image: x, command: '" + "a " * 4_000_000 + "'}}"},
        "`services.web.command`: the command line cannot be split: it has more than 100000 words",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("files", "error"), [pytest.param(*each, id=name) for name, each in ENDS_WITH.items()])
def test_too_much_is_told_once(stack, files: dict[str, str], error: str) -> None:
    found = stack(files)
    assert [each.partition("] ")[2] for each in found.errors] == [error]
    assert len(found.text) < 2_000


def test_a_reason_that_a_variable_is_required_may_be_long_and_often_wanted(stack) -> None:
    wanted = ", ".join(f"k{number}: '${{NO:?{'$A' * 40}}}'" for number in range(900))
    files = {"stack.yml": f"services: {{web: {{image: x, labels: {{{wanted}}}}}}}\n", ".env": f"A={'x' * 100_000}\n"}
    found = stack(files)
    assert len(found.errors) == 900
    assert all(len(error) < 1_200 for error in found.errors)
    aliases = "x-a: &a '${NO:?" + "$A" * 40 + "}'\nx-b: [" + "*a, " * 100_000 + "]\n" + WEB
    found = stack({**files, "stack.yml": aliases})
    assert "all variables of the stack together become longer than 64 MiB" in found.text


@pytest.mark.parametrize("line", ["K%=$V%", "K%='a' b="])
def test_an_env_file_may_want_many_warnings(stack, line: str) -> None:
    text = "".join(line.replace("%", str(number)) + "\n" for number in range(40_000))
    found = stack({"stack.yml": WEB, ".env": text})
    assert found.errors == []
    assert len(found.warnings) == MAX_TOLD + 1


@pytest.mark.parametrize("line", ["{extends: {service: s+, file: o.yml}}", "{extends: s+}"])
def test_a_chain_of_extends_may_be_long(stack, line: str) -> None:
    chain = services(20_000, line) + "  s20000: {image: x}\n"
    entry = "services: {web: {extends: {service: s0, file: o.yml}}}\n"
    assert stack({"stack.yml": entry, "o.yml": chain}).services["web"]["image"] == "x"
    assert stack(chain).services["s0"]["image"] == "x"


def test_a_circle_of_extends_may_be_long(stack) -> None:
    found = stack(services(20_000, "{extends: s+}") + "  s20000: {extends: s0}\n")
    assert len(found.errors) == 1
    assert "circular `extends`: s0 -> s1 -> " in found.errors[0]


def test_many_names_that_nothing_bears_are_told_without_a_guess(stack) -> None:
    found = stack(services(20_000, "{extends: t%}"))
    assert "no service is called `t0`" in found.text
    assert "there is: s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, ..." in found.text
    assert "did you mean" not in found.text


def test_many_findings_on_one_huge_line_full_of_secrets(stack) -> None:
    one = "{image: x, foo: " + "TOKEN=abc " * 30 + "}"
    found = stack("services: {" + ", ".join(f"s{number}: {one}" for number in range(20_000)) + "}")
    assert len(found.errors) == MAX_TOLD + 1
    assert "abc" not in found.text


def test_places_in_env_files_are_counted_as_lines_are_shown(stack) -> None:
    found = stack({"stack.yml": WEB, ".env": "A=1\x85\u2028\r2\r\nB=$NO\n"})
    assert found.warnings == [
        ".env:5:1: warning[O8-302] variable `NO` is not set; it is taken as blank",
    ]
    assert "5 | B=$NO\n  | ^^^^^" in found.text


def test_an_env_file_has_so_many_statements_whatever_they_say() -> None:
    with pytest.raises(BadEnvFile, match="line 100001: the file has more than 100000 keys"):
        parse_dotenv("K=v\n" * 100_001)


def test_a_raw_value_ends_with_its_line_alone() -> None:
    assert parse_raw("A=1\x0c2\x85\u20283 \r\nB=\x1c\n") == {"A": "1\x0c2\x85\u20283 ", "B": "\x1c"}


def options(directory: Path) -> LoadOptions:
    return LoadOptions(environ={}, working_dir=str(directory))


def mended(directory: Path, text: str) -> tuple[int, str]:
    path = directory / "stack.yml"
    path.write_text(text)
    may, _ = changeable(options(directory), examine(options(directory)))
    done = mend(options(directory), may)
    return len(done.mended), done.texts.get(str(path), text)


@pytest.mark.parametrize("number", ["1" + "0" * 6_000 + ":10", "1" + ":10" * 6_000])
def test_a_number_to_the_base_of_sixty_may_be_long(project_dir: Path, number: str) -> None:
    assert mended(project_dir, f"services: {{web: {{image: 'rootfs:/', labels: {{a: {number}}}}}}}\n") == (
        1, f'services: {{web: {{image: \'rootfs:/\', labels: {{a: "{number}"}}}}}}\n',
    )  # fmt: skip
    (found,) = examine(LoadOptions(environ={}, working_dir=str(project_dir))).diagnostics or [None]
    assert found is not None
    assert found.message.endswith("...` is a number to other readers of YAML")


def test_more_is_mended_than_is_told(project_dir: Path) -> None:
    text = "services:\n  web:\n    image: x\n    labels:\n" + "".join(
        f"      a{n}: 22:2{n % 10}\n" for n in range(3_000)
    )
    count, result = mended(project_dir, text)
    assert count == 3_000
    assert result.count('"22:2') == 3_000


def test_many_edits_that_cannot_be_made_do_not_keep_one_from_being_made(project_dir: Path) -> None:
    bad = "".join(f"  s{n}:\n    image: x\n    enviroment: {{}}\n    environment: {{a: 1}}\n" for n in range(300))
    count, result = mended(project_dir, f"services:\n{bad}  web:\n    image: x\n    comand: [a]\n")
    assert count == 1
    assert "    command: [a]\n" in result
    assert result.count("enviroment") == 300


def test_of_edits_that_meet_the_first_is_taken() -> None:
    def finding(*places: tuple[int, int, int, int]) -> Diagnostic:
        return Diagnostic("O8-101", repr(places), fix=Fix("", [Edit("f", *place, "") for place in places]))

    first, over, inside = finding((2, 5, 4, 1)), finding((1, 1, 2, 6)), finding((3, 9, 3, 10))
    before, behind, twice = finding((1, 1, 2, 5)), finding((4, 1, 4, 1)), finding((4, 1, 4, 3))
    of_two = finding((9, 1, 9, 2), (3, 1, 3, 2))
    found = without_overlaps([first, over, inside, before, of_two, behind, twice, finding((9, 1, 9, 2))])
    assert [each.message for each in found] == [each.message for each in (first, before, behind, finding((9, 1, 9, 2)))]


def test_tabs_of_a_long_file_are_looked_at_once(project_dir: Path) -> None:
    assert mended(project_dir, "services:\n" + "\tweb:\n" * 100_000)[0] == 0


def test_a_named_pipe_is_not_even_opened(tmp_path: Path) -> None:
    """Its writer would be let go, and die of nobody's reading."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    opened = threading.Event()

    def write() -> None:
        os.close(os.open(path, os.O_WRONLY))
        opened.set()

    writer = threading.Thread(target=write)
    writer.start()
    with pytest.raises(InvalidInput, match="is a named pipe"):
        read_text(str(path), "O8-107", "stack file")
    assert not opened.is_set()
    os.close(os.open(path, os.O_RDONLY))
    writer.join()


def test_standard_input_that_does_not_end_is_read_to_a_limit() -> None:
    import subprocess

    with open("/dev/zero", "rb") as zeros:
        done = subprocess.run(
            [sys.executable, "-m", "orchestr8", "-f", "-", "config"], stdin=zeros, capture_output=True, text=True,
            check=False, timeout=30,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error[O8-107]: standard input is larger than 32 MiB")
