"""The same work on each program in turn, A B then B A, so that a busy moment of the machine hits them alike."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from bench import idle, memory
from bench.engine import OwnEngine, PeerProcesses, Processes
from bench.figures import Figures
from bench.memory import Memory
from bench.programs import COMPOSE, DOCKER, OURS, Program
from bench.stacks import Stack

Who = TypeVar("Who")
SETTLE_S: Final = 0.3  # what a command leaves to be done after it must not fall on whoever comes next
REST_S: Final = 3.0  # from the last command to a look at idle processes
AGAIN_SHAPE: Final = "fan10"
VERBS: Final[Mapping[str, str]] = {
    "ps": "ps",
    "exec": "exec s0 true",
    "run": "run --rm s0 true",
    "restart": "restart s0",
    "stats": "stats --no-stream",
}


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Who takes part, with which files: `stacks[program name][shape]`."""

    engine: OwnEngine
    programs: Sequence[Program]
    peer: PeerProcesses | None
    stacks: Mapping[str, Mapping[str, Stack]]
    rounds: int
    go_on: Callable[[], bool]  # False once the time for all is over
    told: Callable[[str], None]

    def stack(self, program: Program, shape: str) -> Stack:
        """`docker` works on what compose has made."""
        return self.stacks[COMPOSE if program.name == DOCKER else program.name][shape]

    def orchestrators(self) -> list[Program]:
        """Those that have `up` and `down`."""
        return [each for each in self.programs if "up" in each.verbs]

    def turns(self, programs: Sequence[Program]) -> Iterator[list[Program]]:
        return turns(programs, self.rounds, self.go_on, self.told)

    def processes(self, program: Program, shape: str) -> Processes:
        if program.name == OURS or self.peer is None:
            return self.engine.processes()
        return self.peer.processes(self.stack(program, shape).name)


def turns(
    programs: Sequence[Who], rounds: int, go_on: Callable[[], bool], told: Callable[[str], None]
) -> Iterator[list[Who]]:
    """One order of them per round, until rounds or time are over."""
    for number in range(rounds):
        if number and not go_on():
            told(f"no time for more: {number} of {rounds} rounds")
            return
        yield list(programs) if number % 2 == 0 else list(reversed(programs))


def warm_up(contest: Contest, shape: str) -> None:
    """Once through, unmeasured: pages are read, an image is unpacked, an engine runs."""
    for program in contest.orchestrators():
        for verb in ("up", "down"):
            program.do(verb, contest.stack(program, shape))


def lifecycles(contest: Contest, shapes: Sequence[str], figures: Figures) -> None:
    """`up -d`, for one shape once more with nothing to do, and `down`."""
    for shape in shapes:
        contest.told(f"up and down of {shape}")
        for turn in contest.turns(contest.orchestrators()):
            for program in turn:
                stack = contest.stack(program, shape)
                figures.add(f"up -d, {shape}", program.name, program.do("up", stack))
                if shape == AGAIN_SHAPE:
                    figures.add(f"up -d again, {shape}", program.name, program.do("up", stack))
                figures.add(f"down, {shape}", program.name, program.do("down", stack))
                time.sleep(SETTLE_S)


def cold_starts(contest: Contest, shape: str, figures: Figures) -> None:
    """`up -d` of ours when no engine runs yet."""
    contest.told(f"up of {shape} with a cold engine")
    ours = next(each for each in contest.programs if each.name == OURS)
    stack = contest.stack(ours, shape)
    for _ in contest.turns([ours]):
        contest.engine.stop()
        figures.add(f"up -d, {shape}, cold engine", OURS, ours.do("up", stack))
        ours.do("down", stack)


def verbs(contest: Contest, shape: str, figures: Figures) -> None:
    """What is done to a stack that runs; on all programs side by side."""
    contest.told(f"{', '.join(VERBS)} on {shape}")
    for program in contest.orchestrators():
        program.do("up", contest.stack(program, shape))
    try:
        for verb, work in VERBS.items():
            able = [each for each in contest.programs if verb in each.verbs]
            for turn in contest.turns(able):
                for program in turn:
                    figures.add(work, program.name, program.do(verb, contest.stack(program, shape)))
    finally:
        for program in contest.orchestrators():
            program.do("down", contest.stack(program, shape))


def resting(contest: Contest, shapes: Sequence[str]) -> list[Memory]:
    """The memory of idle containers, of each program alone."""
    found = []
    for shape in shapes:
        contest.told(f"memory of {shape}")
        for program in contest.orchestrators():
            stack = contest.stack(program, shape)
            program.do("up", stack)
            time.sleep(REST_S)
            shared = ["forkserver"] if program.name == OURS else []
            found.append(memory.measure(program.title, stack.size, contest.processes(program, shape), shared))
            program.do("down", stack)
    return found


def wakeups(contest: Contest, shape: str, seconds: float) -> dict[str, dict[idle.Thread, int]]:
    """Of all programs in the same time, with their containers idle."""
    contest.told(f"{seconds:.0f} s of rest with {shape}")
    for program in contest.orchestrators():
        program.do("up", contest.stack(program, shape))
    time.sleep(REST_S)
    try:
        return idle.watch({each.title: contest.processes(each, shape) for each in contest.orchestrators()}, seconds)
    finally:
        for program in contest.orchestrators():
            program.do("down", contest.stack(program, shape))
