"""The stacks that everything is measured on: N services side by side (fanN), or one behind the other (chainN)."""

import os
import re
import shutil
import subprocess
from typing import Final, NamedTuple

from bench.errors import Unmeasurable

BUSYBOX: Final = "/bin/busybox"
_SHAPE: Final = re.compile(r"(fan|chain)([1-9]\d*)")


class Stack(NamedTuple):
    """A stack file on disk, as one program is to run it."""

    shape: str
    size: int
    file: str

    @property
    def name(self) -> str:
        return project_name(self.shape)


def project_name(shape: str) -> str:
    return f"o8bench-{shape}"


def parse_shape(text: str) -> tuple[str, int]:
    """("fan", 10) of "fan10". Raises ValueError for anything else."""
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError(f"a shape is fan or chain with a number, such as fan10, not {text!r}")
    return match[1], int(match[2])


def stack_text(shape: str, image: str) -> str:
    """Services s0, s1, … that do nothing; in a chain each depends on the one before."""
    kind, size = parse_shape(shape)
    lines = [f"name: {project_name(shape)}", "services:"]
    for number in range(size):
        lines += [
            f"  s{number}:",
            f"    image: {image}",
            "    command: sleep 1000",
            "    init: true",
            "    stop_grace_period: 2s",
        ]
        if kind == "chain" and number:
            lines.append(f"    depends_on: [s{number - 1}]")
    return "\n".join(lines) + "\n"


def write_stack(directory: str, shape: str, image: str) -> Stack:
    """The stack's file in a folder of its own."""
    folder = os.path.join(directory, shape)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "stack.yml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(stack_text(shape, image))
    return Stack(shape, parse_shape(shape)[1], path)


def make_busybox_tree(directory: str, busybox: str = BUSYBOX) -> None:
    """A root file system of one static program, the same that the peer's `busybox` image has."""
    if not os.path.exists(busybox):
        raise Unmeasurable(f"{busybox} is missing: apt-get install busybox-static")
    for name in ("bin", "etc", "tmp", "proc", "sys", "dev", "root"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    shutil.copy(busybox, os.path.join(directory, "bin/busybox"))
    applets = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True).stdout.split()
    for applet in applets:
        link = os.path.join(directory, "bin", applet)
        if not os.path.lexists(link):
            os.symlink("busybox", link)
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
        with open(os.path.join(directory, "etc", name), "w", encoding="utf-8") as file:
            file.write(text)
