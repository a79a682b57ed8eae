"""podman and dockerd, given our OCI runtime, or runc, as theirs.

They live in a root directory of their own: ORCHESTR8_CALLERS, or the image `callers` (`make programs-part` makes it of Debian's
packages), or this machine's own where it has them. All that they do happens in a mount namespace whose root that is, for the
kernel gives no user namespace to who has been chrooted; so nothing stays mounted. What they write lies in a folder below its
/tmp and is taken away with it. There the runtime is a copy of this package's source, run by that root's Python.
"""

import contextlib
import os
import pty
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

import orchestr8
from e2e.pace import SLOW
from e2e.programs import images
from orchestr8.runtime.terminal import set_size

LIMIT_S: Final = 60.0 * SLOW
IMAGE: Final = "callers"
IDS: Final = (700_000, 65_536)  # first and number of those that user namespaces are given
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
# $1 is the root, $2 and $3 are IDS. Its /etc is written to in memory: podman and dockerd look there for whose ids may be given.
_ENTER: Final = r"""
mount --bind "$1" "$1"
cd "$1"
for each in proc sys dev; do mount --rbind "/$each" "$each"; done
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev/shm
pivot_root . mnt
umount -l /mnt
mkdir /run/etc /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work overlay /etc
echo "containers:x:990:990::/:/bin/false" >>/etc/passwd
echo "containers:x:990:" >>/etc/group
for each in subuid subgid; do echo "containers:$2:$3" >>/etc/$each; done
echo ready
exec cat
"""


class Said(NamedTuple):
    code: int
    stdout: str
    stderr: str


def root_of(program: str) -> str:
    """The root directory in which the program is; "" where there is none."""
    if given := os.environ.get("ORCHESTR8_CALLERS"):
        return os.path.realpath(given)
    if images.is_made(IMAGE):
        return str(images.IMAGES / IMAGE)
    return "/" if shutil.which(program, path=_PATH) else ""


@contextlib.contextmanager
def entered(root: str) -> Iterator[list[str]]:
    """The words by which a program runs in a mount namespace with that root."""
    words = ["unshare", "--mount", "sh", "-ec", _ENTER, "sh", root, *map(str, IDS)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"]
            there = os.readlink(f"/proc/{holder.pid}/ns/mnt")
            left = _until_alone(there, holder.pid)
            assert not left, f"left in there: {left}"
        finally:
            holder.stdin.close()


def _until_alone(namespace: str, holder: int) -> list[str]:
    """What is left of those that run in the mount namespace; who tidies up after a container may take a moment."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        left = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if path.name != str(holder) and os.readlink(path / "ns/mnt") == namespace:
                    left.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)  # nothing tells when a stranger's process ends


class Caller:
    """`folder` is as this process sees it, `inside` as the program does."""

    NAME = ""

    def __init__(self, entering: list[str], root: str, folder: str) -> None:
        self.entering = entering
        self.folder = folder
        self.inside = folder if root == "/" else folder.removeprefix(root)
        self.ours = f"{self.inside}/orchestr8-oci"
        self.theirs = False

    @classmethod
    @contextlib.contextmanager
    def opened(cls, *flags: str) -> Iterator[Self]:
        """`flags`: further ones of the daemon."""
        root = root_of(cls.NAME)
        with (
            tempfile.TemporaryDirectory(prefix="orchestr8-oci-", dir=os.path.join(root, "tmp")) as folder,
            entered(root) as entering,
        ):
            os.chmod(folder, 0o755)
            caller = cls(entering, root, folder)
            source = os.path.dirname(os.path.abspath(orchestr8.__file__))
            shutil.copytree(source, f"{folder}/orchestr8", ignore=shutil.ignore_patterns("__pycache__"))
            Path(f"{folder}/orchestr8-oci").write_text(_WRAPPER.format(folder=caller.inside), encoding="utf-8")
            os.chmod(f"{folder}/orchestr8-oci", 0o755)
            with caller._ready(*flags):
                yield caller

    @contextlib.contextmanager
    def _ready(self, *_flags: str) -> Iterator[None]:
        yield

    def words(self, *words: str) -> list[str]:
        raise NotImplementedError

    @contextlib.contextmanager
    def using_runc(self) -> Iterator[None]:
        """Meanwhile runc is the runtime of what is made."""
        self.theirs = True
        yield
        self.theirs = False

    def __call__(self, *words: str, stdin: bytes = b"") -> Said:
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, timeout=LIMIT_S, check=False, env=self.environment()
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def in_terminal(self, *words: str, typed: bytes = b"") -> Said:
        """As a person would, whose terminal of 30 lines it takes over; `typed` once it says that it is ready."""
        master, slave = pty.openpty()
        set_size(master, 30, 90)
        said = b""
        try:
            with subprocess.Popen(
                self.words(*words), stdin=slave, stdout=slave, stderr=slave, env=self.environment()
            ) as process:
                os.close(slave)
                deadline = time.monotonic() + LIMIT_S
                with contextlib.suppress(OSError):  # EIO: nobody has it open any more
                    while select.select([master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                        said += os.read(master, 1 << 16)
                        if b"ready" in said:
                            os.write(master, typed)
                            typed = b""
                if time.monotonic() >= deadline:
                    process.kill()
            return Said(process.returncode, said.decode(errors="replace"), "")
        finally:
            os.close(master)

    def take_image(self, archive: bytes) -> None:
        """An image called `small` of a tar archive."""
        Path(f"{self.folder}/image.tar").write_bytes(archive)
        done = self("import", f"{self.inside}/image.tar", "small:latest")
        assert done.code == 0, done

    def environment(self) -> dict[str, str]:
        return {"PATH": _PATH, "HOME": self.inside, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}


class Podman(Caller):
    NAME = "podman"

    @contextlib.contextmanager
    def _ready(self, *_flags: str) -> Iterator[None]:
        Path(f"{self.folder}/containers.conf").write_text(_PODMAN, encoding="utf-8")
        try:
            yield
        finally:
            self("rm", "--all", "--force", "--time", "0")
            self("rmi", "--all", "--force")

    def words(self, *words: str) -> list[str]:
        runtime = "runc" if self.theirs else self.ours
        folders = (f"--root={self.inside}/storage", f"--runroot={self.inside}/run", f"--tmpdir={self.inside}/tmp")
        return [*self.entering, "podman", *folders, "--storage-driver=overlay", f"--runtime={runtime}", *words]

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "CONTAINERS_CONF": f"{self.inside}/containers.conf"}


# One without a bridge removes docker0, which may be another dockerd's.
_OWN_NETWORK: Final = ("unshare", "--net")


class Docker(Caller):
    """A dockerd and a containerd of its own, without network and firewall."""

    NAME = "dockerd"

    @contextlib.contextmanager
    def _ready(self, *flags: str) -> Iterator[None]:
        words = [
            *self.entering, *_OWN_NETWORK, "dockerd", f"--data-root={self.inside}/data", f"--exec-root={self.inside}/exec", f"--host={self._socket}",
            f"--pidfile={self.inside}/docker.pid", "--bridge=none", "--iptables=false", "--ip6tables=false",
            f"--add-runtime=orchestr8={self.ours}", "--default-runtime=orchestr8", *flags,
        ]  # fmt: skip
        with open(f"{self.folder}/dockerd.log", "wb") as log:
            daemon = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
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

    @property
    def _socket(self) -> str:
        return f"unix://{self.inside}/docker.sock"

    def words(self, *words: str) -> list[str]:
        runtime = ["--runtime=runc"] if self.theirs and words[0] in {"run", "create"} else []
        return [*self.entering, "docker", f"--host={self._socket}", words[0], *runtime, *words[1:]]
