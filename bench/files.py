"""`cp` of 10,000 small files into a container, and out of it again, each time to a place that is not there yet.

Nothing is deleted while it is measured: ext4 searches long for inodes that were not given up just now.
"""

import dataclasses
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

from bench.figures import Figures
from bench.programs import DOCKER, OURS, Program
from bench.stacks import Stack

FILES: Final = 10_000
IN_A_FOLDER: Final = 100
BYTES: Final = 1000
SHAPE: Final = "fan1"
INTO: Final = f"cp {FILES:,} files into s0"
OUT_OF: Final = f"cp {FILES:,} files out of s0"


def measure(
    programs: Sequence[Program], stacks: dict[str, Stack], directory: str, peer_root: str,
    turns: Iterator[list[Program]], figures: Figures,
) -> None:  # fmt: skip
    """`stacks` by program; `docker` works on what compose has made. `peer_root`: what the peers' commands see as /."""
    places = {
        each.name: _make_source(directory if each.name == OURS else f"{peer_root}{directory}/peer") for each in programs
    }
    able = [each for each in programs if "up" in each.verbs]
    try:
        for program in able:
            program.do("up", stacks[program.name])
        for number, turn in enumerate(turns):
            for program in turn:
                place = places[program.name].removeprefix("" if program.name == OURS else peer_root)
                _round(program, stacks[program.name], place, number, figures)
    finally:
        for program in able:
            program.do("down", stacks[program.name])
        if peer_root:
            shutil.rmtree(f"{peer_root}{directory}", ignore_errors=True)


def _round(program: Program, stack: Stack, place: str, number: int, figures: Figures) -> None:
    there = f"{f'{stack.name}-s0-1' if program.name == DOCKER else 's0'}:/{program.name}{number}"
    verbs = {
        "into": lambda _: ["cp", f"{place}/many", there],
        "out of": lambda _: ["cp", there, f"{place}/back-{program.name}{number}"],
    }
    able = dataclasses.replace(program, verbs=verbs)
    figures.add(INTO, program.name, able.do("into", stack))
    figures.add(OUT_OF, program.name, able.do("out of", stack))


def _make_source(folder: str) -> str:
    """`many` in there, the same at each call."""
    made = random.Random(FILES)  # a compressible file would be no other work, but a copy is to be checked by its sum
    for number in range(0 if os.path.isdir(f"{folder}/many") else FILES):
        below = f"{folder}/many/d{number // IN_A_FOLDER}"
        os.makedirs(below, exist_ok=True)
        with open(f"{below}/f{number}", "wb") as file:
            file.write(made.randbytes(BYTES))
    return folder
