"""Runs `inside_driver` by the Python of the installation that is measured, and shows what it found."""

import json
import os
import statistics
from collections.abc import Mapping
from typing import Any, Final

from bench.processes import run

DRIVER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside_driver.py")


def measure(program: str, directory: str, rootfs: str, count: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """With a root of its own below `directory`: no other engine may be there."""
    python = os.path.join(os.path.dirname(program), "python")
    words = [python, "-I", DRIVER, f"{directory}/inside", f"{directory}/inside-run", rootfs, str(count)]
    found: dict[str, Any] = json.loads(run(words, environment)[1])
    return found


def render(found: dict[str, Any], count: int) -> str:
    """The JSON, for people."""
    medians = ", ".join(f"{name} {statistics.median(each) * 1000:.1f}" for name, each in found["one by one"].items())
    at_once = {name: found[name] / count * 1000 for name in ("at once", "stop and remove at once")}
    each = ", ".join(f"{name} {value:.1f}" for name, value in at_once.items())
    return (
        f"inside the engine, {count} containers, ms each\n"
        f"  one by one, medians      {medians}\n"
        f"  side by side, all / n    {each}\n"
    )
