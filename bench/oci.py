"""The OCI command line beside runc and crun: each command of a container's life as a whole process, on one bundle.

The bundle is what podman and dockerd would give: all namespaces, Docker's capabilities and walls, limits, a filter of system
calls. As they do, this process is the subreaper that waits for PID 1.
"""

import itertools
import json
import os
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bench.errors import Unmeasurable
from bench.figures import Figures
from bench.processes import Sample, run
from bench.programs import OURS
from bench.runtimes import own_mounts
from e2e.oci_peers import USUAL_MOUNTS
from orchestr8.kernel import prctl
from orchestr8.kernel.capabilities import DEFAULT

_PID_FILE: Final = "pid"


class Runtime(NamedTuple):
    """`words` call it; `flags` come before the command."""

    name: str
    words: tuple[str, ...]
    flags: tuple[str, ...] = ()


def document(cgroup: str) -> dict[str, Any]:
    """A config.json as dockerd writes it, without a network, which is none of the runtime's business."""
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/",
            "capabilities": {kind: list(DEFAULT) for kind in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs"},
        "hostname": "bench",
        "mounts": USUAL_MOUNTS,
        "linux": {
            "cgroupsPath": cgroup,
            "namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            "resources": {
                "devices": [{"allow": False, "access": "rwm"}],
                "memory": {"limit": 64 << 20}, "pids": {"limit": 100},
            },
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86_64" if os.uname().machine == "x86_64" else "SCMP_ARCH_AARCH64"],
                "syscalls": [{"names": ["kexec_load", "mount", "reboot", "ptrace"], "action": "SCMP_ACT_ERRNO"}],
            },
        },
    }  # fmt: skip


def compare(
    runtimes: Sequence[Runtime], rootfs: str, directory: str, environment: Mapping[str, str],
    turns: Callable[[Sequence[Runtime]], Iterator[list[Runtime]]], figures: Figures,
) -> None:  # fmt: skip
    """Each in turn; the first container of each, when files are read from disk, does not count."""
    prctl.set_child_subreaper()
    numbers = itertools.count()
    unmeasured = Figures()

    def live(runtime: Runtime, told: Figures) -> None:
        _live(runtime, rootfs, f"{directory}/oci/{next(numbers)}", environment, told)

    with own_mounts(""):  # crun takes no hybrid of cgroup v1 and v2, so all of them are shown v1
        for runtime in runtimes:
            live(runtime, unmeasured)
        for turn in turns(runtimes):
            for runtime in turn:
                live(runtime, figures)


def _live(runtime: Runtime, rootfs: str, bundle: str, environment: Mapping[str, str], figures: Figures) -> None:
    """One container from `create` to `delete`. Raises Unmeasurable."""
    name = f"o8bench-{os.urandom(4).hex()}"
    os.makedirs(bundle)
    os.symlink(rootfs, f"{bundle}/rootfs")
    with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
        json.dump({**document(f"/{name}"), "root": {"path": rootfs}}, file)
    total: list[Sample] = []

    def call(work: str, *words: str) -> None:
        argv = [*runtime.words, "--root", f"{bundle}/state", *runtime.flags, *words]
        sample, _ = run(argv, environment, stdout=os.devnull)
        figures.add(f"oci {work}", runtime.name, sample)
        if work in _OF_A_LIFE:
            total.append(sample)

    try:
        call("create", "create", "--bundle", bundle, "--pid-file", f"{bundle}/{_PID_FILE}", name)
        call("start", "start", name)
        call("state", "state", name)
        call("exec true", "exec", name, "true")
        call("kill", "kill", name, "KILL")
        _wait_for(bundle)
        call("delete", "delete", name)
    except Unmeasurable:
        run([*runtime.words, "--root", f"{bundle}/state", *runtime.flags, "delete", "--force", name], environment)
        raise
    figures.add("oci create, start, kill, delete", runtime.name, Sample(*map(sum, zip(*total, strict=True))))
    shutil.rmtree(bundle)


_OF_A_LIFE: Final = {"create", "start", "kill", "delete"}


def _wait_for(bundle: str) -> None:
    """As conmon and containerd's shim do: PID 1 is our child since its maker has ended."""
    with open(f"{bundle}/{_PID_FILE}", encoding="ascii") as file:
        pid = int(file.read())
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != -signal.SIGKILL:
        raise Unmeasurable(f"PID 1 of {bundle} did not end as told")


def ours(program: str) -> Runtime:
    return Runtime(OURS, (f"{os.path.dirname(program)}/orchestr8-oci",))


def peer(name: str, command: str) -> Runtime:
    """runc or crun; crun asks systemd for cgroups unless told not to."""
    return Runtime(name, tuple(shlex.split(command)), ("--cgroup-manager=cgroupfs",) if name == "crun" else ())
