import json
import os

import pytest

from orchestr8.cli.commands.doctor import text
from orchestr8.cli.output import Output
from orchestr8.doctor.findings import Finding, Host, Verdict, missing, ok, untried, why
from orchestr8.doctor.groups import no_controller
from orchestr8.doctor.installed import engine as engine_found
from orchestr8.doctor.trial import attempt, existing, scratch
from orchestr8.errors import NotFound, OperationFailed
from orchestr8.kernel.cgroup import Layout
from orchestr8.kernel.libc import SyscallError
from tests.cli.fake_engine import FakeEngine
from tests.cli.process import Process

FOUND = {
    "kernel": [
        ok("kernel", "Linux 6"),
        missing("openat2", "Function not implemented", "Linux 5.12 or later is needed"),
    ],
    "files": [untried("overlay")],
}


def test_each_thing_has_a_line_and_its_remedy_below() -> None:
    assert text(FOUND, Output(1, ansi="never", environ={})) == (
        "kernel\n"
        "  ok       kernel   Linux 6\n"
        "  missing  openat2  Function not implemented\n"
        "                    = help: Linux 5.12 or later is needed\n"
        "files\n"
        "  untried  overlay  only root can try it\n"
        "\n"
        "1 ok, 1 missing, 1 not tried\n"
    )


def test_it_answers_without_an_engine_and_for_programs() -> None:
    with Process("doctor", "--format", "json") as process:
        code = process.end()
    told = json.loads(process.output)["checks"]
    assert {each["part"] for each in told} == {"program", "kernel", "control groups", "files", "network", "limits"}
    assert {each["verdict"] for each in told} <= {"ok", "warning", "missing", "untried"}
    assert code == int(any(each["verdict"] == "missing" for each in told))
    assert not os.path.exists(os.environ["ORCHESTR8_ROOT"])


def host(socket: str) -> Host:
    return Host(root="/", socket=socket, environ={}, privileged=False)


def test_an_engine_of_another_version_is_told(engine: FakeEngine) -> None:
    engine.routes["GET /version"] = {"Version": "0.0.1", "ApiVersion": "1", "KernelVersion": "1"}
    (found,) = engine_found(host(engine.path))
    assert (found.verdict, found.found.split(" runs")[0]) == (Verdict.WARNING, "0.0.1")
    assert found.remedy == "orchestr8 engine stop: containers go on"


def test_no_engine_is_no_failure(tmp_path: object) -> None:
    (found,) = engine_found(host(f"{tmp_path}/none.sock"))
    assert found == Finding("engine", Verdict.OK, "none runs; the first command that needs one starts it")


def test_what_a_trial_fails_of_comes_back_with_its_remedy() -> None:
    def fail() -> str:
        raise SyscallError(38, "openat2", "/proc")

    with pytest.raises(OperationFailed, match=r"^openat2 /proc: Function not implemented$") as caught:
        attempt(fail)
    assert caught.value.helps == ["this kernel is older than 5.6"]


def test_a_trial_that_is_killed_is_a_failure() -> None:
    with pytest.raises(OperationFailed, match="the process that tried it was killed"):
        attempt(lambda: os.kill(os.getpid(), 9) or "")
    assert attempt(lambda: "fine") == "fine"


def test_an_error_of_ours_has_its_helps_as_remedy() -> None:
    assert why(NotFound("no x", helps=["make one", "or not"])) == ("no x", "make one; or not")


def test_a_trial_of_files_lies_in_what_is_there_of_the_path_and_goes_away(tmp_path: object) -> None:
    assert existing(f"{tmp_path}/not/yet") == str(tmp_path)
    with scratch(f"{tmp_path}/not/yet") as folder:
        assert os.path.dirname(folder) == str(tmp_path)
    assert "not" not in os.listdir(str(tmp_path))
    assert not os.path.exists(folder)


@pytest.mark.parametrize(
    ("name", "layout", "remedy"),
    [
        ("memory", Layout.V2, "boot with cgroup_enable=memory, and without cgroup_disable=memory"),
        ("io", Layout.V1, "mount it: mount -t cgroup -o blkio cgroup /sys/fs/cgroup/blkio"),
        ("io", Layout.V2, "have it handed down: echo +io into cgroup.subtree_control of the groups above"),
        ("cpuset", Layout.HYBRID, "take a kernel that has it"),
    ],
)
def test_a_controller_that_is_not_there_has_the_remedy_of_its_reason(name: str, layout: Layout, remedy: str) -> None:
    known = "#subsys_name\thierarchy\tnum_cgroups\tenabled\nblkio\t0\t1\t1\nmemory\t0\t1\t0\n"
    assert no_controller(name, known, layout) == remedy
