"""What an engine left behind, looked for where the kernel shows it: nothing, or a list of sentences.

To be asked from the network namespace that the engine ran in, which must have been a fresh one.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import Final

# What stays in a root whose engine has ended and which holds no stack: its memory of that, its log, its lock, what it made
# once for all containers, and images that are whole.
_STATE_FILES: Final = frozenset({"state.db", "state.db-wal", "state.db-shm", "engine.log", "lock", "seccomp.bpf"})
_STATE_FOLDERS: Final = ("skeleton/", "images/", "layers/", "bases/")
_UNFINISHED: Final = ".new"


def residue(root: str, instance: str, run_dir: str) -> list[str]:
    """Everything of the engine with this root that still is: empty when it cleaned up behind itself."""
    return [
        *(f"process: {pid} {_command_line(pid)}" for pid in processes(root, instance)),
        *(f"mount: {mount}" for mount in mounts(root, instance)),
        *(f"link: {link}" for link in _links()),
        *(f"nft: {line}" for line in _ruleset()),
        *(f"cgroup: {directory}" for directory in cgroups(instance)),
        *([f"file: {run_dir}"] if os.path.exists(run_dir) else []),
        *(f"file: {path}" for path in _files(root)),
    ]


def processes(root: str, instance: str) -> list[int]:
    """Engine, forkserver, shims and containers: by their words, their environment, or their groups. No zombies."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # a sandbox's PID 1
                if _is_of(int(entry), os.fsencode(root), f"/orchestr8-{instance}/".encode()):
                    found.append(int(entry))
    return found


def waiting(pid: int) -> bool:
    """Is it the shim of the next start, or what a PID 1 was born in? These come and go in quiet moments."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return b" (next)" in _read(f"/proc/{pid}/cmdline") or _read(f"/proc/{pid}/comm") == b"orchestr8-next\n"
    return False


def _is_of(pid: int, root: bytes, group: bytes) -> bool:
    words = _read(f"/proc/{pid}/cmdline").split(b"\0")
    if not any(words):
        return False  # a zombie is its parent's to bury, and a kernel thread is nobody's
    variables = _read(f"/proc/{pid}/environ").split(b"\0")
    return root in words or b"ORCHESTR8_ROOT=" + root in variables or group in _read(f"/proc/{pid}/cgroup") + b"/"


def mounts(root: str, instance: str) -> list[str]:
    """Mount points of this namespace that lie below the root, or whose options name it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        lines = [line for line in file if f"{root}/" in line or f"orchestr8-{instance}" in line]
    return [line.split()[4] for line in lines]


def cgroups(instance: str) -> list[str]:
    """The instance's group in every hierarchy, the deepest first."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        fields = [line.split() for line in file]
    hierarchies = [each[4] for each in fields if each[each.index("-") + 1] in {"cgroup", "cgroup2"}]
    tops = [f"{hierarchy}/orchestr8-{instance}" for hierarchy in dict.fromkeys(hierarchies)]
    return [directory for top in tops for directory, _, _ in os.walk(top, topdown=False)]


def _links() -> list[str]:
    with open("/proc/thread-self/net/dev", encoding="utf-8") as file:
        names = [line.partition(":")[0].strip() for line in file.readlines()[2:]]
    return [name for name in names if name != "lo"]


def _ruleset() -> list[str]:
    result = subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True)
    return [line for line in result.stdout.splitlines() if line.startswith("table")]


def _files(root: str) -> Iterator[str]:
    """Every file below that may not be there; folders without files are none."""
    for parent, folders, names in os.walk(root):
        if os.path.relpath(parent, root) == "layers":
            folders.clear()  # of images: as deep as containers make them
        for name in names:
            path = os.path.relpath(os.path.join(parent, name), root)
            stays = path in _STATE_FILES or path.startswith(_STATE_FOLDERS)
            if not stays or (path.startswith("images/") and path.endswith(_UNFINISHED)):
                yield f"{root}/{path}"


def _command_line(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return _read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
