"""Places that an image, a volume or a key of the stack names: devices, /dev, parameters of the kernel, the engine's own.

As in test_escapes: what is of interest is what reaches the host, or a right that was not given.
"""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import state
from e2e.scenario import Scenario
from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.model.specs import DeviceSpec, IsolationSpec, MountKind, MountSpec
from orchestr8.runtime.rootfs import Rootfs
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.runtime_fixtures import Runtime

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

InChild = Callable[[Callable[[], Any]], Any]
Tell = Callable[..., Scenario]
NULL = "character special file 1:3\n"


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["", "../../../../../../../.."])
async def test_a_device_whose_place_leads_out_of_the_image_is_made_in_it(
    runtime: Runtime, fresh_image: str, tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    os.symlink(f"{way}{outside}", f"{fresh_image}/way")
    devices = (DeviceSpec(source="/dev/null", target="/way/null"),)
    script = f"stat -c '%F %t:%T' /way/null {outside}/null"
    text = await runtime.output("sh", "-c", script, image=fresh_image, isolation=IsolationSpec(devices=devices))
    assert text == NULL * 2
    assert os.listdir(outside) == []


@pytest.mark.parametrize("target", ["/proc/null", "/proc/self/null", "/sys/null", "/proc/1/root/null"])
async def test_no_device_is_made_among_the_kernels_own_files(runtime: Runtime, target: str) -> None:
    devices = (DeviceSpec(source="/dev/null", target=target),)
    box = await runtime.create("true", isolation=IsolationSpec(devices=devices))
    with pytest.raises(OperationFailed, match="cannot make the device"):
        await box.start()


async def test_a_device_does_not_replace_what_stands_in_its_place(runtime: Runtime, fresh_image: str) -> None:
    """A link there is not followed either: what it names keeps its owner and mode."""
    os.symlink("/etc/passwd", f"{fresh_image}/null")
    devices = (DeviceSpec(source="/dev/null", target="/null"),)
    script = "stat -c %F /null; stat -c %a /etc/passwd"
    text = await runtime.output("sh", "-c", script, image=fresh_image, isolation=IsolationSpec(devices=devices))
    assert text == "symbolic link\n644\n"


# --- CVE-2025-31133, CVE-2025-52565: a /dev that others can change ------------------------------------------------------


async def test_masks_and_stdin_do_not_come_from_a_dev_that_is_a_volume(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "null").symlink_to("/proc/sys/kernel/core_pattern")
    volume = MountSpec(kind=MountKind.BIND, source=str(tmp_path), target="/dev")
    script = "cat /proc/keys /proc/timer_list; stat -L -c '%F %t:%T' /proc/interrupts /proc/self/fd/0"
    assert await runtime.output("sh", "-c", script, mounts=(volume,)) == NULL * 2


@pytest.mark.parametrize("null", ["file", "zero", "directory", "link"])
def test_what_is_to_mask_files_is_a_null_device_or_nothing_starts(tmp_path: Path, in_child: InChild, null: str) -> None:
    """Whatever has been put in its place meanwhile: the descriptor is asked that is then mounted."""
    make: dict[str, Callable[[], Any]] = {
        "file": lambda: (tmp_path / "null").write_text(""),
        "zero": lambda: os.mknod(tmp_path / "null", stat.S_IFCHR | 0o666, os.makedev(1, 5)),
        "directory": (tmp_path / "null").mkdir,
        "link": lambda: (tmp_path / "null").symlink_to("/etc/passwd"),
    }
    make[null]()

    def ask() -> str:
        unshare(CloneFlag.NEWNS)
        mount.set_propagation("/", mount.MountFlag.REC | mount.MountFlag.PRIVATE)
        rootfs = Rootfs(str(tmp_path), {"root": {"path": "."}})
        rootfs._dev_fd = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
        try:
            rootfs._clone_null()
        except OperationFailed as error:
            return error.message
        return "taken"

    assert in_child(ask) == "/dev/null of this machine is not the null device"


async def test_what_is_mounted_on_a_device_stands_in_its_place(runtime: Runtime) -> None:
    volume = MountSpec(kind=MountKind.BIND, source="/dev/zero", target="/dev/random")
    script = "stat -c '%t:%T' /dev/random; stat -L -c '%F %t:%T' /dev/null /proc/self/fd/0"
    assert await runtime.output("sh", "-c", script, mounts=(volume,)) == f"1:5\n{NULL * 2}"


async def test_a_fifo_in_the_place_of_the_null_device_keeps_nobody_waiting(runtime: Runtime, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    volume = MountSpec(kind=MountKind.BIND, source=str(tmp_path / "fifo"), target="/dev/null")
    box = await runtime.create("true", mounts=(volume,))
    with pytest.raises(OperationFailed, match="is not the null device"):
        await box.start()


async def test_there_is_no_terminal_where_terminals_are_a_volumes(runtime: Runtime, tmp_path: Path) -> None:
    """Its slave would be found by a path that others can change: the console, bound from it, could be any file."""
    for name in ("0", "ptmx"):
        (tmp_path / name).symlink_to("/etc/passwd")
    volume = MountSpec(kind=MountKind.BIND, source=str(tmp_path), target="/dev/pts")
    box = await runtime.create("true", tty=True, mounts=(volume,))
    with pytest.raises(OperationFailed, match="a terminal needs the container's own /dev and /dev/pts"):
        await box.start()


async def test_a_terminal_is_none_of_a_dev_that_is_a_volume(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "pts").mkdir()
    for name in ("console", "ptmx", "pts/0", "pts/ptmx"):
        (tmp_path / name).symlink_to("/etc/passwd")
    volume = MountSpec(kind=MountKind.BIND, source=str(tmp_path), target="/dev")
    script = "stat -L -c '%F %t:%T' /proc/self/fd/0; readlink /dev/console; cat /etc/passwd | wc -l"
    text = await runtime.output("sh", "-c", script, tty=True, mounts=(volume,))
    assert text.replace("\r", "") == "character special file 88:0\n/etc/passwd\n2\n"


# --- parameters of the kernel --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("kernel.msgmax/../panic", "net/../kernel/panic", "net/ipv4/../../kernel/panic", "../../sys/kernel/panic"),
        *("net..kernel", "net/./ipv4/ip_forward", "/proc/sys/kernel/panic", "fs/mqueue/../../kernel/panic", "net", ""),
    ],
)
async def test_a_parameters_name_is_no_path_to_another_one(runtime: Runtime, name: str) -> None:
    """Below the check of what belongs to a namespace, which refuses most: the write itself leads nowhere else."""
    panic = Path("/proc/sys/kernel/panic")
    before = panic.read_text()

    def write(document: dict[str, Any]) -> None:
        document["linux"]["sysctl"] = {name: "4711"}

    box = await runtime.create("true", change=write)
    with pytest.raises(OperationFailed):
        await box.start()
    assert panic.read_text() == before


# --- what there is of others ---------------------------------------------------------------------------------------------


async def test_among_the_hosts_processes_nothing_can_be_looked_into(runtime: Runtime, tmp_path: Path) -> None:
    """`pid: host`: engine, forkserver, shims and all that is root's are seen, and no more than that."""
    mark = tmp_path / "mark"
    mark.touch()
    other = await runtime.run("sleep", "1000")
    theirs = [os.getpid(), runtime.forkserver.pid, other.shim_pid]
    script = f"""
        for pid in /proc/[0-9]*; do
            for place in root cwd; do [ -e $pid/$place{mark} ] && echo ESCAPED $pid/$place; done
        done
        for pid in {" ".join(map(str, theirs))}; do
            ls -d /proc/$pid
            for name in exe root cwd fd/0 fd/1 ns/net; do readlink /proc/$pid/$name; done
            cat /proc/$pid/environ /proc/$pid/maps
        done
    """
    text = await runtime.output("sh", "-c", f"{{ {script} }} 2> /dev/null; true", isolation=IsolationSpec(pid="host"))
    assert text.split() == [f"/proc/{pid}" for pid in theirs]


async def test_the_first_processs_root_is_the_containers_own(runtime: Runtime, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    for init in (True, False):
        script = f"ls -d /proc/1/root{mark} /proc/1/root/../..{mark} /proc/1/cwd{mark} /proc/self/root/../..{mark}"
        text = await runtime.output("sh", "-c", f"{script} 2>&1 | grep -vc 'No such file'; ls /proc/1/root", init=init)
        assert text.split("\n", 1)[0] == "0"
        assert "bin" in text


# --- CVE-2021-41089, CVE-2021-41091: what users of the machine reach of the engine's directory -------------------------------


WALK = """
import os, sys
os.setgroups([]); os.setresgid(65533, 65533, 65533); os.setresuid(65533, 65533, 65533)
for path in sys.stdin.read().split("\\0"):
    for flags in (os.O_RDONLY | os.O_NONBLOCK, os.O_WRONLY | os.O_NONBLOCK, os.O_PATH):
        try:
            os.open(path, flags)
            print("OPENED", path)
        except OSError:
            pass
"""


@requires("program:nft")
def test_users_of_the_machine_reach_nothing_of_the_engine(scenario: Tell) -> None:
    story = scenario("""
services:
  web:
    {image: "rootfs:/", command: "sh -c 'cp /bin/sh /data/sh; chmod 4755 /data/sh; sleep infinity'", volumes: ["data:/data"],
     secrets: [s], stop_grace_period: 0s}
volumes: {data: }
secrets: {s: {file: stack.yml}}
""")
    story.step("up -d", state("web", "running"))
    root, run_dir = story.engine.root, story.engine.run_dir
    assert stat.S_IMODE(os.stat(root).st_mode) & ~0o710 == 0
    for folder in (os.path.dirname(root), os.path.dirname(run_dir)):  # the test's own, above
        for parent in (Path(folder), *Path(folder).parents):
            if stat.S_IMODE(parent.stat().st_mode) & 0o005 != 0o005:
                parent.chmod(0o755)
    found = [str(path) for top in (root, run_dir) for path in Path(top).rglob("*")]
    assert any("/data/sh" in path for path in found)
    assert any("/shims/" in path for path in found)
    done = subprocess.run(
        [sys.executable, "-I", "-c", WALK], input="\0".join(found), capture_output=True, text=True, check=True
    )
    opened = [line.split()[1] for line in done.stdout.splitlines()]
    assert f"{run_dir}/shims" in opened, "by name alone (O_PATH)"
    assert {stat.S_IMODE(os.stat(path).st_mode) & 0o007 for path in opened} == {0}
    assert not any(path.startswith(root) for path in opened)
