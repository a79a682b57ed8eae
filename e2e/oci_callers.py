"""podman and dockerd, given our OCI runtime as theirs.

Each is the program of that name on PATH, or what ORCHESTR8_PODMAN and ORCHESTR8_DOCKERD call it: "chroot DIR podman", when it
lives in a directory of its own. There the runtime is a copy of this package's source in a folder below DIR/tmp, run by that
Python. All that they make lies in that folder, and is taken away with it.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import orchestr8

LIMIT_S: Final = 60.0
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_WRAPPER: Final = """#!/bin/sh
PYTHONPATH={folder} exec python3 -m orchestr8.oci "$@"
"""
_PODMAN: Final = """
[containers]
default_ulimits = []
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
"""


class Said(NamedTuple):
    code: int
    stdout: str
    stderr: str


def command_of(name: str) -> list[str]:
    """The words that call it; [] when it is not there."""
    words = shlex.split(os.environ.get(f"ORCHESTR8_{name.upper()}", name))
    found = shutil.which(words[-1], path=None if len(words) == 1 else f"{words[1]}/usr/bin:{words[1]}/usr/sbin")
    return words if found else []


class Caller:
    """`folder` is as this process sees it, `inside` as the program does."""

    def __init__(self, command: list[str], folder: str) -> None:
        self.root = os.path.realpath(command[1]) if command[0] == "chroot" else ""
        self.command = command
        self.folder = folder
        self.inside = folder.removeprefix(self.root)
        self.runtime = f"{self.inside}/orchestr8-oci"
        self._prefix = command[:2] if self.root else []

    @classmethod
    @contextlib.contextmanager
    def opened(cls, name: str) -> Iterator[Self]:
        command = command_of(name)
        root = os.path.realpath(command[1]) if command[0] == "chroot" else ""
        with tempfile.TemporaryDirectory(prefix="orchestr8-oci-", dir=f"{root}/tmp") as folder:
            os.chmod(folder, 0o755)
            caller = cls(command, folder)
            source = os.path.dirname(os.path.abspath(orchestr8.__file__))
            shutil.copytree(source, f"{folder}/orchestr8", ignore=shutil.ignore_patterns("__pycache__"))
            Path(f"{folder}/orchestr8-oci").write_text(_WRAPPER.format(folder=caller.inside), encoding="utf-8")
            os.chmod(f"{folder}/orchestr8-oci", 0o755)
            with caller._ready():
                yield caller

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        yield

    def words(self, *words: str) -> list[str]:
        raise NotImplementedError

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, timeout=LIMIT_S, check=False, env=self._environment()
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def take_image(self, archive: bytes) -> None:
        """An image called `small` of a tar archive."""
        Path(f"{self.folder}/image.tar").write_bytes(archive)
        done = self("import", f"{self.inside}/image.tar", "small:latest")
        assert done.code == 0, done

    def _environment(self) -> dict[str, str]:
        return {"PATH": _PATH, "HOME": self.inside, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


class Podman(Caller):
    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        Path(f"{self.folder}/containers.conf").write_text(_PODMAN, encoding="utf-8")
        try:
            yield
        finally:
            self("rm", "--all", "--force", "--time", "0")
            self("rmi", "--all", "--force")
            unmount_below(self.folder)

    def words(self, *words: str) -> list[str]:
        folders = (f"--root={self.inside}/storage", f"--runroot={self.inside}/run", f"--tmpdir={self.inside}/tmp")
        return [*self.command, *folders, "--storage-driver=overlay", f"--runtime={self.runtime}", *words]

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "CONTAINERS_CONF": f"{self.inside}/containers.conf"}


class Docker(Caller):
    """A dockerd and a containerd of its own, without network and firewall."""

    @contextlib.contextmanager
    def _ready(self) -> Iterator[None]:
        words = [
            *self.command, f"--data-root={self.inside}/data", f"--exec-root={self.inside}/exec", f"--host={self._socket}",
            f"--pidfile={self.inside}/docker.pid", "--bridge=none", "--iptables=false", "--ip6tables=false",
            f"--add-runtime=orchestr8={self.runtime}", "--default-runtime=orchestr8",
        ]  # fmt: skip
        with open(f"{self.folder}/dockerd.log", "wb") as log:
            daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment())
        try:
            deadline = time.monotonic() + LIMIT_S
            while self("version").code:
                said = Path(f"{self.folder}/dockerd.log").read_text(encoding="utf-8", errors="replace")
                assert daemon.poll() is None, said[-2000:]
                assert time.monotonic() < deadline, said[-2000:]
                time.sleep(0.05)  # nothing tells when dockerd answers
            yield
        finally:
            if names := self("ps", "--all", "--quiet").stdout.split():
                self("rm", "--force", *names)
            daemon.terminate()
            daemon.wait(LIMIT_S)
            unmount_below(self.folder)

    @property
    def _socket(self) -> str:
        return f"unix://{self.inside}/docker.sock"

    def words(self, *words: str) -> list[str]:
        return [*self._prefix, "docker", f"--host={self._socket}", *words]


def unmount_below(folder: str) -> None:
    """What these programs leave mounted in their folders: the storage on itself, the host's network namespace."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    for point in reversed([line.split(" ")[4] for line in lines]):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", point], check=True)
