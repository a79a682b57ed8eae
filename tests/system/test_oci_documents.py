"""What a caller of the OCI command line gets wrong, or asks beyond what there is: one line, no trace, and nothing is left."""

import json
import os
import subprocess
import sys
from typing import Any, Final

import pytest

from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.oci_lab import LIMIT_S, Runtime

pytestmark = [pytest.mark.system, requires("root"), needs_busybox]

# Keys of config.json, and what each must hold
KINDS: Final = {
    "process": "process must be an object",
    "process.args": "process.args must be a list",
    "process.env.0": "process.env[0] must be a text",
    "process.user.uid": "process.user.uid must be an integer from 0 to 4294967295",
    "process.capabilities.bounding": "process.capabilities.bounding must be a list",
    "process.rlimits.0.soft": "process.rlimits[0].soft must be an integer",
    "root.path": "root.path must be a text",
    "mounts.0.destination": "mounts[0].destination must be a text",
    "mounts.0.options": "mounts[0].options must be a list",
    "hooks.createRuntime.0.timeout": "hooks.createRuntime[0].timeout must be an integer from 0 to 2147483647",
    "linux.resources.memory.limit": "linux.resources.memory.limit must be an integer",
    "linux.resources.cpu.cpus": "linux.resources.cpu.cpus must be a text",
    "linux.resources.devices.0.allow": "linux.resources.devices[0].allow must be true or false",
    "linux.seccomp": "linux.seccomp must be an object",
    "linux.maskedPaths.0": "linux.maskedPaths[0] must be a text",
    "linux.devices.0.major": "linux.devices[0].major must be an integer from 0 to 4095",
    "linux.sysctl.net\\core\\somaxconn": "linux.sysctl.net.core.somaxconn must be a text",
}
WRONG: Final = ({}, "x", 1.5, -1 << 70, [[]])


def whole(runtime: Runtime) -> dict[str, Any]:
    return runtime.document(
        "true",
        process={"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 64}]},
        hooks={"createRuntime": [{"path": "/bin/true", "timeout": 9}]},
        linux={
            "resources": {"memory": {"limit": 1 << 26}, "cpu": {"cpus": "0"}, "devices": [{"allow": False, "access": "rwm"}]},
            "devices": [{"path": "/dev/zeroes", "type": "c", "major": 1, "minor": 5}],
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
            "sysctl": {"net.core.somaxconn": "100"},
        },
    )  # fmt: skip


@pytest.mark.parametrize("key", KINDS)
def test_a_value_of_another_kind_is_one_error_with_its_place(oci: Runtime, key: str) -> None:
    *way, last = (int(each) if each.isdigit() else each.replace("\\", ".") for each in key.split("."))
    for value in WRONG:
        document = found = whole(oci)
        for each in way:
            found = found[each]
        if type(value) is type(found[last]):
            continue  # of the right kind after all
        found[last] = value
        (oci.bundle / "config.json").write_text(json.dumps(document))
        done = oci("run", "--bundle", str(oci.bundle), oci.name, code=1)
        assert done.stderr == f"{oci.bundle}/config.json is not an OCI document: {KINDS[key]}\n"
    assert not (oci.root / oci.name).exists()


def test_null_is_as_good_as_nothing(oci: Runtime) -> None:
    document = whole(oci)
    for section in (document["process"], document["linux"], document["linux"]["resources"], document):
        section.update(dict.fromkeys(("rlimits", "sysctl", "devices", "memory", "hooks", "annotations", "cgroup")))
    (oci.bundle / "config.json").write_text(json.dumps(document))
    assert oci("run", "--bundle", str(oci.bundle), oci.name).stderr == ""


@pytest.mark.parametrize(
    ("process", "told"),
    [
        ("7", "is not an OCI document: it must be an object"),
        ('{"args": ["true"]}', "is not an OCI document: cwd is missing"),
        ('{"args": [3], "cwd": "/"}', "is not an OCI document: args[0] must be a text"),
    ],
)
def test_a_process_that_is_none_is_one_error(oci: Runtime, process: str, told: str) -> None:
    oci.write("sleep", "1000")
    oci.create()
    path = oci.folder / "process.json"
    path.write_text(process)
    done = oci("exec", "--process", str(path), oci.name, code=255)
    assert done.stderr == f"{path} {told}\n"


def test_resources_that_are_none_are_one_error(oci: Runtime) -> None:
    oci.write("sleep", "1000")
    oci.create()
    done = oci("update", "--resources", "-", oci.name, code=1, stdin=b'{"memory": {"limit": "64m"}}')
    assert done.stderr == "/dev/stdin is not an OCI document: memory.limit must be an integer\n"


def test_a_capability_that_cannot_be_had_is_told_and_left_out(oci: Runtime) -> None:
    done = oci.run(
        "grep", "CapBnd", "/proc/self/status", process={"capabilities": {"bounding": ["CAP_KILL", "CAP_FLY"]}}
    )
    assert done.stdout.split()[1] == f"{1 << 5:016x}"
    assert done.stderr == "capabilities that are unknown or not to be had are left out: CAP_FLY\n"


def test_ambient_capabilities_are_those_that_can_be(oci: Runtime) -> None:
    """Bundles that older `runc spec` wrote have ambient capabilities that no process inherits."""
    kinds = ("bounding", "effective", "permitted", "ambient")
    sets: dict[str, Any] = {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in kinds}
    sets |= {"inheritable": ["CAP_KILL"], "of another age": 1}
    done = oci.run("grep", "CapAmb", "/proc/self/status", process={"capabilities": sets})
    assert done.stdout.split()[1] == f"{1 << 5:016x}"
    assert "left out of process.capabilities.ambient" in done.stderr


def test_a_log_that_cannot_be_written_is_one_error(oci: Runtime) -> None:
    oci.write("true")
    done = oci("--log", "/nowhere/log", "run", "--bundle", str(oci.bundle), oci.name, code=1)
    assert done.stderr == "--log /nowhere/log: No such file or directory\n"


def test_an_exec_in_what_has_ended_says_so(oci: Runtime) -> None:
    oci.write("sh")  # which ends with its input
    oci.create()
    oci("start", oci.name)
    oci.wait("stopped")
    told = oci("exec", oci.name, "true", code=255).stderr
    assert told.startswith("cannot exec in a stopped container; its program has ended: ")


def test_a_memory_limit_that_is_too_low_is_told(oci: Runtime) -> None:
    done = oci.run("true", code=1, linux={"resources": {"memory": {"limit": 4096, "swap": 4096}}})
    assert "its memory limit of 4096 bytes may be too low" in done.stderr


_ACTIVATE: Final = """
import os, sys
count, pid, *words = sys.argv[1:]
os.dup2(0, 3)
os.environ |= {"LISTEN_FDS": count, "LISTEN_PID": pid or str(os.getpid())}
os.execv(words[0], words)
"""


def test_sockets_of_an_activated_service_are_the_programs(oci: Runtime) -> None:
    """sd_listen_fds(3): those who are meant know by their number."""
    oci.write("sh", "-c", "env | grep LISTEN; test -e /proc/self/fd/3 && echo there")

    def activated(count: str, pid: str, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", _ACTIVATE, count, pid, *oci.words(*words)], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        return done.stdout.decode()

    run = ("run", "--bundle", str(oci.bundle), oci.name)
    assert sorted(activated("1", "", *run).split()) == ["LISTEN_FDS=1", "LISTEN_PID=1", "there"]
    for count, pid in (("1", str(os.getpid())), ("many", "")):
        assert activated(count, pid, *run) == ""
