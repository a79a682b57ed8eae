"""The same bundle, run by us, by runc and by crun: what a program sees of it is the same, but for what is told here.

A machine without one of the two skips its half. Networks are the engine's and are not compared; of seccomp it is the mode.
"""

import dataclasses
import enum
import os
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from e2e.oci_peers import SECCOMP, Peer
from orchestr8.errors import OperationFailed
from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec, UlimitSpec
from orchestr8.model.specs import DeviceSpec, IsolationSpec, MountKind, MountSpec, Recursion
from orchestr8.runtime import bundle
from tests.requires import requires
from tests.system import oci_probe
from tests.system.busybox import needs_busybox
from tests.system.runtime_fixtures import Runtime

pytestmark = [
    pytest.mark.system,
    pytest.mark.anyio,
    requires("root", "overlayfs", "program:runc", "program:crun"),
    needs_busybox,
]

SHELL: Final = ("sh", "-c")

V1: Final = r"(mounts|groups)//sys/fs/cgroup/\w+|hierarchies/\w+"


class Difference(NamedTuple):
    """Regular expressions for the peer, the case, and `place: ours, theirs its value`; and the reason for it."""

    peers: str
    cases: str
    found: str
    why: str


# Peers are those of Debian 12 (runc 1.1, crun 1.8) and of 2026 (runc 1.3, crun 1.28).
DIFFERENT: Final = tuple(Difference(*each) for each in (
    # The root
    ("runc", "", r"mounts//: overlay .* private (.*), theirs overlay .* master \1",
     "cut off from the host's mounts: here at once, there it hears of them"),
    ("crun", "tmpfs options", r"tree//work: drwxr-xr-x .*, theirs drwxr-xr-t ", "it gives a tmpfs's mode to the folders above"),
    ("crun", "tmpfs options", r"mounts//data: tmpfs tmpfs / rw,nosuid,nodev,relatime .*, theirs .*noexec",
     "of `noexec,exec` the last one counts, as with mount(8), docker and runc"),
    # /dev
    ("runc", "", r"devices//dev/core: link /proc/kcore, theirs nothing", "a link that leads nowhere where the kernel has no kcore"),
    ("runc", "", r"descriptors/0: lr-x------ /dev/null, theirs lr-x------ pipe:\[N\]", "it copies its own stdin"),
    ("crun", "", r"descriptors/0: lr-x------ /dev/null, theirs lrwx------ /dev/null", "there is nothing to write to stdin"),
    ("crun", "user", r"devices//dev/null: .* 0:0 1:3, theirs .* \d+:\d+ 1:3", "mended since: the null device is everybody's"),
    ("crun", "terminal", r"devices//dev/console: character special file 620 \d+:5 .*, theirs link /dev/pts/0", "the same device by a link"),
    ("crun", "terminal", r"mounts//dev/console: devpts devpts /0 rw,nosuid,noexec,relatime .*, theirs (nothing|devpts devpts /0 rw,relatime )",
     "a link there, since version 1.9 or so; before, a mount that lost its restrictions"),
    # Walls
    ("", "", r"mounts//(proc|sys)/\w+: tmpfs tmpfs / ro,relatime private .*, theirs (tmpfs tmpfs / ro,relatime|ext4 DISK HOST ro|\w+ \S+ HOST ro)",
     "an empty, read-only directory, however it is made; here one file system of one page for all"),
    ("runc", "", r"mounts//proc/\w+: tmpfs tmpfs /null ro,nosuid (.*), theirs tmpfs tmpfs /null rw,nosuid \1",
     "here nobody changes the mode of the container's null device by way of a masked file"),
    ("crun", "", r"mounts//proc/\w+: tmpfs tmpfs /null ro,nosuid .*, theirs \w+ \S+ /null ro,", "its mask is the host's null device"),
    ("crun", "", r"mounts//proc/(bus|fs|irq|sys): proc proc /\w+ ro,nosuid,nodev,noexec,relatime .*, theirs proc proc /\w+ ro,relatime ",
     "mended since: a read-only path keeps the other restrictions"),
    ("runc", "", r"mounts//sys: (sysfs sysfs / r[ow],.* private) rw, theirs \1 ro",
     "the mount is read-only; the file system is that of all who share the network"),
    ("runc", "names", r"parameters/kernel/domainname: example.org, theirs \(none\)", "older than the key"),
    # Groups
    ("", "", r"mounts//sys/fs/cgroup: tmpfs tmpfs / r[ow],(.*), theirs tmpfs (tmpfs|cgroup) / rw,nosuid,nodev,noexec,relatime private ",
     "read-only, as the document says; and by our name"),
    ("", "", r"writable//sys/fs/cgroup: no, theirs yes", "read-only, as the document says"),
    ("crun", "", r"mounts//sys/fs/cgroup/\w+: cgroup cgroup (/ .*), theirs cgroup /sys/fs/cgroup/\w+ \1", "another name for the same"),
    ("", "", rf"({V1})[^:]*: nothing, theirs ", "on cgroup v1 a container is in the hierarchies that it needs: each costs a start something"),
    ("", "", r"((mounts|groups)//sys/fs/cgroup|hierarchies)/unified[^:]*: .*, theirs nothing", "of a hybrid they see v1 alone: crun takes no other"),
    ("crun", "", r"hierarchies/net_(cls|prio): nothing, theirs lrwxrwxrwx net_cls,net_prio", "links that lead nowhere"),
    ("", "", r"groups//sys/fs/cgroup/devices/devices.list: (.*?)(c 136.*)?, theirs \1c 10:200 rwm(; \2)?$", "/dev/net/tun is for those who ask, as with docker since 2024"),
    ("", "cgroup host", r"(mounts|groups)/.*cgroup|groups/group: |hierarchies/", "the machine's groups are seen on v1 as on v2; there only the container's own"),
    ("", "", r"groups/.*/cpu.weight: \d+, theirs \d+", "by the formula of 2025, in which 1024 shares are a weight of 100"),
    # Processes
    ("", "reaper", r"process/pid: 2, theirs 1|status/(NS\w+: 2, theirs 1|PPid: 1, theirs 0)", "PID 1 is our reaper, unless the program is an init"),
    ("", "reaper", r"process/score_of_1: -500, theirs 0", "short of memory, the kernel is to kill the program, not its reaper"),
    ("", "pid host", r"(process/pid|status/\w+): \d+, theirs \d+", "chance"),
))  # fmt: skip


def isolated(**words: Any) -> dict[str, Any]:
    return {"isolation": IsolationSpec(**words)}


def limited(**words: Any) -> dict[str, Any]:
    return {"resources": ResourceSpec(**words)}


def tmpfs(target: str, **words: Any) -> MountSpec:
    return MountSpec(kind=MountKind.TMPFS, target=target, **words)


def bound(target: str, **words: Any) -> MountSpec:
    return MountSpec(kind=MountKind.BIND, target=target, source="FOLDER", **words)


CASES: Final[dict[str, dict[str, Any]]] = {
    "nothing": {},
    "reaper": {"init": True},
    "user": {"user": "app"},
    "user numbers groups": {"user": "1234:4321", **isolated(groups=("disk", "77"))},
    "user without privileges": {"user": "app", **isolated(no_new_privileges=True)},
    "user capable": {"user": "app", **isolated(cap_drop=("ALL",), cap_add=("CAP_NET_BIND_SERVICE",))},
    "capabilities": isolated(cap_add=("CAP_NET_ADMIN", "CAP_SYS_PTRACE"), cap_drop=("CAP_CHOWN",)),
    "capabilities none": isolated(cap_drop=("ALL",)),
    "privileged": isolated(privileged=True),
    "no new privileges": isolated(no_new_privileges=True),
    "open paths": isolated(system_paths=False),
    "read only": {"read_only": True, "mounts": (tmpfs("/tmp"), tmpfs("/work", size_bytes=1 << 20, mode=0o750))},
    "tmpfs options": {"mounts": (tmpfs("/data", options=("uid=5", "gid=6", "exec")), tmpfs("/work/deep", read_only=True))},
    "binds": {"mounts": (bound("/data"), bound("/work", read_only=True))},
    "binds flat": {"mounts": (
        bound("/data", recursion=Recursion.DISABLED), bound("/work", read_only=True, recursion=Recursion.WRITABLE),
    )},
    "files": {"files": {"hostname": "shop\n", "hosts": "127.0.0.1 localhost\n", "resolv.conf": "\n"}},
    "memory": limited(memory_max_bytes=64 << 20, memory_reservation_bytes=32 << 20, memory_swap_max_bytes=96 << 20),
    "memory only": limited(memory_max_bytes=64 << 20),
    "memory without end": limited(memory_max_bytes=64 << 20, memory_swap_max_bytes=-1, memory_swappiness=10),
    "memory kept": limited(memory_max_bytes=64 << 20, oom_kill_disable=True),
    "processors": limited(cpus=0.5, cpu_shares=512, cpuset="0"),
    "processors quota": limited(cpu_quota_us=20_000, cpu_period_us=50_000, cpu_shares=2),
    "processes": limited(pids_max=50),
    "disks": limited(block_io=BlockIoSpec(read_bytes=(DeviceRate(path="DISK", rate=1 << 20),), write_operations=(DeviceRate(path="DISK", rate=100),))),
    "limits": limited(ulimits=(
        UlimitSpec(name="core", soft=0, hard=0), UlimitSpec(name="nofile", soft=64, hard=128), UlimitSpec(name="nproc", soft=100, hard=200),
    )),
    "likely victim": limited(oom_score_adj=500),
    "parameters": isolated(sysctls=(
        ("fs.mqueue.msg_max", "20"), ("kernel.msgmax", "4096"), ("kernel.shm_rmid_forced", "1"), ("net.core.somaxconn", "99"), ("net.ipv4.ip_forward", "1"),
    )),
    "devices": isolated(devices=(DeviceSpec(source="/dev/kmsg", target="/dev/log/kernel", access="r"), DeviceSpec(source="/dev/zero", target="/data/zeroes"))),
    "device rules": limited(device_rules=("c 10:200 rwm", "b 7:* r")),
    "names": {"hostname": "shop", **isolated(domainname="example.org")},
    "environment": {"environment": (("A", "1"), ("EMPTY", ""), ("PATH", "/bin:/usr/bin"), ("Z", "a=b c")), "working_dir": "/made/here"},
    "terminal": {"tty": True},
    "terminal user": {"tty": True, "user": "app"},
    "shared memory": {"shm_size_bytes": 1 << 20},
    "ipc none": isolated(ipc="none"),
    "ipc host": isolated(ipc="host"),
    "pid host": isolated(pid="host"),
    "uts host": isolated(uts="host"),
    "cgroup host": limited(host_cgroup=True),
}  # fmt: skip


class Seen(NamedTuple):
    document: dict[str, Any]
    probe: dict[str, str]


def prepared(runtime: Runtime, spec: dict[str, Any]) -> dict[str, Any]:
    """The case's words, with a folder and a disk of this machine in them."""
    folder = f"{runtime.root}/folder"
    os.makedirs(folder, exist_ok=True)
    return {"init": False, **{name: placed(each, {"FOLDER": folder, "DISK": a_disk()}) for name, each in spec.items()}}


def placed(value: Any, places: dict[str, str]) -> Any:
    """`value` with each of `places` in place of its name."""
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return places.get(value, value)
    if isinstance(value, tuple):
        return tuple(placed(each, places) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = {field.name: placed(getattr(value, field.name), places) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **changed)
    return value


def a_disk() -> str:
    found = sorted(name for name in os.listdir("/sys/block") if os.path.exists(f"/dev/{name}"))
    return f"/dev/{found[0]}" if found else ""


def unfiltered_if_privileged(document: dict[str, Any]) -> None:
    """As the engine does it: who may do everything has no filter of system calls."""
    if "CAP_SYS_ADMIN" in document["process"]["capabilities"]["bounding"]:
        document["annotations"][SECCOMP] = ""


async def seen_of_ours(runtime: Runtime, spec: dict[str, Any]) -> Seen:
    box = await runtime.create(*SHELL, oci_probe.script(), **prepared(runtime, spec), change=unfiltered_if_privileged)
    document = bundle.read(box.bundle)
    await box.start()
    code = await box.wait()
    said = box.log()
    assert code == 0, f"{code} {said} {box.log('stderr')} {runtime.said()}"
    return Seen(document, oci_probe.read(said))


@pytest.fixture
def peers() -> Iterator[list[Peer]]:
    with Peer.opened("runc") as runc, Peer.opened("crun") as crun:
        yield [runc, crun]


@pytest.mark.parametrize("name", CASES)
async def test_a_program_sees_what_it_sees_with_the_peers(name: str, peers: list[Peer], runtime: Runtime) -> None:
    ours = await seen_of_ours(runtime, CASES[name])
    without_reason = []
    for peer in peers:
        theirs = peer.run(ours.document, runtime.image)
        assert theirs.code == 0, (peer.name, theirs)
        found = oci_probe.differences(ours.probe, oci_probe.read(theirs.stdout))
        without_reason += [f"{peer.name}: {each}" for each in found if not reasons(peer.name, name, each)]
    assert without_reason == []


def reasons(peer: str, case: str, difference: str) -> list[str]:
    return [
        each.why
        for each in DIFFERENT
        if re.match(each.peers, peer) and re.match(each.cases, case) and re.match(each.found, difference)
    ]


ENDS: Final = {
    "exit 0": 0, "exit 7": 7, "exit 255": 255, "no-such-program": 127, "/etc/passwd": 126,
    "sleep 9 & kill -TERM $!; wait $!": 143, "sleep 9 & kill -9 $!; wait $!": 137,
}  # fmt: skip


@pytest.mark.parametrize("script", ENDS)
async def test_a_program_ends_with_its_own_code(script: str, peers: list[Peer], runtime: Runtime) -> None:
    box = await runtime.run(*SHELL, script, init=False)
    codes = [await box.wait(), *(peer.run(bundle.read(box.bundle), runtime.image).code for peer in peers)]
    assert codes == [ENDS[script]] * 3


NOT_FOUND: Final = "O8-627"
NOT_EXECUTABLE: Final = "O8-626"
# What it runs, the rest of it, and our code; theirs is 1 for all of them.
REFUSED: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "a missing program": ("no-such-program", {}, NOT_FOUND),
    "a missing path": ("/no/such/program", {}, NOT_FOUND),
    "a folder": ("/etc", {}, NOT_EXECUTABLE),
    "a file of data": ("/etc/passwd", {}, NOT_EXECUTABLE),
    "a working directory that is a file": ("true", {"working_dir": "/etc/passwd"}, NOT_FOUND),
    "a working directory by a leaked descriptor": ("true", {"working_dir": "/proc/self/fd/3"}, NOT_FOUND),
    "an unknown parameter": ("true", isolated(sysctls=(("net.core.no_such", "1"),)), "O8-601"),
    "a folder on a file": ("true", {"mounts": (bound("/bin/busybox"),)}, "O8-601"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_run_is_refused_by_all(name: str, peers: list[Peer], runtime: Runtime) -> None:
    program, spec, code = REFUSED[name]
    box = await runtime.create(program, **prepared(runtime, spec))
    with pytest.raises(OperationFailed) as told:
        await box.start()
    theirs = [peer.run(bundle.read(box.bundle), runtime.image) for peer in peers]
    assert (told.value.code, *(each.code for each in theirs)) == (code, 1, 1), theirs
