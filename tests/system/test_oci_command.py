"""The OCI command line, called as podman and containerd call it: bundles of the test's own, no engine."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.requires import requires
from tests.system.busybox import BUSYBOX, needs_busybox
from tests.system.oci_lab import LIMIT_S, Runtime, groups

pytestmark = [pytest.mark.system, requires("root"), needs_busybox]


def test_run_has_the_programs_output_and_exit_code(oci: Runtime) -> None:
    done = oci.run("sh", "-c", "echo out; echo err >&2; hostname; echo $HOME; echo $$; exit 7", code=7)
    assert done.stdout.split("\n")[0] == "out"
    assert done.stderr == "err\n"
    assert done.stdout.split("\n")[-3:] == ["/root", "1", ""]


def test_a_container_goes_from_created_to_running_to_stopped_to_gone(oci: Runtime) -> None:
    oci.write("sh", "-c", "echo started; exec sleep 1000")
    name, pid = oci.create()
    assert oci.state() == {
        "ociVersion": "1.0.2", "id": name, "pid": pid, "status": "created", "bundle": str(oci.bundle),
        "rootfs": str(oci.bundle / "rootfs"), "created": oci.state()["created"], "annotations": {}, "owner": "root",
    }  # fmt: skip
    assert oci.output() == ""
    oci("start", name)
    oci.wait("running")
    oci.until(lambda: oci.output() == "started\n", "output")
    assert oci("list", "--quiet").stdout == f"{name}\n"
    assert "cannot start" in oci("start", name, code=1).stderr
    assert "not stopped: running" in oci("delete", name, code=1).stderr
    oci("kill", name, "KILL")
    oci.wait("stopped")
    assert oci.state()["pid"] == 0
    assert "container not running" in oci("kill", name, "TERM", code=1).stderr
    oci("delete", name)
    assert "does not exist" in oci("delete", name, code=1).stderr
    oci("delete", "--force", name)


def test_a_deletion_that_was_cut_short_is_done_by_the_next(oci: Runtime) -> None:
    oci.write("true")
    name, _ = oci.create()
    oci("start", name)
    oci.wait("stopped")
    (oci.root / name / "config.json").unlink()
    oci("delete", name)
    assert list(oci.root.iterdir()) == []


def test_its_group_goes_with_it_and_so_does_what_is_left_in_there(oci: Runtime) -> None:
    oci.write("sleep", "1000", linux={"namespaces": [{"type": "mount"}]}, hostname="")
    name, pid = oci.create()
    oci("start", name)
    words = oci.words("exec", "--detach", name, "sleep", "1000")  # which keeps the caller's stdio
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    pids = json.loads(oci("ps", "--format", "json", name).stdout)
    assert len(pids) == 2
    assert pid in pids
    oci("delete", "--force", name)
    oci.until(lambda: not any(_alive(each) for each in pids), "the end of its processes")
    assert [group for group in groups() if os.path.isdir(f"{group}/{name}")] == []


def _alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_a_number_that_another_process_has_by_now_is_not_signalled(oci: Runtime) -> None:
    oci.write("sleep", "1000")
    name, _ = oci.create()
    record = json.loads((oci.root / name / "state.json").read_text())
    with subprocess.Popen([BUSYBOX, "sleep", "1000"]) as stranger:
        (oci.root / name / "state.json").write_text(json.dumps(record | {"pid": stranger.pid}))
        assert oci.state()["status"] == "stopped"
        assert "container not running" in oci("kill", name, "KILL", code=1).stderr
        assert stranger.poll() is None
        stranger.terminate()
    (oci.root / name / "state.json").write_text(json.dumps(record))
    assert oci.state()["status"] == "created"


def test_exec_runs_a_further_program_with_the_containers_walls(oci: Runtime) -> None:
    oci.write("sleep", "1000")
    name, _ = oci.create()
    oci("start", name)
    done = oci(
        "exec",
        name,
        "sh",
        "-c",
        "cat; ps | grep -c 'sleep 1000'; grep CapEff /proc/self/status; exit 9",
        code=9,
        stdin=b"in\n",
    )
    assert done.stdout == "in\n1\nCapEff:\t0000000008000020\n".replace("\n1\n", f"\n{done.stdout.splitlines()[1]}\n")
    assert (
        oci(
            "exec", "--user", "7:8", "--cwd", "/tmp", "--env", "A=b", name, "sh", "-c", "id -u; id -g; pwd; echo $A"
        ).stdout
        == "7\n8\n/tmp\nb\n"
    )
    process = {
        "args": ["sh", "-c", "echo $B; pwd"],
        "cwd": "/etc",
        "env": ["PATH=/bin", "B=c"],
        "user": {"uid": 0, "gid": 0},
    }
    (oci.folder / "process.json").write_text(json.dumps(process))
    assert oci("exec", "--process", str(oci.folder / "process.json"), name).stdout == "c\n/etc\n"
    missing = oci("exec", name, "nosuch", code=255)
    assert "executable file not found in $PATH" in missing.stderr


def test_pause_stops_every_process_and_resume_lets_them_go_on(oci: Runtime) -> None:
    oci.write("sh", "-c", "trap 'echo heard; exit 0' TERM; while :; do sleep 0.02; done")
    name, _ = oci.create()
    oci("start", name)
    oci("pause", name)
    assert oci.state()["status"] == "paused"
    oci("kill", name, "TERM")
    assert "cannot exec in a paused container" in oci("exec", name, "true", code=255).stderr
    oci("resume", name)
    oci.wait("stopped")
    assert oci.output() == "heard\n"


def test_hooks_come_in_the_order_of_the_specification_with_the_state(oci: Runtime) -> None:
    log = oci.folder / "hooks"
    script = oci.folder / "hook"
    script.write_text(f'#!{BUSYBOX} sh\nread -r state\necho "$1 $state" >> {log}\n')
    script.chmod(0o755)
    (oci.bundle / "rootfs/hook").write_text('#!/bin/sh\nread -r state; echo "startContainer in $(hostname)"\n')
    (oci.bundle / "rootfs/hook").chmod(0o755)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    hooks: dict[str, Any] = {
        kind: [{"path": str(script), "args": ["hook", kind], "env": ["PATH=/bin"]}] for kind in kinds
    }
    oci.write("sh", "-c", "ls -l /proc/self/fd/0", hooks=hooks | {"startContainer": [{"path": "/hook"}]})
    name, pid = oci.create()
    oci("start", name)
    oci.wait("stopped")
    oci("delete", name)
    said = [line.partition(" ") for line in log.read_text().splitlines()]
    assert [kind for kind, _, _ in said] == list(kinds)
    states = {kind: json.loads(text) for kind, _, text in said}
    assert {kind: state["status"] for kind, state in states.items()} == {
        "prestart": "creating", "createRuntime": "creating", "createContainer": "creating", "poststart": "running", "poststop": "stopped",
    }  # fmt: skip
    assert states["createRuntime"]["pid"] == pid
    assert all(state["id"] == name for state in states.values())


def test_a_hook_that_fails_undoes_the_creation(oci: Runtime) -> None:
    oci.write("true", hooks={"createRuntime": [{"path": BUSYBOX, "args": ["sh", "-c", "echo no network >&2; exit 3"]}]})
    done = oci("create", "--bundle", str(oci.bundle), oci.name, code=1)
    assert done.stderr == f"createRuntime hook {BUSYBOX}: exit status 3: no network\n"
    assert "does not exist" in oci("state", oci.name, code=1).stderr
    assert [group for group in groups() if os.path.isdir(f"{group}/{oci.name}")] == []


def test_nothing_is_executed_in_a_container_that_is_not_built_yet(oci: Runtime) -> None:
    exec_words = oci.words("exec", oci.name, "/bin/cat", "/proc/self/mountinfo")
    script = f"{shlex.join(oci.words('state', oci.name))} >&2; {shlex.join(exec_words)} >&2; exit 3"
    python = os.environ.get("PYTHONPATH", "")
    hook = {"path": BUSYBOX, "args": ["sh", "-c", f"cd {os.getcwd()}; {script}"], "env": [f"PYTHONPATH={python}"]}
    oci.write("true", hooks={"createRuntime": [hook]})
    said = oci("create", "--bundle", str(oci.bundle), oci.name, code=1).stderr
    assert '"status": "creating"' in said
    assert "cannot exec in a creating container" in said
    assert "/proc" not in said.partition("cannot exec")[2]


def test_a_container_is_set_up_out_of_sight_of_those_whose_processes_it_shares(oci: Runtime, beside: Runtime) -> None:
    oci.write("sleep", "1000")
    _, pid = oci.create()
    oci("start", oci.name)
    other = beside
    looked = oci.folder / "looked"
    look = oci.words("exec", oci.name, "ps", "-o", "args")
    # While a hook runs, what is being built has the host's files and rights.
    script = f"cd {os.getcwd()}; {shlex.join(look)} >>{looked}"
    calls = [{"path": BUSYBOX, "args": ["sh", "-c", script], "env": [f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}"]}]
    shared = [{"type": kind} for kind in ("mount", "uts", "ipc")] + [{"type": "pid", "path": f"/proc/{pid}/ns/pid"}]
    words = ("sh", "-c", "ps -o args; readlink /proc/self/ns/pid; exit 3")
    done = other.run(
        *words, code=3, linux={"namespaces": shared}, hooks={"createRuntime": calls, "createContainer": calls}
    )
    assert looked.read_text().split("\n") == ["COMMAND", "sleep 1000", "ps -o args"] * 2 + [""]
    assert "sleep 1000" in done.stdout
    assert os.readlink(f"/proc/{pid}/ns/pid") in done.stdout
    assert os.listdir(other.root) == []


def test_who_shares_processes_is_signalled_executed_in_and_removed_like_others(oci: Runtime, beside: Runtime) -> None:
    oci.write("sleep", "1000")
    _, pid = oci.create()
    other = beside
    shared = [{"type": kind} for kind in ("mount", "uts", "ipc")] + [{"type": "pid", "path": f"/proc/{pid}/ns/pid"}]
    other.write("sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.02; done", linux={"namespaces": shared})
    name, second = other.create()
    try:
        assert os.readlink(f"/proc/{second}/ns/pid") == os.readlink(f"/proc/{pid}/ns/pid")
        assert other.state()["pid"] == second
        other("start", name)
        other.until(lambda: other.output() == "up\n", "output")
        assert other("exec", name, "readlink", "/proc/self/ns/pid").stdout.strip() == os.readlink(f"/proc/{pid}/ns/pid")
        other("kill", name, "KILL")
        other.wait("stopped")
    finally:
        other("delete", "--force", name)
    assert oci.state()["status"] == "created"


def test_a_hook_is_ended_when_its_time_is_over(oci: Runtime) -> None:
    oci.write("true", hooks={"prestart": [{"path": BUSYBOX, "args": ["sleep", "1000"], "timeout": 1}]})
    assert "timed out after 1 s" in oci("create", "--bundle", str(oci.bundle), oci.name, code=1).stderr


def test_seccomp_of_the_document_is_compiled_and_holds_for_exec_too(oci: Runtime) -> None:
    seccomp = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    oci.write("sh", "-c", "mkdir /tmp/x; sleep 1000", linux={"seccomp": seccomp})
    name, _ = oci.create()
    oci("start", name)
    oci.until(lambda: "No space left" in oci.output(), "the refusal")
    assert "No space left" in oci("exec", name, "mkdir", "/tmp/y", code=1).stderr


def test_limits_are_set_in_the_group_that_the_document_names(oci: Runtime) -> None:
    resources = {"pids": {"limit": 33}, "memory": {"limit": 1 << 26}}
    oci.write("sleep", "1000", linux={"resources": resources})
    oci.create()
    files = [f"{group}/{oci.name}/pids.max" for group in groups() if oci.name in group]
    assert [Path(file).read_text() for file in files if os.path.exists(file)] == ["33\n"]


REFUSED = {
    "no mount namespace": ({"linux": {"namespaces": [{"type": "pid"}]}}, "a container needs a mount namespace of its own"),
    "the host's name": ({"linux": {"namespaces": [{"type": "mount"}]}}, "hostname would be the machine's"),
    "the host's parameter": ({"linux": {"sysctl": {"vm.swappiness": "1"}}}, "vm.swappiness would be set for the whole machine"),
    "selinux": ({"process": {"selinuxLabel": "a:b:c"}}, "process.selinuxLabel is not supported"),
    "apparmor": ({"process": {"apparmorProfile": "x"}}, "process.apparmorProfile is not supported"),
    "notifications": ({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}}}, "notifications are not supported"),
    "shared root": ({"linux": {"rootfsPropagation": "shared"}}, "rootfsPropagation shared is not supported"),
    "a variable without a name": ({"process": {"env": ["A=b", "=c"]}}, "process.env: a variable has no name"),
    "relative directory": ({"process": {"cwd": "tmp"}}, "process.cwd must be an absolute path"),
    "no program": ({"process": {"args": []}}, "process.args must not be empty"),
    "no root": ({"root": {"path": "nowhere"}}, "is not a directory"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_one_error_and_nothing_is_made(oci: Runtime, case: str) -> None:
    changes, message = REFUSED[case]
    oci.write("true", **changes)
    done = oci(
        "--log",
        str(oci.folder / "log"),
        "--log-format",
        "json",
        "create",
        "--bundle",
        str(oci.bundle),
        oci.name,
        code=1,
    )
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert json.loads((oci.folder / "log").read_text())["msg"] in done.stderr
    assert not (oci.root / oci.name).exists()


def test_a_document_that_is_none_is_one_error(oci: Runtime) -> None:
    for text in ("", "[]", "{}", '{"root": 3}', '{"linux": {"namespaces": 7}}'):
        (oci.bundle / "config.json").write_text(text)
        assert oci("create", "--bundle", str(oci.bundle), oci.name, code=1).stderr.count("\n") == 1


def test_annotations_of_the_engines_own_are_not_heard_of_strangers(oci: Runtime) -> None:
    done = oci.run("sh", "-c", "ls /", annotations={"org.orchestr8.overlay": "lowerdir=/:/tmp"})
    assert "bin" in done.stdout
    assert "root" not in done.stdout.split()


def test_a_tmpfs_may_begin_with_what_the_image_has_there(oci: Runtime) -> None:
    document = oci.document("sh", "-c", "cat /etc/passwd; ls -ld /etc; touch /etc/x; touch /bin/x && echo written")
    options = ["nosuid", "tmpcopyup", "mode=700"]
    document["mounts"] += [
        {"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": options},
        {"destination": "/bin", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]},
    ]
    (oci.bundle / "config.json").write_text(json.dumps(document))
    done = oci("run", "--bundle", str(oci.bundle), oci.name, code=1)
    assert done.stdout.startswith("root:x:0:0")
    assert done.stdout.splitlines()[-1].startswith("drwx------")
    assert done.stderr == "touch: /bin/x: Read-only file system\n"
    assert sorted(path.name for path in (oci.bundle / "rootfs/etc").iterdir()) == ["passwd"]


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_a_mount_may_follow_no_links(oci: Runtime, kind: str) -> None:
    document = oci.document("sh", "-c", "cat /mnt/link || ln -s /etc/passwd /mnt/other && cat /mnt/other")
    (oci.folder / "folder").mkdir()
    (oci.folder / "folder/link").symlink_to("/etc/passwd")
    entry = {
        "destination": "/mnt",
        "type": kind,
        "source": str(oci.folder / "folder"),
        "options": ["bind", "nosymfollow"][kind == "tmpfs" :],
    }
    (oci.bundle / "config.json").write_text(json.dumps({**document, "mounts": [*document["mounts"], entry]}))
    done = oci("run", "--bundle", str(oci.bundle), oci.name, code=1)
    assert "Too many levels of symbolic links" in done.stderr
    assert done.stdout == ""


def test_descriptors_that_are_to_be_kept_are_the_programs(oci: Runtime) -> None:
    oci.write("sh", "-c", "cat <&3; ls /proc/self/fd | grep -c 5 || true")
    reader, writer = os.pipe()
    os.write(writer, b"kept\n")
    os.close(writer)
    words = oci.words("run", "--preserve-fds", "1", "--bundle", str(oci.bundle), oci.name)
    script = f"import os, sys; os.dup2({reader}, 3); os.execv(sys.argv[1], sys.argv[1:])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            pass_fds=[reader], capture_output=True, text=True, timeout=LIMIT_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    finally:
        os.close(reader)
    assert done.stdout == "kept\n0\n", done


def test_a_signal_to_run_reaches_the_program(oci: Runtime) -> None:
    oci.write("sh", "-c", "trap 'echo heard; exit 5' USR1; echo ready; while :; do sleep 0.02; done")
    with subprocess.Popen(
        oci.words("run", "--bundle", str(oci.bundle), oci.name), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR1)
        assert process.stdout.read() == b"heard\n"
        assert process.wait(LIMIT_S) == 5


def test_it_loads_nothing_of_the_engine() -> None:
    loaded = (
        "import sys; from orchestr8.oci import arguments, command, create, enter; "
        "arguments.parser_of(['exec'], 'x').parse_args(['exec', 'x', 'true']); print(*sys.modules)"
    )
    found = set(
        subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not found & {
        "anyio",
        "asyncio",
        "yaml",
        "networkx",
        "h11",
        "dnslib",
        "subprocess",
        "shutil",
        "orchestr8.engine",
        "orchestr8.runtime.launch",
        "orchestr8.runtime.messages",
    }


def test_features_and_version_are_told(oci: Runtime) -> None:
    found = json.loads(oci("features").stdout)
    assert found["ociVersionMin"] == "1.0.0"
    assert "startContainer" in found["hooks"]
    assert "SCMP_ACT_ERRNO" in found["linux"]["seccomp"]["actions"]
    assert oci("--version").stdout.startswith("orchestr8-oci version ")


def test_a_command_that_is_not_there_is_told_with_what_is(oci: Runtime) -> None:
    told = oci("nosuch", code=1).stderr
    assert told.startswith("there is no command `nosuch`; there are create, run, ")
    assert "`runc spec`" in oci("spec", code=1).stderr
