"""The same command lines and bundles, given to ours, to runc and to crun: what they answer is the same, but for what is told here.

What a program sees of our engine's bundles is compared in `test_oci_oracle`; here it is what callers ask of the command itself.
A machine without one of the two skips all.
"""

import contextlib
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from e2e.oci_peers import HIDE_V2, USUAL_MOUNTS
from tests.requires import requires
from tests.system import oci_probe
from tests.system.busybox import BUSYBOX, needs_busybox
from tests.system.oci_lab import LIMIT_S, OURS, Runtime
from tests.system.test_oci_oracle import reasons as engines_reasons

pytestmark = [pytest.mark.system, requires("root", "program:runc", "program:crun"), needs_busybox]

# crun takes no hybrid of cgroup v1 and v2: it is shown v1 alone.
COMMANDS: Final = {
    "ours": OURS,
    "runc": ("runc",),
    "crun": ("unshare", "--mount", "sh", "-ec", f'{HIDE_V2}\nshift; exec "$@"', "sh", "", "crun", "--cgroup-manager=cgroupfs"),
}  # fmt: skip
WAITS: Final = ("sh", "-c", "trap 'exit 4' TERM; trap 'echo usr1' USR1; echo up; while :; do sleep 0.02; done")
Seen = dict[str, Any]
Story = Callable[[Runtime], Iterator[tuple[str, object]]]


@pytest.fixture
def runtimes() -> Iterator[dict[str, Runtime]]:
    """Where everybody may go: root of a user namespace looks for its bundle as somebody else."""
    with tempfile.TemporaryDirectory(prefix="orchestr8-oci-") as folder:
        os.chmod(folder, 0o711)
        found = {name: Runtime(Path(folder, name), command) for name, command in COMMANDS.items()}
        yield found
        for each in found.values():
            each("delete", "--force", each.name, code=None)
            for top in _tops():
                for name, _, _ in os.walk(f"{top}/o8-test-{each.name}", topdown=False):
                    os.rmdir(name)


def _tops() -> list[str]:
    return [str(path) for path in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()) if path.is_dir()]


def told(runtimes: dict[str, Runtime], story: Story) -> dict[str, Seen]:
    return {name: dict(story(each)) for name, each in runtimes.items()}


def without_reason(seen: dict[str, Seen], reasons: dict[str, str]) -> list[str]:
    """`peer: place: ours, theirs its own` of each place that differs; `reasons` has regular expressions of what may."""
    found = []
    for peer in ("runc", "crun"):
        for place in sorted({*seen["ours"], *seen[peer]}):
            ours, theirs = seen["ours"].get(place), seen[peer].get(place)
            if ours != theirs:
                found.append(f"{peer}: {place}: {ours!r}, theirs {theirs!r}")
    return [each for each in found if not any(re.match(pattern, each) for pattern in reasons)]


def up(runtime: Runtime) -> None:
    runtime.until(lambda: "up" in runtime.output(), "its first word")


def life(runtime: Runtime) -> Iterator[tuple[str, object]]:
    """Codes of what may be asked in each state, and what `state` and `list` then have."""
    name = runtime.name

    def asked(when: str, *questions: tuple[str, ...]) -> Iterator[tuple[str, object]]:
        for words in questions:
            yield (
                f"{when}/{' '.join(words)}",
                runtime(*(name if each == "ID" else each for each in words), code=None).returncode,
            )

    every = (
        ("state", "ID"),
        ("start", "ID"),
        ("kill", "ID", "0"),
        ("pause", "ID"),
        ("resume", "ID"),
        ("exec", "ID", "true"),
        ("ps", "ID"),
    )
    runtime.write(*WAITS, annotations={"org.example.a": "b"})
    yield from asked("none", ("delete", "ID"), ("delete", "--force", "ID"), *every)
    _, pid = runtime.create()
    yield "created/status", runtime.state()["status"]
    state = runtime.state()
    yield "created/state", {key: state.get(key) for key in ("ociVersion", "id", "pid", "status", "bundle", "rootfs", "owner", "annotations")} | {
        "id": state["id"] == name, "pid": state["pid"] == pid, "ociVersion": "any", "bundle": state["bundle"] == str(runtime.bundle),
        "rootfs": state["rootfs"] == str(runtime.bundle / "rootfs"),
    }  # fmt: skip
    yield "created/time", bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", state["created"]))
    yield "created/again", runtime("create", "--bundle", str(runtime.bundle), name, code=None).returncode
    yield from asked("created", ("exec", "ID", "true"), ("resume", "ID"), ("ps", "ID"))
    yield "created/start", runtime("start", name).returncode
    up(runtime)
    yield "running/status", runtime.state()["status"]
    yield from asked("running", ("start", "ID"), ("delete", "ID"), ("resume", "ID"), ("exec", "ID", "true"))
    yield "running/list", runtime("list", "--quiet").stdout.replace(name, "ID")
    listed = json.loads(runtime("list", "--format", "json").stdout)
    yield (
        "running/list json",
        [each["status"] for each in listed],
    )
    yield "running/list keys", sorted({"id", "pid", "status", "bundle", "created", "owner"} - listed[0].keys())
    yield "running/list table", runtime("list").stdout.splitlines()[0].split()
    yield "running/ps", pid in json.loads(runtime("ps", "--format", "json", name).stdout)  # and perhaps a `sleep`
    for signal in ("USR1", "SIGUSR1", "10"):
        before = runtime.output().count("usr1")
        yield f"kill/{signal}", runtime("kill", name, signal, code=None).returncode
        with contextlib.suppress(AssertionError):
            runtime.until(lambda before=before: runtime.output().count("usr1") > before, "the signal")
        yield f"kill/{signal} heard", runtime.output().count("usr1") - before
    yield from asked("kill", ("kill", "ID", "NOSUCH"), ("kill", "ID", "999"), ("kill", "--all", "ID", "0"))
    yield "pause", runtime("pause", name).returncode
    yield "paused/status", runtime.state()["status"]
    yield from asked("paused", ("pause", "ID"), ("start", "ID"), ("delete", "ID"), ("kill", "ID", "0"))
    yield "resume", runtime("resume", name).returncode
    yield "resumed/status", runtime.state()["status"]
    yield "kill/default", runtime("kill", name).returncode
    runtime.wait("stopped")
    yield "stopped/pid", runtime.state()["pid"]
    yield from asked("stopped", *every[1:], ("kill", "--all", "ID", "0"))
    yield "delete", runtime("delete", name).returncode
    yield from asked("deleted", ("delete", "ID"), ("state", "ID"))


LIFE: Final = {
    "runc: created/state: .*'owner': 'root'.*, theirs .*'owner': ''": "it knows an owner in `list` alone",
    "crun: created/state: .*'rootfs': True.*, theirs .*'rootfs': False": "its rootfs is the document's word, not a path",
    "crun: running/list table": "another word for ID, and a column of its own",
    r"crun: (created|running)/resume ID: 1, theirs 0|crun: paused/pause ID: 1, theirs 0": "what is so already is an error, as with runc",
    "crun: kill/kill ID NOSUCH: 1, theirs 0": "it takes any word for a signal",
    "crun: (none|stopped)/exec ID true: 255, theirs 1": "smaller codes are the program's, as with runc",
    "crun: (none|stopped)/ps ID": "253, and a crash",
}  # fmt: skip


def test_each_state_takes_what_it_takes_with_the_peers(runtimes: dict[str, Runtime]) -> None:
    assert without_reason(told(runtimes, life), LIFE) == []


def execs(runtime: Runtime) -> Iterator[tuple[str, object]]:
    """Programs beside the first: flags, a process.json, descriptors, codes."""
    name = runtime.name
    runtime.write(
        *WAITS, process={"noNewPrivileges": False, "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]}
    )
    runtime.create()
    runtime("start", name)
    up(runtime)
    show = "id; pwd; env | sort; grep -E '^(Cap|NoNewPrivs|Groups)' /proc/self/status; grep 'open files' /proc/self/limits; ls /proc/self/fd | wc -l"

    def asked(what: str, *words: str, stdin: bytes = b"") -> Iterator[tuple[str, object]]:
        done = runtime("exec", *words, code=None, stdin=stdin)
        yield from ((f"{what}/{re.split('[=: ]', line)[0]}", line) for line in done.stdout.splitlines())
        yield f"{what}/code", done.returncode

    yield from asked("plain", name, "sh", "-c", show)
    yield from asked("flags", "--user", "7:8", "--cwd", "/tmp", "--env", "A=b", "-g", "9", name, "sh", "-c", show)
    yield from asked("capability", "--cap", "CAP_CHOWN", "--no-new-privs", name, "sh", "-c", show)
    yield from asked("stdin", name, "cat", stdin=b"text")
    for what, argv in {"missing": "nosuch", "no program": "/etc/passwd", "folder": "/etc"}.items():
        yield from asked(what, name, argv)
    yield from asked("ends", name, "sh", "-c", "exit 9")
    yield from asked("killed", name, "sh", "-c", "kill -9 $$")
    yield from asked("nowhere", "--cwd", "/nowhere", name, "true")
    process = {
        "args": ["sh", "-c", show], "cwd": "/etc", "env": ["PATH=/bin", "B=c"], "user": {"uid": 5, "gid": 6, "additionalGids": [77], "umask": 7},
        "noNewPrivileges": True, "capabilities": {kind: ["CAP_KILL"] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 32, "hard": 33}],
    }  # fmt: skip
    (runtime.folder / "process.json").write_text(json.dumps(process))
    yield from asked("process", "--process", str(runtime.folder / "process.json"), name)
    pid_file = runtime.folder / "exec.pid"
    words = ("--detach", "--pid-file", str(pid_file), name, "sh", "-c", "exec sleep 1000 >/dev/null 2>&1")
    with runtime.waited_for("exec", *words), _console(runtime) as listener:
        runtime.until(pid_file.exists, "its number")
        runtime.until(lambda: _words_of(pid_file) == b"sleep 1000 ", "its program")
        words = (
            "--tty",
            "--detach",
            "--console-socket",
            str(runtime.folder / "console"),
            name,
            "sh",
            "-c",
            "tty; stat -c '%a %u:%g' $(tty)",
        )
        with runtime.waited_for("exec", *words):
            yield "terminal/said", _said(listener)
        yield "killed/all", runtime("kill", name, "KILL").returncode
    runtime.wait("stopped")


def _words_of(pid_file: Path) -> bytes:
    return Path(f"/proc/{pid_file.read_text()}/cmdline").read_bytes().replace(bytes(1), b" ")


def _console(runtime: Runtime) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(runtime.folder / "console"))
    listener.listen()
    listener.settimeout(LIMIT_S)
    return listener


def _said(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        _, (master,), _, _ = socket.recv_fds(connection, 4096, 1)
    said = b""
    with contextlib.suppress(OSError):  # EIO: nobody has it open any more
        while part := os.read(master, 4096):
            said += part
    os.close(master)
    return said


EXECS: Final = {
    r"runc: \w+/Max: .* (64|32) ": "its Go has raised the limit by then, now and again",
    "crun: (plain|capability)/Max": "limits are the container's, unless others are given, as with runc",
    "crun: capability/Cap": "a capability is added to the container's, as with runc",
    "crun: flags/": "it knows no -g",
    "crun: process/HOME: 'HOME=/'": "who has no HOME gets that of its user, as with runc",
}  # fmt: skip


def test_what_is_executed_is_the_same(runtimes: dict[str, Runtime]) -> None:
    assert without_reason(told(runtimes, execs), EXECS) == []


def errors(runtime: Runtime) -> Iterator[tuple[str, object]]:
    """How it is told what cannot be: exit codes, and a line in the log that has a level, a message and a time."""
    log = runtime.folder / "log"
    wrong: dict[str, Any] = {
        "a missing program": {"process": {"args": ["nosuch"]}},
        "no program": {"process": {"args": ["/etc/passwd"]}},
        "no directory": {"process": {"cwd": "/etc/passwd"}},
        "no root": {"root": {"path": "nowhere"}},
        "a parameter": {"linux": {"sysctl": {"net.core.nosuch": "1"}}},
        "the machine's parameter": {"linux": {"sysctl": {"vm.swappiness": "1"}}},
        "a limit": {"process": {"rlimits": [{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}]}},
        "a hook": {"hooks": {"createRuntime": [{"path": "/bin/false"}]}},
        "a hook inside": {"hooks": {"startContainer": [{"path": "/bin/nosuch"}]}},
        "relative": {"process": {"cwd": "tmp"}},
    }
    for what, changes in wrong.items():
        runtime.write("true", **changes)
        done = runtime(
            "--log", str(log), "--log-format", "json", "run", "--bundle", str(runtime.bundle), runtime.name, code=None
        )
        yield f"{what}/code", done.returncode
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        yield f"{what}/keys", sorted({"level", "msg", "time"} - lines[-1].keys()) if lines else "no line"
        yield f"{what}/level", lines[-1].get("level") if lines else ""
        yield f"{what}/left", runtime("delete", "--force", runtime.name, code=None).returncode
        log.unlink(missing_ok=True)
    for words in ((), ("nosuch",), ("state",), ("create", "--nosuch", "x"), ("create", "a/b"), ("create", "..")):
        yield f"words {words}", runtime(*words, code=None).returncode != 0


ERRORS: Final = {
    r"runc: words \(\)": "it shows its help",
    "crun: a hook/code: 1, theirs 255": "one code for all that fails before the program, as with runc",
    "crun: relative/": "a working directory is an absolute path (config.md), as with runc",
}  # fmt: skip


def test_errors_are_told_alike(runtimes: dict[str, Runtime]) -> None:
    assert without_reason(told(runtimes, errors), ERRORS) == []


def hooks(runtime: Runtime) -> Iterator[tuple[str, object]]:
    """When each is called, in which namespaces, and what it is told."""
    log = runtime.folder / "hooks"
    script = runtime.folder / "hook"
    script.write_text(
        f"#!{BUSYBOX} sh\nread -r state\nfor each in mnt net pid uts cgroup; do set -- "
        f'"$@" "$({BUSYBOX} readlink /proc/self/ns/$each)"; done\necho "$*|$A|$({BUSYBOX} pwd)|$state" >> {log}\n'
    )
    script.chmod(0o755)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    calls: dict[str, Any] = {kind: [{"path": str(script), "args": ["hook", kind], "env": ["A=b"]}] for kind in kinds}
    (runtime.bundle / "rootfs/hook").write_text(
        "#!/bin/sh\nread -r state; echo $1 in $(hostname) $A $(pwd) $(id -u); echo $state >/state\n"
    )
    (runtime.bundle / "rootfs/hook").chmod(0o755)
    calls["startContainer"] = [{"path": "/hook", "args": ["hook", "startContainer"], "env": ["A=b", "PATH=/bin"]}]
    runtime.write("sh", "-c", "echo program", hooks=calls, annotations={"org.example.a": "b"})
    _, pid = runtime.create()
    runtime("start", runtime.name)
    runtime.wait("stopped")
    runtime("delete", runtime.name)
    yield "output", runtime.output()
    names = ["mnt", "net", "pid", "uts", "cgroup"]
    own = [os.readlink(f"/proc/self/ns/{each}") for each in names]
    for number, line in enumerate(log.read_text().splitlines()):
        before, variable, folder, state = line.split("|")
        kind, *namespaces = before.split()
        told_state = json.loads(state)
        yield f"{number}/kind", kind
        yield (
            f"{kind}/namespaces",
            [name for name, link, ours in zip(names, namespaces, own, strict=True) if link != ours],
        )
        yield f"{kind}/variable", variable
        yield f"{kind}/folder", folder.replace(str(runtime.bundle), "BUNDLE").replace(os.getcwd(), "HERE")
        yield f"{kind}/state", {
            "keys": sorted({"ociVersion", "id", "bundle", "status", "annotations"} - told_state.keys()), "status": told_state["status"], "pid": told_state.get("pid", 0) == pid,
            "bundle": told_state["bundle"] == str(runtime.bundle), "annotations": told_state.get("annotations"),
        }  # fmt: skip


HOOKS: Final = {
    "runc: createContainer/folder": "it has pivoted by then, and hooks see the machine no more",
    "runc: poststart/state: .*'running'.*, theirs .*'created'": "its program runs, too, but it does not look",
    "crun: .*/namespaces: .*, theirs .*'mnt'": "it has been given mounts of its own here",
    "crun: poststop/folder": "the bundle may be gone by then; as with runc",
    "crun: .*/state: .*'creating'.*, theirs .*'created'": "config.md has no such hook after `created`",
}  # fmt: skip


def test_hooks_are_called_alike(runtimes: dict[str, Runtime]) -> None:
    assert without_reason(told(runtimes, hooks), HOOKS) == []


_KINDS: Final = ("pid", "mount", "ipc", "uts", "network", "cgroup")
_MAP: Final = [{"containerID": 0, "hostID": 700_000, "size": 70_000}]
DOCUMENTS: Final[dict[str, dict[str, Any]]] = {
    "plain": {},
    "process": {"process": {
        "user": {"uid": 7, "gid": 8, "additionalGids": [9, 10], "umask": 0o27}, "cwd": "/tmp", "env": ["PATH=/bin", "A=b"], "noNewPrivileges": True, "oomScoreAdj": 300,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}],
        "capabilities": {kind: ["CAP_KILL", "CAP_CHOWN"] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
    }},
    "walls": {"root": {"path": "rootfs", "readonly": True}, "linux": {
        "maskedPaths": ["/proc/acpi", "/proc/timer_list", "/sys/firmware", "/etc/passwd", "/nosuch"], "readonlyPaths": ["/proc/bus", "/proc/sys", "/tmp", "/nosuch"],
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO"}]},
    }},
    "parameters": {"linux": {"sysctl": {"net.core.somaxconn": "99", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "20"}}, "hostname": "shop"},
    "resources": {"linux": {"resources": {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20}, "cpu": {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0"},
        "pids": {"limit": 50}, "devices": [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}],
    }}},
    "devices": {"linux": {"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 7, "gid": 8}]}},
    "namespaces": {"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}, "hostname": ""},
    "mounts": {"mounts": [
        {"destination": "/data", "type": "tmpfs", "source": "t", "options": ["nodiratime", "noatime", "sync", "size=1m", "mode=700", "uid=7", "gid=8"]},
        {"destination": "/work", "type": "bind", "source": "/usr/share", "options": ["rbind", "nodiratime", "nosuid", "ro", "rprivate"]},
        {"destination": "/made/deep", "type": "none", "source": "/usr/share", "options": ["bind", "rro", "rnoexec"]},
    ]},
    "propagation": {"linux": {"rootfsPropagation": "rslave"}},
    "users": {"linux": {"namespaces": [{"type": kind} for kind in (*_KINDS, "user")], "uidMappings": _MAP, "gidMappings": _MAP}},
}  # fmt: skip


def probe(runtime: Runtime, name: str) -> dict[str, str]:
    for folder in ("proc", "sys", "dev", "data", "work"):
        (runtime.bundle / "rootfs" / folder).mkdir(exist_ok=True)
    document = runtime.document("sh", "-c", oci_probe.script(), **json.loads(json.dumps(DOCUMENTS[name])))
    document["mounts"] = [*USUAL_MOUNTS, *DOCUMENTS[name].get("mounts", ())]
    if name == "users":
        for folder, folders, files in os.walk(runtime.bundle / "rootfs"):
            for each in (".", *folders, *files):
                os.chown(f"{folder}/{each}", 700_000, 700_000, follow_symlinks=False)
    (runtime.bundle / "config.json").write_text(json.dumps(document))
    # Not /dev/null for its stdin: crun 1.8 gives the machine's to the container's user.
    said = runtime("run", "--bundle", str(runtime.bundle), runtime.name, code=None, stdin=b"unread")
    assert "@@end" in said.stdout, said
    plain = said.stdout.replace(str(runtime.folder), "FOLDER").replace(runtime.name, "NAME")
    return oci_probe.read(plain)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_program_sees_what_it_sees_with_the_peers(runtimes: dict[str, Runtime], name: str) -> None:
    seen = {peer: probe(each, name) for peer, each in runtimes.items()}
    found = []
    for peer in ("runc", "crun"):
        differences = oci_probe.differences(seen["ours"], seen[peer])
        found += [f"{peer}, {name}: {each}" for each in differences if not engines_reasons(peer, name, each)]
    assert [each for each in found if not any(re.match(pattern, each) for pattern in SEEN)] == []


# Besides those of `test_oci_oracle.DIFFERENT`: peer, document, place.
SEEN: Final[dict[str, str]] = {
    r"runc, .*: limits/Max open files: \d+ (\d+) files, theirs \1 \1 ": "its Go has raised the limit by then, now and again",
    "runc, walls: mounts//etc/passwd: .* ro,nosuid .*, theirs .* rw,nosuid": "a masked file; see the masks of /proc",
    "crun, walls: mounts//etc/passwd: .*, theirs devtmpfs": "a masked file; see the masks of /proc",
    "crun, walls: tree//etc/": "the time of the machine's null device",
    "runc, mounts: tree//data: drwx------ 7 8, theirs drwxr-xr-x 7 8": "it gives a tmpfs the mode of the folder below, whatever was asked for",
    "crun, mounts: tree//made: drwxr-xr-x 0 0, theirs drwxr-xr-t 0 0": "its own way of making folders",
    "crun, .*: environment/(HOME: /, theirs nothing|order)": "who has no HOME gets that of its user, as with runc",
    "crun, process: devices//dev/null: .* 0:0 1:3, theirs .* 7:8 1:3": "mended since: the null device is everybody's",
    "crun, namespaces: groups/group: :/o8-test-NAME/NAME, theirs :/": "in the machine's cgroup namespace it shows its own group as the top",
    r"\w+, users: devices//dev/\w+: .* 0:0 \S+, theirs .* 65534:65534 ": "the container's own devices, not the machine's",
    r"\w+, users: mounts//dev/\w+: nothing, theirs devtmpfs": "the machine's, each a mount",
    r"\w+, users: devices//dev/mqueue: directory 1777 65534:65534": "made by the machine's root, as all mounts; everybody may write to it",
    r"\w+, users: mounts//proc/\w+: tmpfs tmpfs /null ro,nosuid .*, theirs devtmpfs ": "a masked file; see the masks of /proc",
    r"\w+, users: descriptors/0: lr-x------ /null": "opened before the mounts became its own: the same device",
}  # fmt: skip
