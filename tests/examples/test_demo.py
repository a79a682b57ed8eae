"""`make demo` and `make demo-down`, as their script does them: twice in a row, and without a trace."""

import os
import subprocess
import sys

import pytest

from e2e.engine import Engine
from scripts.transcripts import TOP
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft", "program:orchestr8")]


def demo(what: str, engine: Engine) -> str:
    path = f"{os.path.dirname(sys.executable)}:{engine.environment['PATH']}"
    result = subprocess.run(
        [f"{TOP}/scripts/demo", what],
        env={**engine.environment, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_demo_works_twice_in_a_row_and_leaves_nothing_behind(engine: Engine) -> None:
    first, again = demo("up", engine), demo("up", engine)
    for visitor, said in enumerate((first, again), start=1):
        assert f"You are visitor number {visitor}." in said
        assert "127.0.0.1:8080->80/tcp" in said
        assert "make demo-down" in said
    assert engine.status()["state"] == "running"
    for _ in range(2):
        assert demo("down", engine).endswith("Nothing of the demo is left.\n")
        assert not os.path.exists(engine.root)
        assert not os.path.exists(engine.run_dir)
