"""What README.md shows of the program, made by running it: `make readme`, or `python -m scripts.transcripts README.md`.

Each marked block of the page is one session: commands, typed one after the other on one engine, with what they print.
A test runs them again and compares `shape`s: all that is printed but times, numbers, ids and the order of lines that
happen side by side.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Final, NamedTuple

from e2e.engine import own_engine
from e2e.network import own_network

TOP: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
QUICKSTART: Final = "examples/stacks/quickstart"
COMMAND_S: Final = 50.0

_BLOCK: Final = re.compile(r"(<!-- made by `make readme`: (\w+) -->\n```console\n)(.*?)(```\n)", re.DOTALL)
_VOLATILE: Final = (
    (re.compile(r"\b[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(Less than a second|About an? \w+|\d+ (second|minute|hour)s?)( ago)?"), "TIME"),
    (re.compile(r"\d+([.,:]\d+)*"), "N"),
    (re.compile(r" {2,}"), "  "),
)


class Session(NamedTuple):
    """Commands as a reader types them, in a directory of this checkout."""

    directory: str
    commands: tuple[str, ...]


SESSIONS: Final = {
    "demo": Session(".", ("make demo",)),
    "look": Session(
        QUICKSTART,
        (
            "orchestr8 logs migrate store",
            "orchestr8 exec api python3 -c 'import client; print(client.ask(\"GET visits\"))'",
            "orchestr8 plan --scale worker=3",
        ),
    ),
    "mistake": Session(
        QUICKSTART,
        ("sed 's/store:$/stoer:/; s/on-failure/sometimes/' stack.yml | orchestr8 -f - config --quiet",),
    ),
}
# `make` would first look whether everything is installed; what its target then does is in this.
_TARGETS: Final = {"make demo": "scripts/demo up"}


def record(environment: Mapping[str, str]) -> dict[str, str]:
    """All sessions, run in their order: name → what a terminal shows."""
    return {
        name: "".join(
            f"$ {command}\n{_printed(command, session.directory, environment)}" for command in session.commands
        )
        for name, session in SESSIONS.items()
    }


def _printed(command: str, directory: str, environment: Mapping[str, str]) -> str:
    result = subprocess.run(
        ["bash", "-c", _TARGETS.get(command, command)],
        cwd=os.path.join(TOP, directory),
        env={
            **environment,
            "PATH": f"{os.path.dirname(sys.executable)}:{environment['PATH']}",
            "WORKER_PAUSE_S": "60",  # or it would break at some point between two commands
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_S,
        check=False,
    )
    return result.stdout.replace(f"{TOP}/", "").replace(environment["ORCHESTR8_ROOT"], ".demo")


def blocks(page: str) -> dict[str, str]:
    """The sessions that a page shows."""
    return {name: text for _, name, text, _ in _BLOCK.findall(page)}


def rewrite(page: str, sessions: Mapping[str, str]) -> str:
    """The page with its blocks made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}{sessions[block[2]]}{block[4]}", page)


def shape(session: str) -> list[str]:
    """What must not change without the page being made anew."""
    for pattern, word in _VOLATILE:
        session = pattern.sub(word, session)
    return sorted({line.rstrip() for line in session.splitlines()})


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        page = file.read()
    with tempfile.TemporaryDirectory() as directory, own_network(), own_engine(directory) as engine:
        sessions = record(engine.environment)
    with open(path, "w", encoding="utf-8") as file:
        file.write(rewrite(page, sessions))


if __name__ == "__main__":
    main(*sys.argv[1:])
