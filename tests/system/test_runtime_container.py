"""What stands around a program by default: namespaces, file system, masks, devices, limits, and what a restart keeps."""

import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import OperationFailed
from orchestr8.kernel import sockets
from orchestr8.kernel.libc import libc
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.specs import MountKind, MountSpec
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import children_of
from tests.system.runtime_fixtures import Box, Runtime, a_cradle, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

NAMESPACES = ("mnt", "pid", "net", "ipc", "uts", "cgroup")


def namespaces(pid: int | str) -> dict[str, str]:
    return {name: os.readlink(f"/proc/{pid}/ns/{name}") for name in (*NAMESPACES, "user")}


def mounts(text: str) -> dict[str, tuple[set[str], str]]:
    """/proc/self/mountinfo: mount point → its options, its file system. The last mount on a point counts."""
    found = {}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        found[before.split()[4]] = (set(before.split()[5].split(",")), after.split()[0])
    return found


async def mounts_in(box: Box) -> dict[str, tuple[set[str], str]]:
    return mounts(await box.sh("cat /proc/self/mountinfo"))


def cgroup_file(runtime: Runtime, box: Box, controller: str, name: str) -> Path:
    """A file of the container's group, as this machine mounts it."""
    base = runtime.tree._v1.get(controller) or runtime.tree._unified
    return Path(f"{base}/{runtime.tree.parent}/{box.id}/{name}")


async def test_it_has_namespaces_of_its_own_but_for_users(runtime: Runtime) -> None:
    first, second = await runtime.run("sleep", "1000"), await runtime.run("sleep", "1000")
    mine, theirs, others = namespaces("self"), namespaces(first.pid), namespaces(second.pid)
    for name in NAMESPACES:
        assert len({mine[name], theirs[name], others[name]}) == 3, name
    assert mine["user"] == theirs["user"]
    code, _ = await first.run("sh", "-c", "exit 0")
    assert code == 0
    running = await first.exec("sleep", "1000")
    assert namespaces(running.pid) == theirs


async def test_host_name_and_root_are_its_own(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "hostname; pwd; ls /; sleep 1000", hostname="shop", working_dir="/made/here")
    await box.until_log("shop\n/made/here\nbin\ndev\netc\nhome\nmade\nproc\nroot\nsys\ntmp\nvar\n")
    default = await runtime.output("hostname")
    assert default == "000000000002\n"
    assert (await box.sh("cat /proc/1/cgroup")).count("orchestr8") == 0, "the group is the root of its namespace"


async def test_writes_go_to_its_layer_and_never_to_the_image(runtime: Runtime) -> None:
    script = "echo x > /new; echo y >> /etc/passwd; rm -r /home; ls -d /home"
    box = await runtime.run("sh", "-c", script)
    assert await box.wait() == 1
    assert Path(f"{box.bundle}/upper/new").read_text() == "x\n"
    assert os.path.exists(f"{runtime.image}/home/app")
    assert "y" not in Path(f"{runtime.image}/etc/passwd").read_text().splitlines()
    await box.start()
    assert await box.wait(run=2) == 1, "the layer outlives the run"


async def test_a_read_only_root_is_read_only_and_its_dev_is_not(runtime: Runtime) -> None:
    script = "echo x > /new; echo y > /dev/shm/z && mkdir /dev/here && cat /dev/shm/z; echo > /dev/null && echo null"
    box = await runtime.run("sh", "-c", script, read_only=True)
    assert await box.wait() == 0
    assert box.log() == "y\nnull\n"
    assert "Read-only file system" in box.log("stderr")


async def test_the_mounts_are_dockers(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    found = await mounts_in(box)
    assert {
        point: (options - {"relatime"}, kind)
        for point, (options, kind) in found.items()
        if point in {"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"}
    } == {
        "/": ({"rw"}, "overlay"),
        "/proc": ({"rw", "nosuid", "nodev", "noexec"}, "proc"),
        "/dev": ({"rw", "nosuid"}, "tmpfs"),
        "/dev/pts": ({"rw", "nosuid", "noexec"}, "devpts"),
        "/dev/shm": ({"rw", "nosuid", "nodev", "noexec"}, "tmpfs"),
        "/dev/mqueue": ({"rw", "nosuid", "nodev", "noexec"}, "mqueue"),
        "/sys": ({"ro", "nosuid", "nodev", "noexec"}, "sysfs"),
        "/sys/fs/cgroup": ({"ro", "nosuid", "nodev", "noexec"}, "tmpfs" if runtime.tree._v1 else "cgroup2"),
    }
    assert all("shared" not in line for line in (await box.sh("cat /proc/self/mountinfo")).splitlines())
    assert runtime.root not in "".join(found), "nothing of the host is left below the new root"


async def test_kernel_files_are_masked_or_read_only(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    document: dict[str, Any] = {}
    probe = await runtime.create("true", change=document.update)
    found = await mounts_in(box)
    linux = document["linux"]
    assert linux["maskedPaths"] == [
        *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
        *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
        *("/sys/devices/virtual/powercap", "/sys/firmware"),
    ]
    masked = [path for path in linux["maskedPaths"] if os.path.exists(path)]
    assert masked, "this kernel has some of them"
    for path in masked:
        options, kind = found[path]
        assert "ro" in options, path
        assert kind == "tmpfs", path  # files: a null device of its own /dev, not the host's
        assert await box.sh(f"if [ -d {path} ]; then ls -A {path}; else cat {path}; fi") == "", path
        assert "Read-only" in (await box.run("chmod", "777", path))[1]
    assert linux["readonlyPaths"] == ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
    for path in filter(os.path.exists, linux["readonlyPaths"]):
        options, kind = found[path]
        assert ("ro" in options, kind) == (True, "proc"), path
    assert "Read-only" in (await box.run("sh", "-c", "echo x > /proc/sys/kernel/hostname"))[1]
    assert probe.exits == []


async def test_no_descriptor_leads_to_a_device_file_of_the_host(runtime: Runtime) -> None:
    """Root in the container could change its mode, and programs of the host would find /dev/null closed."""
    box = await runtime.run("sh", "-c", "stat -L -c %d /proc/self/fd/0 /proc/1/fd/0 /dev/null; sleep 1000; true")
    await eventually(lambda: box.log().count("\n") == 3)
    ours = str(os.stat("/dev/null").st_dev)
    assert len(set(box.log().split())) == 1
    assert ours not in box.log().split()
    text = await box.sh("stat -L -c %d /proc/self/fd/0 /dev/null; readlink /proc/self/fd/0")
    assert text.split() == [*box.log().split()[:2], "/dev/null"]


async def test_it_may_run_on_every_processor_and_so_may_all_around_it(runtime: Runtime) -> None:
    """Those that are made ahead, and PID 1, are held to one for a moment."""
    box = await runtime.run("sleep", "1000")
    everywhere = os.sched_getaffinity(0)
    assert os.sched_getaffinity(box.pid) == everywhere
    (program,) = children_of(box.pid)
    shim, cradle = await a_cradle(runtime)
    for pid in (program, box.shim_pid, runtime.forkserver.pid, shim, cradle):
        assert os.sched_getaffinity(pid) == everywhere
    assert await box.sh("nproc") == f"{len(everywhere)}\n"


async def test_its_devices_are_the_harmless_ones_and_others_cannot_be_opened(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    listing = await box.sh("cd /dev; for f in *; do echo $f $(stat -c '%F %a %t:%T' $f); done")
    nodes = dict(line.split(" ", 1) for line in listing.splitlines() if "character" in line)
    assert nodes == {
        name: f"character special file 666 1:{minor}" if major == 1 else f"character special file 666 {major}:{minor}"
        for name, (major, minor) in {
            "null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0),
        }.items()
    }  # fmt: skip
    links = await box.sh("cd /dev; for f in core fd ptmx stdin stdout stderr; do readlink $f; done")
    assert links.split() == ["/proc/kcore", "/proc/self/fd", "pts/ptmx", *(f"/proc/self/fd/{fd}" for fd in (0, 1, 2))]
    assert await box.sh("head -c 3 /dev/zero | wc -c; head -c 3 /dev/urandom | wc -c; echo x > /dev/null") == "3\n3\n"
    # Nodes may be made (Docker allows it), not opened: memory, a disk.
    for kind, major, minor in (("c", 1, 1), ("c", 10, 232), ("b", 7, 0)):
        code, text = await box.run(
            "sh", "-c", f"mknod /tmp/n {kind} {major} {minor} && head -c 1 /tmp/n; rm /tmp/n; exit 0"
        )
        assert (code, "Operation not permitted" in text) == (0, True), text


async def test_the_filter_refuses_what_dockers_refuses(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    for command in ("mount -t tmpfs none /mnt", "unshare -m true", "chroot / umount /proc", "unshare -U true"):
        code, text = await box.run("sh", "-c", f"mkdir -p /mnt; {command}")
        assert code != 0, command
        assert "ermitted" in text or "denied" in text, (command, text)
    assert await box.sh("chroot / true; chown 1:1 /tmp; touch /x && chmod u+s /x; echo fine") == "fine\n"


async def test_memory_is_limited(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", resources=ResourceSpec(memory_max_bytes=64 << 20))
    name = "memory.limit_in_bytes" if "memory" in runtime.tree._v1 else "memory.max"
    assert int(cgroup_file(runtime, box, "memory", name).read_text()) == 64 << 20
    assert await box.run("dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M", "count=60") != (0, "")
    code, _ = await box.run("dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1")
    assert code == 137, "an exec is in the group too"


async def test_processor_time_is_limited(runtime: Runtime) -> None:
    box = await runtime.run("sh", "-c", "while :; do :; done", resources=ResourceSpec(cpus=0.05))
    if "cpu" in runtime.tree._v1:
        assert int(cgroup_file(runtime, box, "cpu", "cpu.cfs_quota_us").read_text()) == 5000
    counts = cgroup_file(runtime, box, "cpu", "cpu.stat")
    await eventually(lambda: re.search(r"nr_throttled [1-9]", counts.read_text()), "it to be throttled")


async def test_the_number_of_processes_is_limited(runtime: Runtime) -> None:
    script = "i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done"
    box = await runtime.run("sh", "-c", f"({script}); sleep 1000; true", resources=ResourceSpec(pids_max=12))
    await box.until_log("can't fork", stream="stderr")
    assert len(runtime.tree.pids(box.id)) <= 12
    assert int(cgroup_file(runtime, box, "pids", "pids.max").read_text()) == 12


async def test_cgroup_files_cannot_be_written_to_from_inside(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", resources=ResourceSpec(memory_max_bytes=64 << 20))
    files = (await box.sh("find /sys/fs/cgroup -name '*.procs'")).split()
    assert files
    for file in files:
        code, text = await box.run("sh", "-c", f"echo 0 > {file}")
        assert (code, "Read-only file system" in text) == (1, True), text
    assert "mkdir" in (await box.run("mkdir", f"{os.path.dirname(files[0])}/new"))[1]
    if runtime.tree._v1:
        assert await box.sh("cat /sys/fs/cgroup/memory/memory.limit_in_bytes") == f"{64 << 20}\n"


async def test_a_restart_stays_in_the_network_namespace_and_renews_the_others(runtime: Runtime) -> None:
    box = await runtime.create("sh", "-c", "ls /tmp; touch /tmp/was-here; echo made; sleep 1000; true")
    before: dict[str, int] = {}  # held open, so that no number is used again
    for run in range(1, 4):
        await box.start()
        await eventually(lambda run=run: box.log().count("made") == run, "its output")
        now = {name: os.open(f"/proc/{box.pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in NAMESPACES}
        kept = {name for name, fd in before.items() if os.path.sameopenfile(fd, now[name])}
        sockets.close_all(list(before.values()))
        before = now
        assert kept == ({"net"} if run > 1 else set())
        await box.kill()
        assert await box.wait(run=run) == 137
    sockets.close_all(list(before.values()))
    assert box.log() == "made\nwas-here\nmade\nwas-here\nmade\n"
    assert box.state()["runs"] == 3


async def test_mounts_of_the_user(runtime: Runtime, tmp_path: Path) -> None:
    for name in ("ro", "rw", "vol"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    wanted = (
        MountSpec(kind=MountKind.BIND, source=str(tmp_path / "ro"), target="/deep/er/ro", read_only=True),
        MountSpec(kind=MountKind.BIND, source=str(tmp_path / "rw"), target="/rw"),
        MountSpec(kind=MountKind.BIND, source=str(tmp_path / "rw" / "file"), target="/etc/one", read_only=True),
        MountSpec(kind=MountKind.VOLUME, source="data", target="/rw/sub"),
        MountSpec(kind=MountKind.TMPFS, target="/scratch", size_bytes=1 << 20, mode=0o700, options=("noatime",)),
    )
    script = """
        cat /deep/er/ro/file /rw/file /rw/sub/file /etc/one; echo
        echo no > /deep/er/ro/file; echo no > /etc/one; echo yes > /rw/new; echo yes > /rw/sub/new
        stat -c '%a %F' /scratch; dd if=/dev/zero of=/scratch/big bs=1M count=2 2>&1 | grep -c 'No space'
        grep ' /scratch ' /proc/self/mountinfo | grep -c noatime
    """
    box = await runtime.run("sh", "-c", script, mounts=wanted, volumes={"/rw/sub": str(tmp_path / "vol")})
    assert await box.wait() == 0
    assert box.log() == "rorwvolrw\n700 directory\n1\n1\n"
    assert box.log("stderr").count("Read-only file system") == 2
    assert (tmp_path / "rw" / "new").read_text() == (tmp_path / "vol" / "new").read_text() == "yes\n"


async def test_a_mount_below_a_read_only_bind_is_read_only_too(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    done = libc.mount(b"none", os.fsencode(tmp_path / "sub"), b"tmpfs", 0, None)
    assert done == 0
    try:
        wanted = (MountSpec(kind=MountKind.BIND, source=str(tmp_path), target="/data", read_only=True),)
        box = await runtime.run("sh", "-c", "echo x > /data/sub/new", mounts=wanted)
        assert await box.wait() == 1
        assert "Read-only" in box.log("stderr")
    finally:
        assert libc.umount2(os.fsencode(tmp_path / "sub"), 2) == 0


@pytest.mark.parametrize(
    ("target", "kind", "text"),
    [
        ("/etc/passwd", "directory", "the source is a directory and the target a file"),
        ("/etc", "file", "the source is a file and the target a directory"),
        ("/to-proc/sys", "directory", "it lies in /proc"),
        ("/to-root", "directory", "it is a symlink to the container's root"),
        ("/etc/passwd/below", "directory", "Not a directory"),
        ("/loop/x", "directory", "Too many levels of symbolic links"),
    ],
)
async def test_a_mount_that_cannot_be_is_told_by_its_target(
    runtime: Runtime, fresh_image: str, tmp_path: Path, target: str, kind: str, text: str
) -> None:
    os.symlink("/proc", f"{fresh_image}/to-proc")
    os.symlink("/", f"{fresh_image}/to-root")
    os.symlink("loop", f"{fresh_image}/loop")
    (tmp_path / "file").write_text("")
    source = str(tmp_path / "file") if kind == "file" else str(tmp_path)
    box = await runtime.create(
        "true", image=fresh_image, mounts=(MountSpec(kind=MountKind.BIND, source=source, target=target),)
    )
    with pytest.raises(OperationFailed, match=re.escape(text)) as caught:
        await box.start()
    assert target in caught.value.message


async def test_a_missing_bind_source_is_told(runtime: Runtime, tmp_path: Path) -> None:
    wanted = (MountSpec(kind=MountKind.BIND, source=str(tmp_path / "missing"), target="/x"),)
    box = await runtime.create("true", mounts=wanted)
    with pytest.raises(OperationFailed, match=r"cannot bind .*/missing: No such file or directory"):
        await box.start()
    (tmp_path / "missing").mkdir()
    await box.start()
    assert await box.wait() == 0


async def test_a_file_is_bound_where_the_image_has_a_dangling_symlink(runtime: Runtime, fresh_image: str) -> None:
    """/etc/resolv.conf of many distributions leads into a /run that is empty in an image."""
    os.symlink("../run/systemd/resolve/stub-resolv.conf", f"{fresh_image}/etc/resolv.conf")
    files = {"resolv.conf": "nameserver 127.0.0.11\n"}
    text = await runtime.output("cat", "/etc/resolv.conf", image=fresh_image, files=files)
    assert text == "nameserver 127.0.0.11\n"
    assert not os.path.exists(f"{fresh_image}/run")


@pytest.mark.parametrize("user", ["", "app", "1000:6", "4242"])
async def test_ids_and_home_are_read_from_the_images_own_files(runtime: Runtime, user: str) -> None:
    text = await runtime.output("sh", "-c", "id -u; id -g; id -G; echo $HOME", user=user)
    assert (
        text
        == {
            "": "0\n0\n0 2000\n/root\n",
            "app": "1000\n1000\n1000 6 2000\n/home/app\n",
            "1000:6": "1000\n6\n6\n/home/app\n",
            "4242": "4242\n0\n0\n/\n",
        }[user]
    )


async def test_a_user_may_start_in_a_directory_that_is_closed_to_it(runtime: Runtime, fresh_image: str) -> None:
    os.chmod(f"{fresh_image}/root", 0o700)
    assert await runtime.output("pwd", user="app", working_dir="/root", image=fresh_image) == "/root\n"


async def test_a_fresh_umask_and_file_modes(runtime: Runtime) -> None:
    before = os.umask(0o077)
    try:
        text = await runtime.output("sh", "-c", "umask; stat -c %a /dev /dev/null /dev/shm /proc")
    finally:
        os.umask(before)
    assert text.split() == ["0022", "755", "666", "1777", "555"]
    assert stat.S_IMODE(os.stat(runtime.boxes[0].order.socket).st_mode) & 0o077 in {0o000, 0o055}


async def test_a_bundle_of_somebody_else_runs(runtime: Runtime, fresh_image: str) -> None:
    """An OCI document without our annotations: the root is a directory, and there is no filter and no overlay."""

    def plain(document: dict[str, Any]) -> None:
        document["annotations"] = {}
        document["root"] = {"path": fresh_image, "readonly": True}
        document["process"]["noNewPrivileges"] = True
        document["process"]["user"]["umask"] = 0o077
        document["mounts"] = [each for each in document["mounts"] if each["destination"] in {"/proc", "/dev"}]

    script = "grep -E 'NoNewPrivs|Seccomp:' /proc/self/status; umask; touch /x; ls /dev; exit 7"
    box = await runtime.run("sh", "-c", script, change=plain)
    assert await box.wait() == 7
    assert box.log().split()[:5] == ["NoNewPrivs:", "1", "Seccomp:", "0", "0077"]
    assert {"null", "fd", "tty"} <= set(box.log().split()[5:])
    assert "Read-only file system" in box.log("stderr")
