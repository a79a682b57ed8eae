"""Every past failure, and a short search from a fixed start for each target; a long one is for people (CONTRIBUTING.md)."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS

FAILURES: Final = sorted(Path(__file__).with_name("failures").glob("*-*"))
RUNS: Final = {"parse": 3_000, "interpolate": 15_000, "dotenv": 4_000, "scalars": 8_000, "stack": 2_000, "mending": 800}


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in FAILURES])
def test_what_once_failed_does_not_again(path: Path) -> None:
    TARGETS[path.name.partition("-")[0]](path.read_bytes())


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not installed: it has no wheel here"
)
@pytest.mark.timeout(90)
@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_short_search_finds_nothing(target: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        target,
        "--seed",
        "1",
        "--runs",
        str(RUNS[target]),
        "--seconds",
        "60",
    ]
    done = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Done" in done.stderr  # and not that there was nothing to run


def test_a_mutation_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    data = b"\1services:\n  web:\n    image: x\n    ports: [80]\n"
    assert mutate(data, 1000, 7) == mutate(data, 1000, 7)
    assert len({mutate(data, 1000, seed) for seed in range(20)}) > 15
    assert all(len(mutate(data, 30, seed)) <= 30 for seed in range(20))
