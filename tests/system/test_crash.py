"""SIGKILL of engine, forkserver and shim at every Action: what was asked for comes about, and nothing half-made stays.

The Actions are those that `--dry-run` prints, so none is forgotten. `crash_lab` has the stack, the faults, the looks.
"""

from pathlib import Path

import pytest

from e2e.engine import Engine
from tests.requires import requires
from tests.system.crash_lab import CrashLab, Fault

pytestmark = [pytest.mark.system, pytest.mark.timeout(180), requires("root", "overlayfs", "program:nft", "program:busybox")]

UP = "up -d"
RECREATE = "up -d --force-recreate"
DOWN = "down -v"
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])


@pytest.fixture
def lab(engine: Engine, tmp_path: Path) -> CrashLab:
    return CrashLab(engine, str(tmp_path))


@MOMENTS
def test_an_up_is_finished_by_the_next_engine(lab: CrashLab, moment: str) -> None:
    for action, target in lab.actions(UP):
        fault = Fault(moment, action, target)
        result = lab.strike(UP, fault)
        assert result.code == 1
        assert "the engine went away" in result.err
        lab.check_up(fault)
        assert lab.begun() == {"db": 1, "migrate": 1, "web": 1}, fault
        lab.shop.step(DOWN)
        lab.check_gone(fault)
    lab.check_rock_log()


@MOMENTS
def test_a_down_is_finished_by_the_next_engine(lab: CrashLab, moment: str) -> None:
    lab.shop.step(UP)
    for action, target in lab.actions(DOWN):
        fault = Fault(moment, action, target)
        lab.shop.step(UP)
        lab.strike(DOWN, fault)
        lab.check_gone(fault)
    lab.check_rock_log()
