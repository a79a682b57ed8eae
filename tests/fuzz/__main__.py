"""`python -m tests.fuzz TARGET [--seconds N] [--runs N] [--seed N]`: search for input that breaks a promise, by coverage.

A finding is written to failures/TARGET-…; the exit code is not 0 then. Memory and time of each input are bounded.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import atheris

HERE: Final = Path(__file__).parent
FAILURES: Final = HERE / "failures"
MEMORY_MB: Final = 1024
INPUT_S: Final = 10
LONGEST: Final = {"scalars": 300, "interpolate": 2_000}  # bytes of an input; of others 20,000: longer is only slower
STRUCTURED: Final = {"stack", "mending"}  # whose inputs are stack files behind one byte


def seeds(target: str) -> list[bytes]:
    """Where the search begins: the examples of this repository, a stack that has every key, and what once failed."""
    texts = [path.read_bytes() for path in sorted((HERE.parent.parent / "examples" / "stacks").rglob("stack.yml"))]
    texts += [path.read_bytes() for path in sorted((HERE / "seeds").iterdir())]
    found = [b"\x01" + text for text in texts] if target in STRUCTURED else texts
    return [*found, *(path.read_bytes() for path in sorted(FAILURES.glob(f"{target}-*")))]


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    with atheris.instrument_imports(include=["orchestr8.stack"]):
        from tests.fuzz.mutate import mutate
        from tests.fuzz.targets import TARGETS
    options.add_argument("target", choices=sorted(TARGETS))
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--runs", type=int, default=-1)
    options.add_argument("--seed", type=int, default=0, help="0: another search each time")
    options.add_argument("--keep", type=Path, default=FAILURES, help="the directory for what fails")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds(asked.target)):
            Path(corpus, str(number)).write_bytes(seed)
        limits = [
            f"-max_total_time={asked.seconds}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-timeout={INPUT_S}",
            f"-runs={asked.runs}",
        ]
        places = [
            f"-seed={asked.seed}",
            f"-max_len={LONGEST.get(asked.target, 20_000)}",
            f"-artifact_prefix={asked.keep}/{asked.target}-",
            corpus,
        ]
        mutator = {"custom_mutator": mutate} if asked.target in STRUCTURED else {}
        atheris.Setup([sys.argv[0], *limits, *places], TARGETS[asked.target], **mutator)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
