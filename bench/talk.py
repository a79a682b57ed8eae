"""What goes through: a gigabyte by `exec`, and a million lines that a container writes and `logs` reads back.

The lines have 71 bytes; their container keeps them all (`max-size` is above their size), and tells itself how long it
took to write them, by /proc/uptime: hundredths of a second, the time of the program that makes them included.
"""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Final

from bench.errors import Unmeasurable
from bench.figures import Figures
from bench.processes import LIMIT_S, Sample
from bench.programs import DOCKER, Program
from bench.stacks import Stack, project_name

LINES: Final = 1_000_000
LENGTH: Final = 71
BYTES: Final = 1 << 30
SHAPE: Final = "talk"
_WRITE: Final = (
    f"read -r a _ </proc/uptime; yes {'0123456789' * 7} | head -n {LINES}; read -r b _ </proc/uptime; echo took $a $b"
)
_PAUSE_S: Final = 0.1


def write_stack(directory: str, image: str) -> Stack:
    """s0 sleeps, s1 writes its lines and ends."""
    folder = os.path.join(directory, SHAPE)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "stack.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"""\
name: {project_name(SHAPE)}
services:
  s0: {{image: {image}, command: sleep 1000, stop_grace_period: 0s}}
  s1:
    image: {image}
    command: [sh, -c, "{_WRITE.replace("$", "$$")}"]
    stop_grace_period: 0s
    logging: {{driver: json-file, options: {{max-size: 1g}}}}
""")
    return Stack(SHAPE, 2, path)


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
        program.do("up", stacks[program.name])
    try:
        for turn in turns:
            for program in turn:
                stack = stacks[program.name]
                figures.add("1 GiB to exec and back", program.name, program.do("cat", stack, stdin=data, unread=True))
                if program.name == DOCKER:
                    continue
                figures.add("1,000,000 log lines written", program.name, written(program, stack))
                figures.add("1,000,000 log lines read", program.name, program.do("logs", stack, unread=True))
            for program in turn:
                if program.name == DOCKER:  # what compose has written just now
                    figures.add("1,000,000 log lines read", DOCKER, program.do("logs", stacks[DOCKER], unread=True))
    finally:
        for program in able:
            program.do("down", stacks[program.name])


def written(program: Program, stack: Stack) -> Sample:
    """By a container that is made anew for it."""
    program.do("again", stack)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        words = program.ask("end", stack).split()
        if "took" in words:
            begun, ended = map(float, words[words.index("took") + 1 :][:2])
            return Sample(ended - begun)
        time.sleep(_PAUSE_S)  # on both sides, and nothing that is measured
    raise Unmeasurable(f"{program.title} did not write {LINES} lines within {LIMIT_S:.0f} s")
