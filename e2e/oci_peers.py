"""runc and crun, given the bundles that ours are given.

Each is the program of that name on PATH, or what ORCHESTR8_RUNC and ORCHESTR8_CRUN call it: "chroot DIR runc", when it lives
in a directory of its own; bundles are then made below DIR/tmp.

What of a document is our own is translated: the overlay is mounted beforehand, in a mount namespace that ends with the
peer, so that nothing is left behind; instead of our compiled filter there is one of a single rule.
"""

import contextlib
import itertools
import json
import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from orchestr8.storage.overlay import OverlayMount

LIMIT_S: Final = 20.0
SECCOMP: Final = "org.orchestr8.seccomp"
_FLAGS: Final = {"runc": (), "crun": ("--cgroup-manager=cgroupfs",)}
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_VERSION: Final = "1.0.2"  # crun of Debian 12 refuses whatever says 1.1, which is not the same as not knowing it
_NO_FILTER: Final = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64" if os.uname().machine == "x86_64" else "SCMP_ARCH_AARCH64"],
    "syscalls": [{"names": ["kexec_load"], "action": "SCMP_ACT_ERRNO"}],
}
_SAFE: Final = ["nosuid", "noexec", "nodev"]
# Those of Docker's documents, as OCI's config.json has them.
USUAL_MOUNTS: Final[list[dict[str, Any]]] = [
    {"destination": "/proc", "type": "proc", "source": "proc", "options": _SAFE},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
    {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*_SAFE, "mode=1777", "size=65536k"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": _SAFE},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*_SAFE, "ro"]},
]  # fmt: skip
# For a mount namespace apart from this machine's; $1 is the root. crun takes no hybrid of cgroup v1 and v2 in which v2 has
# controllers that v1 left over: it is shown v1 alone.
HIDE_V2: Final = """
mount --make-rprivate /
if grep -qs . "$1/sys/fs/cgroup/unified/cgroup.controllers"; then umount "$1/sys/fs/cgroup/unified"; fi
"""
_SHARE: Final = 'mount --make-rshared "$1/"\n'  # as a host has it whose init is systemd
_MOUNT: Final = 'mount -t overlay overlay -o "$2" "$3"; shift 3; exec "$@"'


class Bundle(NamedTuple):
    """`words` run it; `overlay` has the options of what is to be mounted on its rootfs before that."""

    name: str
    path: str
    overlay: str
    words: list[str]
    terminal: bool


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


class Peer:
    """`root`: where its files lie, as this process sees them; "" for this machine's own."""

    def __init__(self, name: str, command: str = "") -> None:
        self.name = name
        self.command = shlex.split(command or os.environ.get(f"ORCHESTR8_{name.upper()}", name))
        self.root = os.path.realpath(self.command[1]) if self.command[0] == "chroot" else ""
        self._numbers = itertools.count(1)
        self._folder = ""

    @classmethod
    @contextlib.contextmanager
    def opened(cls, name: str, command: str = "") -> Iterator[Self]:
        peer = cls(name, command)
        with tempfile.TemporaryDirectory(prefix="orchestr8-peer-", dir=f"{peer.root}/tmp") as folder:
            peer._folder = folder
            yield peer

    def make(self, document: dict[str, Any], image: str, *flags: str) -> Bundle:
        """What is to be given to its `run`, on an overlay of `image` that is not mounted yet."""
        name = f"orchestr8-{os.urandom(4).hex()}"
        path = f"{self._folder}/{next(self._numbers)}"
        for each in ("rootfs", "upper", "work", "sources"):
            os.makedirs(f"{path}/{each}")
        translated = self._translate(document, path, name)
        Path(f"{path}/config.json").write_text(json.dumps(translated), encoding="utf-8")
        overlay = OverlayMount((image,), f"{path}/upper", f"{path}/work").data()
        words = self.words("run", *flags, "--bundle", path.removeprefix(self.root), name)
        return Bundle(name, path, overlay, words, terminal=translated["process"]["terminal"])

    def run(self, document: dict[str, Any], image: str) -> Ended:
        """One container from its beginning to its end, with mounts of its own."""
        made = self.make(document, image)
        mounting = ("-c", f"{HIDE_V2}{_SHARE}{_MOUNT}", "sh", self.root, made.overlay, f"{made.path}/rootfs")
        words = ["unshare", "--mount", "sh", "-e", *mounting, *made.words]
        try:
            return _run_in_terminal(words) if made.terminal else _run(words)
        finally:
            self.delete(made)

    def delete(self, made: Bundle) -> None:
        """End and remove what has not ended by itself."""
        if os.path.exists(f"{self._folder}/state/{made.name}"):
            _run(self.words("delete", "--force", made.name))

    def words(self, *words: str) -> list[str]:
        """A command line of it."""
        state = f"{self._folder}/state".removeprefix(self.root)
        return [*self.command, "--root", state, *_FLAGS[self.name], *words]

    def _translate(self, document: dict[str, Any], bundle: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(document))
        ours = found.pop("annotations")
        found["ociVersion"] = _VERSION
        found["linux"]["cgroupsPath"] = f"/{name}"
        own = found["linux"]["namespaces"]
        found["linux"]["namespaces"] = [each for each in own if each["type"] != "time"]  # Debian 12's know none
        if ours[SECCOMP]:
            found["linux"]["seccomp"] = _NO_FILTER
        for number, mount in enumerate(found["mounts"]):
            if mount["type"] == "bind" and not mount["source"].startswith("/dev/"):
                mount["source"] = self._brought(mount["source"], f"{bundle}/sources/{number}")
        return found

    def _brought(self, source: str, copy: str) -> str:
        """Where the peer finds the bind mount's source."""
        if not self.root:
            return source
        subprocess.run(["cp", "-a", source, copy], check=True)
        return copy.removeprefix(self.root)


def _environment() -> dict[str, str]:
    return {"PATH": _PATH, "XDG_RUNTIME_DIR": "/run"}


def _run(words: list[str]) -> Ended:
    done = subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
        env=_environment(),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def _run_in_terminal(words: list[str]) -> Ended:
    """As a person would, whose terminal it takes over."""
    master, slave = os.openpty()
    said = bytearray()
    try:
        with subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=_environment()) as process:
            os.close(slave)
            deadline = time.monotonic() + LIMIT_S
            with contextlib.suppress(OSError):  # EIO: nobody has it open any more
                while select.select([master], [], [], deadline - time.monotonic())[0]:
                    said += os.read(master, 1 << 16)
            if time.monotonic() >= deadline:
                process.kill()
        return Ended(process.returncode, said.decode(errors="replace"), "")
    finally:
        os.close(master)
