"""What goes through: a gigabyte by `exec`, and a million lines that a container writes and `logs` reads back.

The lines have 71 bytes; their container keeps them all (`max-size` is above their size), and tells itself how long it
took to write them, by /proc/uptime: hundredths of a second. They come from a file, or from `yes | head`, which take most of the
time for themselves: so each is done with the driver `none` too, where all that is left is the program and its pipe.
"""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from bench.errors import Unmeasurable
from bench.figures import Figures
from bench.processes import LIMIT_S, Sample
from bench.programs import DOCKER, Program
from bench.stacks import Stack, project_name

LINES: Final = 1_000_000
LENGTH: Final = 71
BYTES: Final = 1 << 30
SHAPE: Final = "talk"
_PAUSE_S: Final = 0.1


class _Writer(NamedTuple):
    """A service that writes the lines once and then sleeps."""

    service: str
    work: str
    words: str
    driver: str


_YES: Final = f"yes {'0123456789' * 7} | head -n {LINES}"
_KEPT: Final = "{driver: json-file, options: {max-size: 1g}}"
_NONE: Final = "{driver: none}"
_WRITERS: Final = (
    _Writer("s1", "1,000,000 log lines written", "cat /lines", _KEPT),
    _Writer("s2", "  the program alone: driver none", "cat /lines", _NONE),
    _Writer("s3", "1,000,000 log lines of yes | head", _YES, _KEPT),
    _Writer("s4", "  yes | head alone: driver none", _YES, _NONE),
)
_READ: Final = "1,000,000 log lines read"


def write_stack(directory: str, image: str) -> Stack:
    """s0 sleeps, the others write."""
    folder = os.path.join(directory, SHAPE)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "stack.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""\
name: {project_name(SHAPE)}
services:
  s0: {{image: {image}, command: sleep 1000, stop_grace_period: 0s, volumes: ["shared:/shared"]}}
""")
        for writer in _WRITERS:
            script = (
                f"{_YES} >/lines; read -r a _ </proc/uptime; {writer.words}; read -r b _ </proc/uptime;"
                f" echo took $$a $$b >/shared/{writer.service}; exec sleep 1000"
            )
            file.write(f"""\
  {writer.service}:
    image: {image}
    command: [sh, -c, "{script}"]
    stop_grace_period: 0s
    logging: {writer.driver}
    volumes: ["shared:/shared"]
""")
        file.write("volumes: {shared: {}}\n")
    return Stack(SHAPE, 1 + len(_WRITERS), path)


def measure(
    programs: Sequence[Program], stacks: dict[str, Stack], directory: str, turns: Iterator[list[Program]],
    figures: Figures,
) -> None:  # fmt: skip
    """`stacks` by program; `docker` works on what compose has made."""
    data = os.path.join(directory, "gigabyte")
    with open(data, "wb") as file:
        file.truncate(BYTES)  # zeros that take no room
    able = [each for each in programs if "up" in each.verbs]
    for program in able:
        program.do("up s0", stacks[program.name])
    try:
        for turn in turns:
            for program in turn:
                stack = stacks[program.name]
                figures.add("1 GiB to exec and back", program.name, program.do("cat", stack, stdin=data, unread=True))
                if program.name == DOCKER:
                    continue
                for writer in _WRITERS:
                    figures.add(writer.work, program.name, written(program, stack, writer.service))
                figures.add(_READ, program.name, program.do("logs", stack, unread=True))
            for program in turn:
                if program.name == DOCKER:  # what compose has written just now
                    figures.add(_READ, DOCKER, program.do("logs", stacks[DOCKER], unread=True))
    finally:
        for program in able:
            program.do("down -v", stacks[program.name])


def written(program: Program, stack: Stack, service: str) -> Sample:
    """By a container that is made anew for it."""
    before = program.ask(f"took {service}", stack)
    program.do(f"again {service}", stack)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        told = program.ask(f"took {service}", stack)
        if told != before and len(words := told.split()) == 3:
            return Sample(float(words[2]) - float(words[1]))
        time.sleep(_PAUSE_S)  # on both sides, and nothing that is measured
    raise Unmeasurable(f"{program.title} did not write {LINES} lines within {LIMIT_S:.0f} s")
