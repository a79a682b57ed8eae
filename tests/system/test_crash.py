"""SIGKILL of engine, forkserver and shim at every Action: what was asked for comes about, and nothing half-made stays.

The Actions are those that `--dry-run` prints, so none is forgotten. `crash_lab` has the stack, the faults, the looks.
"""

import os
import random
import signal
from pathlib import Path

import pytest

from e2e.engine import Engine
from tests.requires import requires
from tests.system.crash_lab import AS_ASKED, CrashLab, Fault

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(180),
    requires("root", "overlayfs", "program:nft", "program:busybox"),
]

UP = "up -d"
RECREATE = "up -d --force-recreate"
DOWN = "down -v"
ONE_SHOT = "shop-migrate-1"
WEB = "shop-web-1"
MOMENTS = pytest.mark.parametrize("moment", ["before", "after"])


@pytest.fixture
def lab(engine: Engine, tmp_path: Path) -> CrashLab:
    return CrashLab(engine, str(tmp_path))


@MOMENTS
def test_an_up_is_finished_by_the_next_engine(lab: CrashLab, moment: str) -> None:
    for action, target in lab.actions(UP):
        fault = Fault(moment, action, target)
        result = lab.strike(UP, fault)
        assert result.code == 0, "it waits for the next engine"
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


@MOMENTS
def test_a_forced_replacement_is_finished_by_the_next_engine(lab: CrashLab, moment: str) -> None:
    lab.shop.step(UP)
    for action, target in lab.actions(RECREATE):
        fault = Fault(moment, action, target)
        before = lab.ids()
        lab.strike(RECREATE, fault)
        lab.check_up(fault)
        assert not before & lab.ids(), f"{fault}: not every container is made anew"
        assert lab.begun() == {"db": 1, "migrate": 1, "web": 1}, fault
    lab.shop.step(DOWN)
    lab.check_gone("down")
    lab.check_rock_log()


@MOMENTS
def test_a_restart_is_finished_by_the_next_engine(lab: CrashLab, moment: str) -> None:
    lab.shop.step(UP)
    for action, target in lab.actions("restart db web"):
        fault = Fault(moment, action, target)
        before = lab.runs()
        lab.strike("restart db web", fault)
        lab.check_up(fault)
        after = lab.runs()
        assert all(after[name].started_at > before[name].started_at for name in before), fault
    lab.shop.step(DOWN)
    lab.check_gone("down")


@MOMENTS
def test_a_stop_is_finished_by_the_next_engine_and_holds(lab: CrashLab, moment: str) -> None:
    lab.shop.step(UP)
    for action, target in lab.actions("stop"):
        fault = Fault(moment, action, target)
        lab.shop.step(UP)
        lab.strike("stop", fault)
        lab.eventually(lambda: {each[0] for each in lab.states().values()} == {"exited"}, f"{fault}: not stopped")
    lab.shop.step(DOWN)
    lab.check_gone("down")


@MOMENTS
@pytest.mark.parametrize("command", [UP, RECREATE])
def test_the_forkserver_may_be_killed_at_every_creation_and_start(lab: CrashLab, command: str, moment: str) -> None:
    """Nobody notices: the engine starts another, and what was on its way is done by that."""
    if command != UP:
        lab.shop.step(UP)
    for action, target in lab.actions(command):
        if action in {"CreateContainer", "StartContainer"}:
            fault = Fault(moment, action, target, "forkserver")
            before = lab.ids()
            assert lab.strike(command, fault).code == 0
            lab.check_up(fault)
            assert not before & lab.ids(), fault
            assert lab.begun() == {"db": 1, "migrate": 1, "web": 1}, fault
            if command == UP:
                lab.shop.step(DOWN)
                lab.check_gone(fault)
    lab.shop.step(DOWN)
    lab.check_gone("down")
    lab.check_rock_log()


@pytest.mark.parametrize(
    ("command", "moment"),
    [(UP, "after"), (RECREATE, "after"), ("restart db web", "after"), ("restart db web", "before")],
)
def test_a_shim_that_is_killed_is_found_dead_and_its_container_started_again(
    lab: CrashLab, command: str, moment: str
) -> None:
    """By its policy, or by the command itself: a restart keeps the shim, which may die before the start."""
    if command != UP:
        lab.shop.step(UP)
    for action, target in lab.actions(command):
        if action == "StartContainer" and target != ONE_SHOT:
            fault = Fault(moment, action, target, "shim")
            assert lab.strike(command, fault).code == 0
            lab.check_up(fault)
            _await_restarts(lab, target, int(moment == "after"))
            lab.check_up(fault)  # what was up before may have been the one that was killed
            if command == UP:
                lab.shop.step(DOWN)
                lab.check_gone(fault)
    lab.shop.step(DOWN)
    lab.check_gone("down")


def _await_restarts(lab: CrashLab, container: str, count: int) -> None:
    lab.eventually(lambda: lab.containers()[container]["restarts"] == count, f"{container}: not {count} restarts")


def test_a_killed_shim_of_what_has_no_policy_is_told_and_leaves_nothing(lab: CrashLab) -> None:
    fault = Fault("after", "StartContainer", ONE_SHOT, "shim")
    result = lab.strike(UP, fault)
    assert result.code == 1
    assert 'service "migrate" didn\'t complete successfully: exit 137' in result.err
    told = {**AS_ASKED, ONE_SHOT: ("exited", 137, None), WEB: ("created", 0, None)}
    lab.eventually(lambda: lab.states() == told, "its end is not told", lab.states)
    lost = lab.containers()[ONE_SHOT]["id"]
    lab.eventually(lambda: not lab.traces(lost), "something of it is left", lambda: lab.traces(lost))
    lab.shop.step(UP)
    lab.check_up(fault)
    lab.shop.step(DOWN)
    lab.check_gone("down")


@pytest.mark.parametrize("seen", [True, False])
def test_a_shim_that_is_killed_while_all_is_quiet(lab: CrashLab, seen: bool) -> None:
    """`seen`: while an engine looks; else it is found dead by the next one."""
    lab.shop.step("up -d web db")
    for _ in range(2):
        pids = [lab.shim_pid(name) for name in ("shop-db-1", WEB)]
        if not seen:
            lab.shop.step("engine stop")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        if not seen:
            lab.shop.step("engine start")
        lab.eventually(lambda before=pids: lab.shim_pid(WEB) not in {0, *before}, "not started again")
        lab.check_up("after the kill of a shim")
    lab.shop.step(DOWN)
    lab.check_gone("down")


@pytest.mark.parametrize("seed", range(2))
def test_engine_and_forkserver_may_be_killed_at_any_moment(lab: CrashLab, seed: int) -> None:
    """Within Actions, too: at times of chance, over a command of chance."""
    chance = random.Random(seed)
    for _ in range(8):
        command = chance.choice([UP, RECREATE, DOWN, "down", "stop", "start", "restart db web"])
        victims = chance.choice([["engine"], ["forkserver"], ["forkserver", "engine"]])
        where = f"{victims} killed over `{command}`"
        lab.strike_at(command, 0.08 + 0.4 * chance.random() ** 2, *victims)
        lab.shop.step(UP)
        lab.check_up(where)
    lab.shop.step(DOWN)
    lab.check_gone("down")
    lab.check_rock_log()
