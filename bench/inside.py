"""Runs `inside_driver` by the Python of the installation that is measured, and shows what it found, beside what a peer took."""

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.figures import milliseconds, ratio_text, spread
from bench.processes import Sample, run

DRIVER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside_driver.py")


def measure(program: str, directory: str, rootfs: str, count: int, environment: Mapping[str, str]) -> dict[str, Any]:
    """With a root of its own below `directory`: no other engine may be there."""
    python = os.path.join(os.path.dirname(program), "python")
    words = [python, "-I", DRIVER, f"{directory}/inside", f"{directory}/inside-run", rootfs, str(count)]
    found: dict[str, Any] = json.loads(run(words, environment)[1])
    return found


def merged(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of several rounds: all that was done one by one; of what was done at once, the medians."""
    steps = rounds[0]["one by one"]
    at_once = ("at once", "stop and remove at once")
    return {
        "one by one": {name: [value for each in rounds for value in each["one by one"][name]] for name in steps},
        **{
            name: [value for each in rounds for value in each[name]]
            for name in ("restart", "without a network", "figures")
        },
        **{name: statistics.median(each[name] for each in rounds) for name in at_once},
    }


def render_beside(found: dict[str, Any], title: str, theirs: Sequence[Sample]) -> str:
    """Create and start of one, and the peer's run of the same bundle; neither has a network but loopback."""
    ours = [Sample(wall_s) for wall_s in found["without a network"]]
    words = [
        f"{milliseconds(each)} ({spread(each)})" for each in ([s.wall_s for s in ours], [s.wall_s for s in theirs])
    ]
    return f"  without a network        ours {words[0]}, {title} as a process {words[1]}: {ratio_text(ours, theirs)}\n"


def render(found: dict[str, Any], count: int) -> str:
    """The JSON, for people."""
    medians = ", ".join(f"{name} {statistics.median(each) * 1000:.1f}" for name, each in found["one by one"].items())
    at_once = {name: found[name] / count * 1000 for name in ("at once", "stop and remove at once")}
    each = ", ".join(f"{name} {value:.1f}" for name, value in at_once.items())
    return (
        f"inside the engine, {count} containers, ms each\n"
        f"  one by one, medians      {medians}\n"
        f"  side by side, all / n    {each}\n"
        f"  exit to exec again       {statistics.median(found['restart']) * 1000:.1f} ms ({spread(found['restart'])})\n"
        f"  figures of all           {statistics.median(found['figures']) * 1000:.1f} ms ({spread(found['figures'])})\n"
    )
