"""What was measured, as medians and ratios, and how it is printed. Pure."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bench.processes import Sample
from bench.programs import OURS

TITLES: Final = {"ours": "ours", "compose": "docker compose", "docker": "docker"}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """At least so many times as fast as that peer."""

    peer: str
    ratio: float


# DESIGN.md 7, and the firmer ones that hold now.
BARS: Final[Mapping[str, tuple[Bar, ...]]] = {
    "up -d, fan1": (Bar(peer="compose", ratio=3),),
    "up -d, fan10": (Bar(peer="compose", ratio=5),),
    "up -d, fan30": (Bar(peer="compose", ratio=6),),
    "up -d, fan100": (Bar(peer="compose", ratio=12),),
    "up -d, chain10": (Bar(peer="compose", ratio=9),),
    "up -d again, fan10": (Bar(peer="compose", ratio=2),),
    "down, fan1": (Bar(peer="compose", ratio=4),),
    "down, fan10": (Bar(peer="compose", ratio=4),),
    "down, fan30": (Bar(peer="compose", ratio=4),),
    "down, fan100": (Bar(peer="compose", ratio=4),),
    "run --rm s0 true": (Bar(peer="docker", ratio=4),),
    "exec s0 true": (Bar(peer="docker", ratio=2), Bar(peer="compose", ratio=4)),
    "ps": (Bar(peer="docker", ratio=1), Bar(peer="compose", ratio=3)),
    "1 GiB to exec and back": (Bar(peer="docker", ratio=1),),
    "1,000,000 log lines written": (Bar(peer="compose", ratio=8),),
    "1,000,000 log lines read": (Bar(peer="docker", ratio=10), Bar(peer="compose", ratio=10)),
    "cp 10,000 files into s0": (Bar(peer="docker", ratio=2),),
    "cp 10,000 files out of s0": (Bar(peer="docker", ratio=2),),
    "config -q, 10 services": (Bar(peer="compose", ratio=2),),
    "config -q, 400 services of 122 variables": (Bar(peer="compose", ratio=1),),  # and at most 1 s
    "check, 6 errors (peer: config -q, mended)": (Bar(peer="compose", ratio=2),),
}


@dataclass
class Figures:
    """Samples by work and program, in the order in which the works were first measured."""

    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)

    def add(self, work: str, program: str, sample: Sample) -> None:
        self.samples.setdefault(work, {}).setdefault(program, []).append(sample)

    def rows(self) -> list[list[str]]:
        """One row for each peer of each work; a work without a peer has one."""
        rows = []
        for work, by_program in self.samples.items():
            ours = by_program.get(OURS, [])
            peers: list[str] = [each for each in by_program if each != OURS] or [""]
            for peer in peers:
                theirs = by_program.get(peer, [])
                rows.append([
                    work,
                    milliseconds([each.wall_s for each in ours]),
                    spread([each.wall_s for each in ours]),
                    milliseconds([each.cpu_s for each in ours]),
                    mebibytes(ours),
                    TITLES.get(peer, peer),
                    milliseconds([each.wall_s for each in theirs]),
                    spread([each.wall_s for each in theirs]),
                    ratio_text(ours, theirs),
                    bar_text(work, peer),
                    str(len(ours) or len(theirs)),
                ])  # fmt: skip
        return rows

    def render(self) -> str:
        header = ["work", "ours", "min-max", "cpu", "rss", "peer", "takes", "min-max", "ratio", "bar", "runs"]
        return render_table(header, self.rows(), right={1, 3, 4, 6, 8, 10})

    def to_json(self) -> dict[str, Any]:
        return {
            work: {
                program: {
                    "median_s": round(statistics.median(each.wall_s for each in samples), 6),
                    "samples": [each._asdict() for each in samples],
                }
                for program, samples in by_program.items()
            }
            for work, by_program in self.samples.items()
        }


def ratio(ours: Sequence[Sample], theirs: Sequence[Sample]) -> float | None:
    """How many times as long they take."""
    if not ours or not theirs:
        return None
    return statistics.median(each.wall_s for each in theirs) / statistics.median(each.wall_s for each in ours)


def ratio_text(ours: Sequence[Sample], theirs: Sequence[Sample]) -> str:
    found = ratio(ours, theirs)
    return "" if found is None else f"{found:.1f}x"


def bar_text(work: str, peer: str) -> str:
    return next((f">= {bar.ratio:g}x" for bar in BARS.get(work, ()) if bar.peer == peer), "")


def milliseconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values) * 1000:.0f} ms" if values else ""


def spread(values: Sequence[float]) -> str:
    return f"{min(values) * 1000:.0f}-{max(values) * 1000:.0f}" if values else ""


def mebibytes(samples: Sequence[Sample]) -> str:
    found = [each.max_rss_kib for each in samples if each.max_rss_kib]
    return f"{statistics.median(found) / 1024:.0f} MiB" if found else ""


def render_table(header: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """Columns as wide as what is in them, two spaces between; those in `right` stand to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    to_right = set(right)
    return "".join(
        "  ".join(
            cell.rjust(width) if column in to_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )
