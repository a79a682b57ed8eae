"""podman and dockerd do with our OCI runtime what they do with runc: each story is told with both, and what they say compared."""

import io
import os
import random
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import pytest

from e2e.oci_callers import IDS, LIMIT_S, Caller, Docker, Podman, root_of
from tests.requires import requires
from tests.system.busybox import BUSYBOX, needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nsenter"), needs_busybox]

CALLERS = {"podman": Podman, "dockerd": Docker}
_ALONE = ("--network", "none")
_WAITS = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
LINKS = (
    *("sh", "cat", "sleep", "id", "tty", "ls", "touch", "grep", "ps", "wc", "head", "tail", "stty", "hostname", "ulimit", "kill"),
    *("mount", "umount", "stat", "sort", "cut", "tr", "env", "mkdir", "dd", "true", "readlink"),
)  # fmt: skip

Story = Callable[[Caller], Iterator[object]]


def opened(name: str, *flags: str) -> Iterator[Caller]:
    if not root_of(name):
        pytest.skip(f"this machine lacks {name}: `make programs-part` has Debian's (or set ORCHESTR8_CALLERS)")
    with CALLERS[name].opened(*flags) as found:
        found.take_image(image())
        yield found


@pytest.fixture(scope="module", params=CALLERS)
def caller(request: pytest.FixtureRequest) -> Iterator[Caller]:
    yield from opened(request.param)


def image() -> bytes:
    """A tar archive of busybox."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for folder in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        archive.add(BUSYBOX, "bin/busybox")
        for name in LINKS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        for name, text in (("passwd", b"root:x:0:0:root:/root:/bin/sh\n"), ("group", b"root:x:0:\n")):
            entry = tarfile.TarInfo(f"etc/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return made.getvalue()


def told(caller: Caller, story: Story) -> list[object]:
    return [plain(each) for each in story(caller)]


def plain(seen: object) -> object:
    """Without what chance decides: ids, pids, addresses, times."""
    return re.sub(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b", "ID", seen) if isinstance(seen, str) else seen


def run(caller: Caller, *words: str) -> tuple[int, str]:
    done = caller("run", "--rm", *_ALONE, *words)
    return done.code, done.stdout


def remove(caller: Caller, name: str) -> None:
    """However often: podman's own clean-up, begun by the end of a container, may be at its mounts at the same time."""
    deadline = time.monotonic() + LIMIT_S
    while (done := caller("rm", "--force", name)).code:
        assert time.monotonic() < deadline, done
        time.sleep(0.1)


def life(caller: Caller) -> Iterator[object]:
    name = f"o8-{os.urandom(4).hex()}"

    def up(times: int) -> None:
        """Until it can hear signals."""
        deadline = time.monotonic() + LIMIT_S
        while caller("logs", name).stdout.count("up") < times:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def status() -> str:
        return caller("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name).stdout

    yield caller("run", "--detach", "--name", name, *_ALONE, "small", "sh", "-c", _WAITS).code
    up(1)
    yield status()
    yield caller("exec", name, "sh", "-c", "echo out; echo err >&2; ls /proc/1 >/dev/null && exit 5")[:2]
    yield caller("exec", "--interactive", name, "cat", stdin=b"\0\1bytes")[:2]
    yield caller("exec", "--tty", name, "tty")[:2]
    yield caller("exec", "--user", "7:8", "--env", "A=b", "--workdir", "/tmp", name, "sh", "-c", "id -g; echo $A; pwd")[
        :2
    ]
    yield caller("exec", name, "nosuch").code
    yield caller("exec", name, "/etc/passwd").code
    yield caller("exec", "--workdir", "/nowhere", name, "true").code != 0
    yield caller("exec", "--detach", name, "touch", "/tmp/touched").code
    yield len(caller("top", name).stdout.splitlines()) >= 2
    yield caller("pause", name).code, status()
    yield caller("exec", name, "true").code != 0
    yield caller("unpause", name).code, status()
    yield caller("restart", name).code, status()
    up(2)
    yield caller("stop", name).code, status()
    yield caller("start", name).code, status()
    up(3)
    yield caller("kill", "--signal", "TERM", name).code
    yield caller("wait", name).stdout
    yield caller("logs", name).stdout
    yield caller("start", name).code
    up(4)
    yield caller("rm", name).code != 0
    yield caller("rm", "--force", name).code
    yield name in caller("ps", "--all").stdout


def test_a_containers_life_is_the_same(caller: Caller) -> None:
    ours = told(caller, life)
    with caller.using_runc():
        assert ours == told(caller, life)
    assert ours[2] == (5, "out\n")
    assert (0, "exited 3\n") in ours


ENDS: Final = ("exit 0", "exit 7", "kill -9 $$", "kill -TERM $$; sleep 0.1", "echo out; echo err >&2; exit 255")


def ends(caller: Caller) -> Iterator[object]:
    for script in ENDS:
        yield run(caller, "small", "sh", "-c", script)
    yield run(caller, "--init", "small", "sh", "-c", "kill -TERM $$; sleep 1")
    for program in ("nosuch", "/nosuch", "/etc/passwd", "/etc"):
        yield run(caller, "small", program)[0]


def test_exit_codes_are_the_same(caller: Caller) -> None:
    ours = told(caller, ends)
    with caller.using_runc():
        assert ours == told(caller, ends)


def terminals(caller: Caller) -> Iterator[object]:
    name = f"o8-{os.urandom(4).hex()}"
    size = "until test \"$(stty size 2>/dev/null)\" = '30 90'; do sleep 0.02; done"  # which they tell once it runs
    ask = ("sh", "-c", f"tty; {size}; echo ready; read -r line; echo got $line; exit 4")
    yield caller.in_terminal("run", "--rm", "--interactive", "--tty", *_ALONE, "small", *ask, typed=b"hello\r")
    caller("run", "--detach", "--tty", "--name", name, *_ALONE, "small", "sh", "-c", _WAITS)
    yield caller.in_terminal("exec", "--interactive", "--tty", name, *ask, typed=b"there\r")
    yield caller("logs", name).stdout
    yield (
        caller("rm", "--force", "--time", "0", name).code
        if isinstance(caller, Podman)
        else caller("rm", "-f", name).code
    )


def test_terminals_are_the_same(caller: Caller) -> None:
    ours = told(caller, terminals)
    with caller.using_runc():
        assert ours == told(caller, terminals)
    assert "got hello" in str(ours[0])
    assert "got there" in str(ours[1])


_PROBE: Final = """
id; pwd; hostname; env | sort
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
cut -d' ' -f 1-6 /proc/self/limits | tr -s ' '
for kind in cgroup ipc mnt net pid user uts; do readlink /proc/self/ns/$kind >/dev/null || echo no $kind; done
cut -d' ' -f 5,6 /proc/self/mountinfo | grep -v -E '^/sys/fs/cgroup|^/proc/|^/sys/' | sort
touch /made && echo made; touch /scratch/made && echo made; touch /bound/made && echo made
ls -l /dev | tr -s ' ' | cut -d' ' -f 1,3,4,5,6,10-
cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max
cat /proc/sys/kernel/msgmax /proc/sys/net/core/somaxconn
ls /proc | grep -c '^[0-9]' >/dev/null
"""
FLAGS: Final = {
    "nothing": (),
    "limits names": (
        *("--memory", "64m", "--memory-swap", "96m", "--cpus", "0.9", "--pids-limit", "50", "--hostname", "shop"),
        *("--ulimit", "nofile=64:128", "--ulimit", "nproc=100:200", "--device", "/dev/zero:/dev/zeroes:r"),
        *("--sysctl", "kernel.msgmax=4096", "--sysctl", "net.core.somaxconn=99"),
    ),
    "walls user": (
        *("--read-only", "--tmpfs", "/scratch:mode=1777", "--cap-drop", "ALL", "--cap-add", "CHOWN", "--user", "1000:1000"),
        *("--group-add", "7", "--env", "A=b", "--workdir", "/tmp", "--security-opt", "no-new-privileges"),
    ),
    "privileged": ("--privileged", "--pid", "host"),
    "unconfined terminal": ("--security-opt", "seccomp=unconfined", "--ipc", "host", "--uts", "host", "--tty"),
}  # fmt: skip


def seen(caller: Caller, cases: Mapping[str, Sequence[str]], probe: str) -> dict[str, list[str]]:
    """The lines of each case, with the exit code first."""
    bound = f"{caller.folder}/bound"
    os.makedirs(bound, exist_ok=True)
    where = ("--volume", f"{caller.inside}/bound:/bound:ro")
    found = {}
    for name, flags in cases.items():
        done = caller("run", "--rm", *_ALONE, *where, *flags, "small", "sh", "-c", probe)
        while done.code in {125, 126} and re.search(
            "/dev/.* no such file", done.stderr
        ):  # another test's, gone meanwhile
            done = caller("run", "--rm", *_ALONE, *where, *flags, "small", "sh", "-c", probe)
        found[name] = [str(done.code), *(str(plain(line)) for line in done.stdout.splitlines())]
        assert done.code == 0 or (name == "privileged" and caller.theirs), done
    return found


def without_reason(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> list[str]:
    """What is seen with one of them alone, unless it is known why."""
    found = []
    for name in ours:
        for mark, lines, others in (("ours", ours[name], theirs[name]), ("theirs", theirs[name], ours[name])):
            found += [f"{mark}, {name}: {line}" for line in lines if line not in others]
    return [each for each in found if not any(re.match(pattern, each) for pattern in DIFFERENT)]


DIFFERENT: Final = {
    "ours, .*: lrwxrwxrwx .* /proc/kcore": "a link that leads nowhere where the kernel has no kcore",
    r"(ours|theirs), .*: crw-rw-rw- (0 0|65534 65534) \d, \d \w+$": "our devices are the container's own, theirs the machine's, each a mount",
    r"theirs, .*: /dev/(full|null|random|tty|urandom|zero) rw": "these mounts",
    r"(ours|theirs), .*: drwxrwxrwt (0|65534) 65534 40 ": "of /dev/mqueue, which is everybody's to write to: ours is made by the machine's root",
    r"ours, administrator: (walls|umount: can't unmount /proc/bus)": "what the runtime has mounted can only there be unmounted by who may mount",
}  # fmt: skip


def test_what_a_program_sees_is_the_same(caller: Caller) -> None:
    ours = seen(caller, FLAGS, _PROBE)
    with caller.using_runc():
        theirs = seen(caller, FLAGS, _PROBE)
    if theirs["privileged"][0] != "0":  # runc gives no capability that itself lacks, and refuses; ours leaves it out
        assert ours.pop("privileged")[0] == "0"
    assert without_reason(ours, theirs) == []


def figures(caller: Caller) -> Iterator[object]:
    name = f"o8-{os.urandom(4).hex()}"
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    memory = ("--memory", "64m", "--memory-swap", "64m", "--pids-limit", "20")
    yield caller("run", "--detach", "--name", name, *_ALONE, *memory, "small", "sh", "-c", _WAITS).code
    yield caller("update", "--memory", "96m", "--memory-swap", "192m", "--cpu-shares", "512", name).code
    yield caller("exec", name, "sh", "-c", limit).stdout
    yield caller("stats", "--no-stream", "--format", "{{.MemUsage}}", name).stdout.partition(" / ")[2]
    yield caller("exec", name, "dd", "if=/dev/zero", "of=/dev/null", "bs=512M", "count=1").code
    yield caller("kill", name).code, caller("wait", name).stdout
    yield caller("rm", name).code
    greedy = ("dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1")
    yield caller("run", "--name", name, *_ALONE, *memory, "small", *greedy).code
    yield caller("inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", name).stdout
    yield caller("rm", name).code


def test_limits_and_figures_are_the_same(caller: Caller) -> None:
    ours = told(caller, figures)
    with caller.using_runc():
        assert ours == told(caller, figures)
    assert ours[-2] == "true 137\n" or isinstance(
        caller, Podman
    )  # whose conmon does not hear of it on a hybrid of v1 and v2


_MAPPED: Final = """
id; cat /proc/self/uid_map /proc/self/gid_map
ls -ln /bin/busybox /etc/passwd; stat -c '%A %u:%g %n' / /tmp /dev /dev/pts /dev/shm /proc /bound; ls -ln /dev | tr -s ' ' | cut -d' ' -f 1,3,4,5,6,10-
touch /made /dev/shm/made && stat -c '%u:%g' /made /dev/shm/made
grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)' /proc/self/status
cut -d' ' -f 5,6 /proc/self/mountinfo | grep -v -E '^/sys/fs/cgroup|^/proc/|^/sys/' | sort
hostname other && hostname
mount -t tmpfs none /tmp && echo mounted; mount -t mqueue none /tmp && echo queues
umount /proc/bus || echo walls; echo 5 >/proc/sys/kernel/msgmax && cat /proc/sys/kernel/msgmax
exit 0
"""
_ADMIN = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")
_RANGE = ("--uidmap", f"0:{IDS[0] + 9}:4000", "--gidmap", f"0:{IDS[0] + 9}:4000")
MAPPED: Final = {
    "podman": {"automatic": ("--userns", "auto:size=4096"), "user": (*_RANGE, "--user", "1000:7"), "administrator": (*_RANGE, *_ADMIN, "--tty")},
    "dockerd": {"user": ("--user", "1000:7"), "administrator": (*_ADMIN, "--tty")},
}  # fmt: skip


def keeping(caller: Caller) -> Iterator[object]:
    """A program that hears no signal, one that a policy begins again, one whose health is asked for, and bytes of every kind."""
    name = f"o8-{os.urandom(4).hex()}"

    def told(template: str) -> str:
        return caller("inspect", "--format", template, name).stdout.strip()

    def until(look: Callable[[], object], wanted: object) -> bool:
        deadline = time.monotonic() + LIMIT_S
        while (seen := look()) != wanted:
            assert time.monotonic() < deadline, seen
            time.sleep(0.1)
        return True

    def logged(word: str) -> int:
        return caller("logs", name).stdout.count(word)

    deaf = ("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    yield caller("run", "--detach", "--name", name, *_ALONE, "small", *deaf).code
    until(lambda: logged("up"), 1)
    yield caller("stop", "--time", "1", name).code, told("{{.State.Status}} {{.State.ExitCode}}")
    remove(caller, name)
    policy = ("--restart", "on-failure:2")
    yield caller("run", "--detach", "--name", name, *_ALONE, *policy, "small", "sh", "-c", "echo run; exit 3").code
    until(lambda: logged("run"), 3)
    yield until(lambda: told("{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}"), "exited 3 2")
    remove(caller, name)
    health = ("--health-cmd", "test -e /tmp/well", "--health-interval", "1s", "--health-retries", "1")
    yield caller("run", "--detach", "--name", name, *_ALONE, *health, "small", "sh", "-c", _WAITS).code
    if isinstance(caller, Podman):  # whose checks are systemd's to begin
        yield caller("healthcheck", "run", name).code
        yield caller("exec", name, "touch", "/tmp/well").code, caller("healthcheck", "run", name).code
    else:
        yield until(lambda: told("{{.State.Health.Status}}"), "unhealthy")
        yield caller("exec", name, "touch", "/tmp/well").code
        yield until(lambda: told("{{.State.Health.Status}}"), "healthy")
    data = random.Random(7).randbytes(3_000_000)
    for words in (("exec", "--interactive", name), ("run", "--rm", "--interactive", *_ALONE, "small")):
        done = subprocess.run(
            caller.words(*words, "cat"), input=data, capture_output=True, timeout=LIMIT_S, check=False, env=caller.environment()
        )  # fmt: skip
        yield done.returncode, done.stdout == data
    remove(caller, name)


def test_what_is_kept_running_asked_for_and_fed_is_the_same(caller: Caller) -> None:
    ours = told(caller, keeping)
    with caller.using_runc():
        assert ours == told(caller, keeping)
    assert (0, "exited 137") in ours
    assert ours[-2:] == [(0, True), (0, True)]


def test_users_of_a_containers_own_are_the_same(caller: Caller) -> None:
    if isinstance(caller, Podman):
        users_are_the_same(caller)
        return
    for remapped in opened(caller.NAME, "--userns-remap=containers"):
        users_are_the_same(remapped)


def users_are_the_same(caller: Caller) -> None:
    cases = MAPPED[caller.NAME]
    ours = seen(caller, cases, _MAPPED)
    with caller.using_runc():
        theirs = seen(caller, cases, _MAPPED)
    assert without_reason(ours, theirs) == []
    name = f"o8-{os.urandom(4).hex()}"
    flags = _RANGE if isinstance(caller, Podman) else ()
    flags += ("--ipc", "shareable")
    assert caller("run", "--detach", "--name", name, *_ALONE, *flags, "small", "sh", "-c", _WAITS).code == 0
    assert caller("exec", "--user", "7:8", name, "sh", "-c", "id -u; id -g").stdout == "7\n8\n"
    shared = ("--network", f"container:{name}", "--ipc", f"container:{name}", "--pid", f"container:{name}")
    shared += ("--userns", f"container:{name}") if isinstance(caller, Podman) else ()
    done = caller("run", "--rm", *shared, "small", "ps")
    assert "trap" in done.stdout, done
    remove(caller, name)


def test_a_namespace_of_another_container_is_shared(caller: Caller) -> None:
    name = f"o8-{os.urandom(4).hex()}"
    assert caller("run", "--detach", "--name", name, *_ALONE, "small", "sh", "-c", _WAITS).code == 0
    shared = ("--network", f"container:{name}", "--pid", f"container:{name}")
    done = caller("run", "--rm", *shared, "small", "sh", "-c", "ps")
    assert "trap" in done.stdout, done
    remove(caller, name)
