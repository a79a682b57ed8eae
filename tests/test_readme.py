"""README.md opens with the two commands, and shows only what the program prints."""

import re

import pytest

from e2e.engine import Engine
from scripts.transcripts import SESSIONS, TOP, blocks, record, rewrite, shape
from tests.requires import requires


def readme() -> str:
    with open(f"{TOP}/README.md", encoding="utf-8") as file:
        return file.read()


def commands(session: str) -> list[str]:
    return [line.removeprefix("$ ") for line in session.splitlines() if line.startswith("$ ")]


def test_the_page_opens_with_the_two_commands() -> None:
    block = re.search(r"```\w*\n(.*?)```", readme(), re.DOTALL)
    assert block is not None
    assert [line.split()[:2] for line in block[1].splitlines()] == [["make", "demo"], ["make", "test"]]


def test_the_page_shows_each_session_with_the_commands_that_make_it() -> None:
    shown = blocks(readme())
    assert list(shown) == list(SESSIONS)
    for name, session in SESSIONS.items():
        typed = commands(shown[name])
        assert [line for line in typed if line in session.commands] == list(session.commands)


@pytest.mark.system
@pytest.mark.timeout(180)
@requires("root", "overlayfs", "program:nft", "program:orchestr8")
def test_the_program_prints_what_the_page_shows(engine: Engine) -> None:
    printed = record(engine.environment)
    shown = blocks(readme())
    for name in SESSIONS:
        assert shape(printed[name]) == shape(shown[name]), f"{name}: run `make readme`"


def test_a_page_is_rewritten_between_its_marks_only() -> None:
    page = "before\n<!-- made by `make readme`: look -->\n```console\n$ old\n```\nafter\n"
    fresh = rewrite(page, {"look": "$ new \\1\n"})
    assert fresh == page.replace("$ old", "$ new \\1")


def test_a_shape_leaves_out_times_numbers_ids_widths_and_order() -> None:
    one = "$ ps\nweb-1   Up 3 seconds (healthy)  127.0.0.1:8080\nid 0123456789ab\n"
    two = "$ ps\nid ba9876543210\nweb-12  Up Less than a second (healthy)    127.0.0.1:9999\n"
    assert shape(one) == shape(two)
    assert shape(one) != shape(one.replace("healthy", "unhealthy"))
