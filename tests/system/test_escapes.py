"""What broke other runtimes, tried on this one. Image, volumes and running programs are hostile; the host must not notice.

Each test names the lesson. What a shell in the container may do to itself is not of interest: only what reaches the
host, another container, or a right that was not given.
"""

import ctypes
import hashlib
import itertools
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from e2e.pace import SLOW
from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel import mount, seccomp, seccomp_profile
from orchestr8.kernel.libc import libc
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.model.specs import MountKind, MountSpec
from orchestr8.runtime.rootfs import Rootfs
from orchestr8.runtime.users import resolve_user
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.runtime_fixtures import Runtime, a_cradle

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]

InChild = Callable[[Callable[[], Any]], Any]
RACES = 500
RACE_CAP_S = 8.0 * SLOW
FEW = 20  # starts in any case, however slow the machine is
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_KCMP = {"x86_64": 312, "aarch64": 272}[os.uname().machine]
_KCMP_VM = 1  # <linux/kcmp.h>


def fingerprint(path: str) -> tuple[bytes, int, int]:
    status = os.stat(path)
    return hashlib.sha256(Path(path).read_bytes()).digest(), status.st_mode, status.st_mtime_ns


def tree_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# --- the runtime's own memory ------------------------------------------------------------------------------------------


async def test_a_pid_1_that_cannot_become_the_reaper_shares_its_memory_with_nobody(runtime: Runtime) -> None:
    """It stays Python then, and its program may write it (/proc/1/mem): no process of the host's may go on in that."""
    document = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["execveat"], "action": "SCMP_ACT_ERRNO"}]}
    profile = seccomp_profile.parse(document, (), os.uname().machine, (5, 10))
    Path(runtime.seccomp_path).write_bytes(seccomp.compile_profile(profile))
    await a_cradle(runtime)
    box = await runtime.run("sh", "-c", "echo here; exec sleep 1000")
    await box.until_log("here")
    assert Path(f"/proc/{box.pid}/exe").readlink().name.startswith("memfd:orchestr8-python"), (
        "it has become nothing else"
    )
    others = {int(each) for each in os.listdir("/proc") if each.isdigit()} - {box.pid}
    assert [pid for pid in others if same_memory(box.pid, pid)] == []
    maps = Path(f"/proc/{box.pid}/maps").read_text().splitlines()
    assert [line for line in maps if line.split()[1][1] == "w" and line.split()[1][3] == "s"] == [], "nor a page of it"
    assert same_memory(box.pid, box.pid)


def same_memory(one: int, other: int) -> bool:
    """kcmp(2), KCMP_VM; False when one of them has ended."""
    return bool(libc.syscall(_KCMP, one, other, _KCMP_VM, 0, 0) == 0)


# --- CVE-2019-5736: the runtime's own program, reached through /proc/PID/exe -------------------------------------------


HUNT = """
while :; do
    for exe in /proc/[0-9]*/exe; do
        case "$(readlink $exe)" in */bin/*) continue;; esac
        (
            exec 3< $exe
            echo found
            for fd in /proc/self/fd/3 $exe; do (echo pwned > $fd) && echo WROTE; (echo pwned >> $fd) && echo WROTE; done
        )
    done
done 2> /dev/null
"""
EVIL = """#!/proc/self/exe
import fcntl, os, sys
exe = "/proc/self/exe"
print("RUNS", os.readlink(exe))
held = os.open(exe, os.O_RDONLY)
assert fcntl.fcntl(held, fcntl.F_GET_SEALS) & 14 == 14  # SHRINK, GROW, WRITE
for path in (exe, "/proc/1/exe", f"/proc/{os.getppid()}/exe", f"/proc/self/fd/{held}"):
    for mode in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC):
        try:
            os.write(os.open(path, mode), b"pwned")
            print("WROTE", path)
        except OSError as error:
            pass
"""


async def test_a_program_that_is_the_runtime_itself_finds_nothing_to_overwrite(
    runtime: Runtime, tmp_path: Path
) -> None:
    """`#!/proc/self/exe` has the kernel run whatever set the container up; meanwhile others try to write to it.

    The image is the machine's own tree, as in `rootfs:/`: there the interpreter finds its libraries, and runs.
    """
    python = str(Path(sys.executable).resolve())
    before = fingerprint(python)
    evil = tmp_path / "evil"
    evil.write_text(EVIL)
    evil.chmod(0o755)
    options: dict[str, Any] = {
        "image": "/",
        "mounts": (MountSpec(kind=MountKind.BIND, source=str(evil), target="/mnt/evil"),),
    }
    hunter = await runtime.run("sh", "-c", HUNT, **options)
    await hunter.until_log("found")  # PID 1, at least
    for _ in range(10):
        code, text = await hunter.run("/mnt/evil")
        assert code == 0, text
        assert text.startswith("RUNS /memfd:orchestr8-python")
        assert "WROTE" not in text
    for user in ("", "1000"):
        text = await runtime.output("/mnt/evil", init=False, user=user, **options)
        assert text.startswith("RUNS /memfd:orchestr8-python")
        assert "WROTE" not in text
        reaper = await runtime.run("/mnt/evil", user=user, **options)  # it is the reaper that the kernel runs then
        assert (await reaper.wait(), reaper.log()) == (126, "")
    assert "WROTE" not in hunter.log()
    assert fingerprint(python) == before
    assert await runtime.output("echo", "well") == "well\n"


# --- CVE-2024-21626, CVE-2016-9962: descriptors of the runtime that a program can reach --------------------------------


async def test_no_descriptor_but_stdio_is_open_in_any_program(runtime: Runtime) -> None:
    listing = "ls -1 /proc/1/fd /proc/$$/fd; true"
    box = await runtime.run("sleep", "1000")
    for text in (
        await runtime.output("sh", "-c", listing),
        await runtime.output("sh", "-c", listing, init=False),
        await runtime.output("sh", "-c", listing, tty=True),
        await runtime.output("sh", "-c", listing, stdin_open=True, user="app"),
        await box.sh(listing),
        await box.sh(listing, tty=True),
        await box.sh(listing, stdin=True),
    ):
        assert re.findall(r"fd:\n((?:\d+\n)+)", text.replace("\r", "")) == ["0\n1\n2\n"] * 2


@pytest.mark.parametrize("through_symlink", [False, True])
async def test_a_working_directory_behind_a_descriptor_is_refused(
    runtime: Runtime, fresh_image: str, through_symlink: bool
) -> None:
    running = await runtime.run("sleep", "1000", image=fresh_image)
    for number in (*range(3, 16), 20, 30):
        path = f"/proc/self/fd/{number}"
        if through_symlink:
            os.symlink(path, f"{fresh_image}/cwd{number}")
            path = f"/cwd{number}"
        box = await runtime.create("ls", "-a", working_dir=path, image=fresh_image)
        with pytest.raises(OperationFailed, match="working directory"):
            await box.start()
        with pytest.raises(OperationFailed, match="working directory"):
            await running.exec("ls", "-a", working_dir=path)


# --- CVE-2021-30465, CVE-2024-45310: a mount's target is swapped for a symlink while it is made ---------------------------


def flip(folder: str) -> int:
    """A child that swaps `folder`/swap and `folder`/other for each other without end; its pid."""
    pid = os.fork()
    if pid:
        return pid
    a, b = (os.fsencode(f"{folder}/{name}") for name in ("swap", "other"))
    while libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
        pass
    os._exit(1)


@pytest.mark.parametrize("link", ["absolute", "relative"])
def test_a_target_that_is_swapped_for_a_symlink_never_leads_out_of_the_root(
    tmp_path: Path, in_child: InChild, link: str
) -> None:
    """The race itself, as fast as it can be run: directories made and file systems mounted below what is flipping."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "deep").mkdir(parents=True)
    (root / "volume" / "swap").mkdir(parents=True)
    target = str(outside) if link == "absolute" else "../" * 20 + str(outside).lstrip("/")
    (root / "volume" / "other").symlink_to(target)
    if link == "relative":  # so that it resolves inside as well, and the look-up goes on
        (root / str(outside).lstrip("/")).mkdir(parents=True)

    def race() -> dict[str, Any]:
        unshare(CloneFlag.NEWNS)
        mount.set_propagation("/", mount.MountFlag.REC | mount.MountFlag.PRIVATE)
        here = os.open(root, os.O_PATH | os.O_DIRECTORY)
        mount.move_mount(mount.open_tree(str(root)), here)
        rootfs = Rootfs(str(tmp_path), {"root": {"path": "root"}})
        rootfs._root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
        flipper = flip(str(root / "volume"))
        attempts = mounted = refused = 0
        deadline = time.monotonic() + RACE_CAP_S
        names = itertools.count()
        try:
            while attempts < RACES * 4 and (attempts < RACES or time.monotonic() < deadline - RACE_CAP_S / 2):
                attempts += 1
                try:
                    entry = {"destination": f"/volume/swap/{next(names)}/x", "type": "tmpfs", "options": ["mode=755"]}
                    rootfs._mount(entry)
                    mounted += 1
                except OperationFailed:
                    refused += 1
                if time.monotonic() > deadline:
                    break
        finally:
            os.kill(flipper, signal.SIGKILL)
            os.waitpid(flipper, 0)
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        strays = [point for point in points if point.startswith(f"{outside}/")]
        return {"attempts": attempts, "mounted": mounted, "refused": refused, "strays": strays}

    told = in_child(race)
    assert told["strays"] == []
    assert tree_of(outside) == ["deep"], "nothing was made outside"
    assert told["attempts"] >= RACES, told
    assert told["mounted"] > 0


async def test_a_container_that_flips_a_shared_volume_cannot_move_anothers_mounts_out(
    runtime: Runtime, tmp_path: Path
) -> None:
    """The same with whole containers: A flips a directory and a symlink to `/`, B starts with a mount below it."""
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    (volume / "swap").mkdir(parents=True)
    (volume / "other").symlink_to("../" * 20 + str(outside).lstrip("/"))
    outside.mkdir()
    shared = MountSpec(kind=MountKind.BIND, source=str(volume), target="/volume")
    below = MountSpec(kind=MountKind.TMPFS, target="/volume/swap/made/x")
    flipper = flip(str(volume))
    try:
        started = refused = 0
        deadline = time.monotonic() + RACE_CAP_S
        script = "touch /volume/swap/made/x/mark /volume/other/made/x/mark; true"
        box = await runtime.create("sh", "-c", script, mounts=(shared, below))
        while started + refused <= FEW or (started + refused < RACES and time.monotonic() < deadline):
            try:
                await box.start()
                started += 1
                await box.wait(run=started)
            except OperationFailed:
                refused += 1
    finally:
        os.kill(flipper, signal.SIGKILL)
        os.waitpid(flipper, 0)
    assert tree_of(outside) == []
    assert started > 0


# --- CVE-2025-31133, CVE-2025-52565: masks and the console are taken from a /dev that the image provides -----------------


@pytest.mark.parametrize("kind", ["symlink", "file", "directory", "fifo"])
async def test_masks_do_not_come_from_the_images_dev_null(runtime: Runtime, fresh_image: str, kind: str) -> None:
    null = f"{fresh_image}/dev/null"
    make: dict[str, Callable[[], Any]] = {
        "symlink": lambda: os.symlink("/proc/sys/kernel/core_pattern", null),
        "file": lambda: Path(null).write_text("not masked"),
        "directory": lambda: os.mkdir(null),
        "fifo": lambda: os.mkfifo(null),
    }
    make[kind]()
    os.symlink("/proc/sys", f"{fresh_image}/dev/console")
    os.symlink("/proc", f"{fresh_image}/dev/pts")
    script = "cat /proc/interrupts /proc/keys /proc/timer_list 2>/dev/null; stat -L -c '%F %t:%T' /dev/null /proc/interrupts; ls -A /sys/firmware"
    for tty in (False, True):
        text = await runtime.output("sh", "-c", script, image=fresh_image, tty=tty)
        assert text.replace("\r", "") == "character special file 1:3\n" * 2
    box = await runtime.run("sleep", "1000", image=fresh_image)
    assert (await box.sh(script)).count("1:3") == 2


async def test_an_exec_with_a_terminal_trusts_no_ptmx_of_the_containers_making(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", mounts=(MountSpec(kind=MountKind.TMPFS, target="/dev/pts"),))
    for make in (
        "echo x > /dev/pts/ptmx",
        "rm /dev/pts/ptmx; mkfifo /dev/pts/ptmx",
        "rm /dev/pts/ptmx; ln -s /dev/zero /dev/pts/ptmx",
    ):
        await box.sh(make)
        with pytest.raises(OperationFailed):
            await box.exec("tty", tty=True)
    assert await box.sh("echo well") == "well\n"


# --- CVE-2023-27561, CVE-2019-19921, CVE-2026-41579: /proc, /sys and /dev of the image are symlinks ------------------------


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("target", ["/elsewhere", "../../../../../../tmp", "tmp", "/proc/self/root", "file"])
async def test_a_kernel_directory_of_the_image_that_is_no_directory_is_refused(
    runtime: Runtime, fresh_image: str, tmp_path: Path, name: str, target: str
) -> None:
    os.rmdir(f"{fresh_image}/{name}")
    os.makedirs(f"{fresh_image}/elsewhere", exist_ok=True)
    if target == "file":
        Path(f"{fresh_image}/{name}").write_text("")
    else:
        os.symlink(target, f"{fresh_image}/{name}")
    before = set(os.listdir("/tmp"))
    box = await runtime.create("true", image=fresh_image)
    with pytest.raises(OperationFailed, match=f"/{name} of the image must be a directory") as caught:
        await box.start()
    assert caught.value.code == "O8-601"
    assert os.listdir(f"{box.bundle}/upper") == []
    assert {each for each in set(os.listdir("/tmp")) - before if each in {"null", "zero", "pts", "shm"}} == set()


async def test_nothing_is_mounted_over_or_below_proc(runtime: Runtime, fresh_image: str, tmp_path: Path) -> None:
    """A false /proc would take writes that are meant to confine (CVE-2019-16884, CVE-2025-52881)."""
    os.symlink("/proc", f"{fresh_image}/alias")
    for target in ("/proc", "//proc", "/./proc/", "/x/../proc", "/proc/sys", "/alias/self/attr", "/alias"):
        wanted = (MountSpec(kind=MountKind.BIND, source=str(tmp_path), target=target),)
        with pytest.raises((InvalidInput, OperationFailed), match=r"proc|alias"):
            await (await runtime.create("true", image=fresh_image, mounts=wanted)).start()


async def test_masks_hold_in_an_image_that_has_symlinks_in_their_places(runtime: Runtime, fresh_image: str) -> None:
    os.makedirs(f"{fresh_image}/sys/firmware")
    os.symlink("/", f"{fresh_image}/proc/interrupts")
    text = await runtime.output("sh", "-c", "cat /proc/interrupts; ls -A /sys/firmware; ls -d /bin", image=fresh_image)
    assert text == "/bin\n"


# --- CVE-2022-24769: capabilities that are inherited by whatever a program executes ----------------------------------------


@pytest.mark.parametrize("user", ["", "app", "0:1000"])
async def test_nothing_is_inheritable_or_ambient(runtime: Runtime, user: str) -> None:
    script = "grep -h -E 'CapInh|CapAmb' /proc/1/status /proc/self/status"
    expected = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n" * 2
    assert await runtime.output("sh", "-c", script, user=user) == expected
    assert await runtime.output("sh", "-c", script, user=user, init=False) == expected
    box = await runtime.run("sleep", "1000", user=user)
    assert await box.sh(script) == expected
    assert await box.sh(script, user="app") == expected
    assert await box.sh(script, user="root") == expected


# --- CVE-2024-40635, CVE-2026-30892: a user that overflows or half parses ends up as root ----------------------------------

BAD_USERS = (
    *("4294967296", "4294967295", "18446744073709551616", "99999999999999999999", "-1", "+0", "0x0", "0x3e8", "1e3"),
    *("1:", ":", ":0", "a:b:c", "0:0:0", "1000:-1", "1000:4294967296", "1000:0x0", " ", "1000 ", " 0", "\n0", "nobody"),
    *("1_000", "٠", "app:nobody", "root\0", "1.0"),
)


@pytest.mark.parametrize("user", BAD_USERS)
async def test_a_user_that_cannot_be_read_is_an_error_and_never_root(busybox_image: str, user: str) -> None:
    passwd, group = (Path(f"{busybox_image}/etc/{name}").read_bytes() for name in ("passwd", "group"))
    with pytest.raises(InvalidInput, match="cannot be used"):
        resolve_user(user, passwd, group)


async def test_the_same_for_an_exec_whose_files_the_container_may_have_written(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000", user="app")
    for user in BAD_USERS:
        with pytest.raises(OperationFailed, match="cannot be used"):
            await box.exec("id", user=user)
    await box.sh(
        "printf '1000:x:0:0::/:/bin/sh\\nbig:x:4294967296:0::/:/bin/sh\\nneg:x:-1:0::/:/bin/sh\\nhex:x:0x0:0::/:/bin/sh\\n"
        "ok:x:7:8:\\342\\200\\250evil:x:0:0::/:/bin/sh\\n' > /etc/passwd",
        user="0",
    )
    for user in ("big", "neg", "hex", "evil"):
        with pytest.raises(OperationFailed, match="cannot be used"):
            await box.exec("id", user=user)
    text = await box.sh("grep Uid: /proc/self/status", user="1000")
    assert text.split()[1] == "1000", "a number is an id, though a user of uid 0 has it as a name"


async def test_a_passwd_file_that_never_ends_or_blocks_holds_nobody_up(runtime: Runtime) -> None:
    box = await runtime.run("sleep", "1000")
    for make in ("mkfifo /etc/passwd", "ln -s /dev/zero /etc/passwd", "mkdir /etc/passwd", "ln -s passwd /etc/passwd"):
        await box.sh(f"rm -rf /etc/passwd; {make}")
        with anyio.fail_after(5):
            assert (await box.sh("grep Uid: /proc/self/status", user="77")).split()[1] == "77"


# --- what else a descriptor or a namespace gives away ----------------------------------------------------------------------


async def test_the_shims_own_pipes_are_not_reachable_and_no_socket_is_abstract(runtime: Runtime) -> None:
    """CVE-2020-15257: a container in the host's network reached abstract control sockets."""
    box = await runtime.run("sleep", "1000")
    control = [line.split() for line in Path("/proc/net/unix").read_text().splitlines() if runtime.root in line]
    assert [fields[-1] for fields in control if fields[-1].startswith("/")] == [box.order.socket]
    assert [fields[-1] for fields in control if fields[-1].startswith("@")] == []
    assert stat.S_IMODE(os.stat(os.path.dirname(box.order.socket)).st_mode) == 0o700


async def test_a_program_cannot_outlive_its_container_by_holding_the_log_open_from_another(
    runtime: Runtime, tmp_path: Path
) -> None:
    """A writes to B's stdout by a fifo that both share: B's end is told all the same, and soon."""
    writer_end = tmp_path / "sock"
    writer_end.mkdir()
    shared = MountSpec(kind=MountKind.BIND, source=str(writer_end), target="/shared")
    box = await runtime.create("sleep", "0.05", mounts=(shared,))
    await box.start()
    pid = box.pid
    theirs = os.open(f"/proc/{pid}/fd/1", os.O_WRONLY | os.O_NONBLOCK)
    stop = anyio.Event()

    async def shout() -> None:
        while not stop.is_set():
            try:
                os.write(theirs, b"x" * 65536)
            except BlockingIOError:
                pass
            except BrokenPipeError:
                return
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shout)
        assert await box.wait() == 0
        stop.set()
    os.close(theirs)
