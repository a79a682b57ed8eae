"""What is compared: ours, `docker compose` and `docker`, and how each says the same thing."""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from bench.processes import Sample, run
from bench.stacks import Stack

OURS: Final = "ours"
COMPOSE: Final = "compose"
DOCKER: Final = "docker"

Words = Callable[[Stack], list[str]]


def _again(service: str) -> Words:
    return lambda _: ["up", "-d", "--force-recreate", service]


def _took(service: str) -> Words:
    """What `talk` has its containers write to a shared file in the end."""
    return lambda _: ["run", "--rm", "-T", "s0", "sh", "-c", f"cat /shared/{service} 2>/dev/null; true"]


_STACK_VERBS: Final[Mapping[str, Words]] = {
    "up": lambda _: ["up", "-d"],
    "down": lambda _: ["down"],
    "ps": lambda _: ["ps"],
    "exec": lambda _: ["exec", "-T", "s0", "true"],
    "run": lambda _: ["run", "--rm", "-T", "s0", "true"],
    "restart": lambda _: ["restart", "s0"],
    "stats": lambda _: ["stats", "--no-stream"],
    "config": lambda _: ["config", "-q"],
    "cat": lambda _: ["exec", "-T", "s0", "cat"],
    "down -v": lambda _: ["down", "-v"],
    "up s0": lambda _: ["up", "-d", "s0"],
    **{f"again {name}": _again(name) for name in ("s1", "s2", "s3", "s4")},
    **{f"took {name}": _took(name) for name in ("s1", "s2", "s3", "s4")},
    "logs": lambda _: ["logs", "--no-log-prefix", "s1"],
}
_OUR_VERBS: Final[Mapping[str, Words]] = {**_STACK_VERBS, "check": lambda _: ["check"]}
_DOCKER_VERBS: Final[Mapping[str, Words]] = {
    "ps": lambda _: ["ps"],
    "stats": lambda _: ["stats", "--no-stream"],
    "exec": lambda stack: ["exec", f"{stack.name}-s0-1", "true"],
    "cat": lambda stack: ["exec", "-i", f"{stack.name}-s0-1", "cat"],
    "logs": lambda stack: ["logs", f"{stack.name}-s1-1"],
}


@dataclass(frozen=True, kw_only=True)
class Program:
    """`prefix` comes before each verb. `by_stdin`: the stack file is given there, for a program that sees other paths."""

    name: str
    title: str
    prefix: tuple[str, ...]
    environment: Mapping[str, str]
    verbs: Mapping[str, Words]
    takes_file: bool = True
    by_stdin: bool = False

    def argv(self, verb: str, stack: Stack) -> list[str]:
        file = ["-f", "-" if self.by_stdin else stack.file] if self.takes_file else []
        return [*self.prefix, *file, *self.verbs[verb](stack)]

    def do(self, verb: str, stack: Stack, code: int = 0, *, stdin: str = "", unread: bool = False) -> Sample:
        """One verb on one stack, measured; it ends with this code. `unread`: what it writes is dropped by the kernel."""
        return self._run(verb, stack, code=code, stdin=stdin, stdout=os.devnull if unread else "")[0]

    def ask(self, verb: str, stack: Stack) -> str:
        """What a verb writes."""
        return self._run(verb, stack)[1]

    def _run(self, verb: str, stack: Stack, *, code: int = 0, stdin: str = "", stdout: str = "") -> tuple[Sample, str]:
        by_name = bool(stdin) and self.by_stdin  # the file cannot come by what is the program's input
        file = stack.file if self.by_stdin else os.devnull
        argv = [*self.prefix, "-p", stack.name, *self.verbs[verb](stack)] if by_name else self.argv(verb, stack)
        return run(argv, self.environment, stdin=stdin or file, stdout=stdout, code=code)


def ours(program: str, environment: Mapping[str, str]) -> Program:
    return Program(name=OURS, title="ours", prefix=(program,), environment=environment, verbs=_OUR_VERBS)


def compose(command: str, environment: Mapping[str, str]) -> Program:
    return Program(
        name=COMPOSE, title="docker compose", prefix=tuple(shlex.split(command)), environment=environment,
        verbs=_STACK_VERBS, by_stdin=True,
    )  # fmt: skip


def docker(command: str, environment: Mapping[str, str], image: str) -> Program:
    verbs = {**_DOCKER_VERBS, "run": lambda _: ["run", "--rm", image, "true"]}
    return Program(
        name=DOCKER, title="docker", prefix=tuple(shlex.split(command)), environment=environment,
        verbs=verbs, takes_file=False,
    )  # fmt: skip
