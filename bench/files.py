"""`cp` of 10,000 small files into a container, and out of it again, each time to a place that is not there yet; and `diff`,
`export` and `commit` of a container that has 10,000 of its own, beside docker's.

Nothing is deleted while it is measured: ext4 searches long for inodes that were not given up just now.
"""

import dataclasses
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from typing import Final

from bench.figures import Figures
from bench.programs import DOCKER, OURS, Program, Words
from bench.stacks import Stack

FILES: Final = 10_000
IN_A_FOLDER: Final = 100
BYTES: Final = 1000
SHAPE: Final = "fan1"
INTO: Final = f"cp {FILES:,} files into s0"
OUT_OF: Final = f"cp {FILES:,} files out of s0"
LAYER: Final = "{verb} of {files:,} files"
_IMAGE: Final = "bench-files"


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


def measure_layer(
    programs: Sequence[Program], stacks: dict[str, Stack], directory: str, peer_root: str,
    turns: Iterator[list[Program]], figures: Figures,
) -> None:  # fmt: skip
    """As `measure`, in containers made anew, which have been committed once: what lies below them is packed by then."""
    able = [each for each in programs if "up" in each.verbs]
    takers = [_layer_verbs(each, stacks[each.name]) for each in programs if each.name in {OURS, DOCKER}]
    try:
        for program in able:
            program.do("up", stacks[program.name])
            place = _make_source(directory if program.name == OURS else f"{peer_root}{directory}/peer")
            seen = place.removeprefix("" if program.name == OURS else peer_root)
            filled = dataclasses.replace(program, verbs={"fill": _filling(f"{seen}/many")})
            filled.do("fill", stacks[program.name])
        for each in takers:
            each.do("commit", stacks[each.name])
        for turn in turns:
            for who in turn:
                for each in takers:
                    if each.name == who.name:
                        for verb in ("diff", "export", "commit"):
                            sample = each.do(verb, stacks[each.name], unread=True)
                            figures.add(LAYER.format(verb=verb, files=FILES), each.name, sample)
    finally:
        for program in able:
            program.do("down", stacks[program.name])
        for each in takers:
            if each.name == DOCKER:
                each.do("forget", stacks[each.name])
        if peer_root:
            shutil.rmtree(f"{peer_root}{directory}", ignore_errors=True)


def _filling(folder: str) -> Words:
    return lambda _: ["cp", folder, "s0:/many"]


def _layer_verbs(program: Program, stack: Stack) -> Program:
    name = f"{stack.name}-s0-1" if program.name == DOCKER else "s0"
    return dataclasses.replace(program, verbs={
        "diff": lambda _: ["diff", name],
        "export": lambda _: ["export", name],
        "commit": lambda _: ["commit", "-c", f"LABEL {_IMAGE}=1", name, _IMAGE],
        "forget": lambda _: ["image", "prune", "--all", "--force", "--filter", f"label={_IMAGE}"],
    })  # fmt: skip


def _make_source(folder: str) -> str:
    """`many` in there, the same at each call."""
    made = random.Random(FILES)  # a compressible file would be no other work, but a copy is to be checked by its sum
    for number in range(0 if os.path.isdir(f"{folder}/many") else FILES):
        below = f"{folder}/many/d{number // IN_A_FOLDER}"
        os.makedirs(below, exist_ok=True)
        with open(f"{below}/f{number}", "wb") as file:
            file.write(made.randbytes(BYTES))
    return folder
