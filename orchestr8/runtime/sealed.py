"""Start the forkserver from an executable that no container can change.

PID 1 of a container is the forkserver's image, and `/proc/1/exe` leads to its file: written through that link, a
host's python3 would be the attacker's (CVE-2019-5736). So the interpreter is copied into a memfd and sealed. A build
that cannot run from there (it finds its libraries by $ORIGIN) runs from a detached, read-only mount of itself.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import mount
from orchestr8.kernel.memfd import sealed_copy

_REHEARSAL: Final = "rehearsal-"


def read_only_mount(path: str) -> int:
    """A descriptor of `path` in a detached mount that cannot be written through."""
    tree = mount.open_tree(path)
    mount.set_attributes(tree, on=mount.MountAttr.RDONLY)
    return tree


def _runs(executable_fd: int, argv: Sequence[str]) -> bool:
    """Whether the interpreter behind the descriptor finds its libraries and its standard library."""
    try:
        result = subprocess.run(
            [argv[0], "-I", "-S", "-c", "import json, socket, ctypes"],
            executable=f"/proc/self/fd/{executable_fd}",
            pass_fds=[executable_fd],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except PermissionError:  # memfds may not be executed here (vm.memfd_noexec)
        return False
    return result.returncode == 0


class Interpreter:
    """An open, unchangeable executable and the argv[0] under which it finds its standard library."""

    def __init__(self) -> None:
        self.argv0 = os.path.realpath(sys.executable)
        self.fd = sealed_copy("orchestr8-python", self.argv0)
        self.sealed = True
        if not _runs(self.fd, [self.argv0]):
            os.close(self.fd)
            self.fd = read_only_mount(self.argv0)
            self.sealed = False
            if not _runs(self.fd, [self.argv0]):
                os.close(self.fd)
                raise OperationFailed(
                    f"{self.argv0} runs neither from a memfd nor from a read-only mount", code="O8-630",
                    helps=["install orchestr8 with the distribution's python3"],
                )  # fmt: skip

    def close(self) -> None:
        os.close(self.fd)


def remove_rehearsals(run_dir: str) -> None:
    """Take away what forkservers left there that did not live to do it themselves (`runtime.rehearsal`)."""
    for name in os.listdir(run_dir):
        if name.startswith(_REHEARSAL):
            shutil.rmtree(os.path.join(run_dir, name), ignore_errors=True)  # its forkserver may be at it too


def start_forkserver(log_fd: int, run_dir: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start it: (its socket, its process). It may use `run_dir` for a moment. Its environment is bare: `/proc/1/environ` of a container shows it."""
    interpreter = Interpreter()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    package_parent = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    scratch = os.path.join(run_dir, f"{_REHEARSAL}{theirs.fileno()}-{os.getpid()}")
    code = (
        f"import sys; sys.path.append({package_parent!r}); sys.dont_write_bytecode = True; "
        f"from orchestr8.runtime.forkserver import main; main({theirs.fileno()}, {scratch!r})"
    )
    try:
        process = subprocess.Popen(
            [interpreter.argv0, "-I", "-S", "-c", code],
            executable=f"/proc/self/fd/{interpreter.fd}",
            pass_fds=[interpreter.fd, theirs.fileno()],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            cwd="/",
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
        interpreter.close()
    return ours, process
