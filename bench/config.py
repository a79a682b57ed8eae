"""Reading stack files, without an engine: `config -q`, and `check` beside the peer's `config -q` of what is right.

The peer, which may see other paths, reads the same text from standard input.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from bench.figures import Figures
from bench.programs import OURS, Program
from bench.stacks import Stack

SERVICES: Final = 10
LARGE_SERVICES: Final = 400
LARGE_VARIABLES: Final = 122
_FAILED: Final = 1  # the exit code of `check` that found errors

# Each an error of a kind of its own, in the first service that has the text.
ERRORS: Final[Mapping[str, str]] = {
    "restart: unless-stopped": "restrat: unless-stopped",  # a key misspelt
    "init: true": "init: perhaps",  # no boolean
    "depends_on: [s0]": "depends_on: [s00]",  # no such service
    "stop_grace_period: 20s": "stop_grace_period: 20x",  # no duration
    '"127.0.0.1:8004:80"': '"127.0.0.1:8004:80000"',  # no port
    "networks: [back]": "networks: [bakc]",  # no such network
}

Turns = Callable[[Sequence[Program]], Iterator[list[Program]]]


def shop_text() -> str:
    """Ten services with what services of applications have."""
    lines = ["name: o8bench-config", "services:"]
    for number in range(SERVICES):
        lines += [
            f"  s{number}:",
            f"    image: registry.example/shop/s{number}:${{TAG:-1.4}}",
            f'    command: ["serve", "--port", "80", "--name", "s{number}"]',
            "    init: true",
            "    restart: unless-stopped",
            "    stop_grace_period: 20s",
            f'    ports: ["127.0.0.1:80{number:02}:80"]',
            "    environment:",
            f"      DATABASE_URL: postgres://shop:${{PASSWORD:-secret}}@db{number}/shop",
            "      LOG_LEVEL: ${LOG_LEVEL:-info}",
            f"    labels: {{shop.example/tier: backend, shop.example/number: '{number}'}}",
            "    healthcheck: {test: [CMD, wget, -q, localhost], interval: 10s, timeout: 2s, retries: 3}",
            f"    volumes: ['data{number}:/var/lib/shop', {{type: tmpfs, target: /run}}]",
            "    networks: [back]",
        ]
        if number:
            lines.append(f"    depends_on: [s{number - 1}]")
    lines += ["networks:", "  back: {}", "volumes:", *(f"  data{number}: {{}}" for number in range(SERVICES))]
    return "\n".join(lines) + "\n"


def broken_text() -> str:
    """The same, with an error of each kind."""
    text = shop_text()
    for right, wrong in ERRORS.items():
        assert right in text
        text = text.replace(right, wrong, 1)
    return text


def large_text() -> str:
    """Four hundred services of 122 variables each, every tenth from the caller."""
    lines = ["name: o8bench-config", "services:"]
    for number in range(LARGE_SERVICES):
        lines += [f"  s{number}:", "    image: busybox", "    environment:"]
        for variable in range(LARGE_VARIABLES):
            value = f"${{O8BENCH_{variable}:-{number}}}" if variable % 10 == 0 else f"value {variable} of s{number}"
            lines.append(f"      VARIABLE_{variable}: {value}")
    return "\n".join(lines) + "\n"


def compare(programs: Sequence[Program], directory: str, turns: Turns, figures: Figures) -> None:
    """Each work by each in turn; the first time of all, when files are read from disk, does not count."""
    folder = os.path.join(directory, "config")
    os.makedirs(folder)

    def written(name: str, size: int, text: str) -> Stack:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return Stack(name, size, path)

    shop = written("shop.yml", SERVICES, shop_text())
    broken = written("broken.yml", SERVICES, broken_text())
    large = written("large.yml", LARGE_SERVICES, large_text())
    for program in programs:
        program.do("config", shop)
    for work, stack, wrong in (
        (f"config -q, {SERVICES} services", shop, None),
        (f"config -q, {LARGE_SERVICES} services of {LARGE_VARIABLES} variables", large, None),
        (f"check, {len(ERRORS)} errors (peer: config -q, mended)", shop, broken),
    ):
        for turn in turns(programs):
            for program in turn:
                if wrong and program.name == OURS:
                    sample = program.do("check", wrong, code=_FAILED)
                else:
                    sample = program.do("config", stack)
                figures.add(work, program.name, sample)
