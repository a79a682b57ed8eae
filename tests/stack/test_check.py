"""Properties of mending: whatever the file holds, it is the same or better afterwards, and mending it again does nothing."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestr8.errors import Edit
from orchestr8.stack.check import apply, changeable, examine, mend
from orchestr8.stack.project import LoadOptions

LINES = st.sampled_from([
    "    comand: [a]", "    command: [b]", "    user: 10:20", "    user: 5", "    enviroment: {A: 1}", "\ttty: true",
    "    tty: true  # c", "    colour: red", "    ports: [22:22, '80:80']", "    healthcheck: {intervall: 5s, test: a}",
    "    stop_signal: ${X:-9}", "    <<: *base", "    environment:", "      A: 12:30", "      - B=1", "# comment",
    "    hostname: 'x:1:2'", "    labels: {a: 1:1, b: &l c, d: *l}", "    depends_on: [nope]", "  5: {image: 'rootfs:/'}",
])  # fmt: skip
HEADS = st.sampled_from(["", 'version: "3"\n', "version: 3 # c\n", "x-base: &base {comand: [z]}\n", "\ufeff", "networks: {n: {extrenal: true}}\n"])  # fmt: skip
ENDS = st.sampled_from(["", "\n", "\r\n", "\nvolumes:\n  v:\n    external:\n      name: n", "\n...\n", "\n---\nversion: 2\n"])  # fmt: skip


def options(directory: Path) -> LoadOptions:
    return LoadOptions(environ={}, working_dir=str(directory))


@given(HEADS, st.lists(LINES, max_size=6), ENDS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mended_file_is_the_same_or_better_and_needs_no_second_time(
    project_dir: Path, head: str, lines: list[str], end: str
) -> None:
    path = project_dir / "stack.yml"
    text = head + "\n".join(["services:", "  web:", "    image: rootfs:/", *lines]) + end
    path.write_text(text, newline="")
    before = examine(options(project_dir))
    may, rest = changeable(options(project_dir), before)
    assert rest == []
    done = mend(options(project_dir), may)
    if before.document is not None:
        assert done.report.document == before.document
    for each in done.mended:
        assert each.fix is not None
    path.write_text(done.texts.get(str(path), text), newline="")
    after = examine(options(project_dir))
    assert [repr(each) for each in after.diagnostics] == [repr(each) for each in done.report.diagnostics]
    again = mend(options(project_dir), may)
    assert (again.texts, again.mended) == ({}, [])
    comments = [line for line in text.splitlines() if line.strip().startswith("#")]
    assert [line for line in path.read_text().splitlines() if line.strip().startswith("#")][
        : len(comments)
    ] or not comments


@given(st.text(alphabet="ab\n\r\x85\u2028é日😀", max_size=30), st.integers(0, 30), st.integers(0, 5))
def test_an_edit_changes_its_place_alone(text: str, at: int, length: int) -> None:
    from orchestr8.stack.lines import line_starts

    at, end = min(at, len(text)), min(at + length, len(text))
    starts = line_starts(text)

    def place(offset: int) -> tuple[int, int]:
        line = max(number for number, start in enumerate(starts, 1) if start <= offset)
        return line, offset - starts[line - 1] + 1

    edit = Edit("f", *place(at), *place(end), "NEW")
    assert apply(text, [edit]) == text[:at] + "NEW" + text[end:]


def test_files_of_others_are_not_mended(project_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", project_dir / "link")
    (project_dir / "stack.yml").write_text("services:\n  web:\n    image: rootfs:/\n    comand: [a]\n")
    report = examine(options(project_dir))
    report.sources = {**report.sources, "../other/base.yml": "x: 1\n", "<stdin>": ""}
    may, rest = changeable(options(project_dir), report)
    assert (list(may), rest) == (["stack.yml"], ["../other/base.yml", "<stdin>"])


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("comand", "command"), ("Command", "command"), ("working-dir", "working_dir"), ("enviroment", "environment"),
        ("imgae", "image"), ("volume", "volumes"), ("cpu", ""), ("net", ""), ("memory", ""), ("mem_limits", "mem_limit"),
    ],
)  # fmt: skip
def test_a_key_is_renamed_only_when_nothing_else_can_be_meant(key: str, meant: str) -> None:
    from orchestr8.stack.rules import SERVICE
    from orchestr8.stack.suggest import sure

    assert sure(key, SERVICE.keys) == meant
