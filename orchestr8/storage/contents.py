"""What secrets and configs hold, kept for containers that are still to come, and a file of its own for each that is there.

    <root>/contents/<stack>/<digest>             configs, for the stack
    <root>/containers/<id>/files/<number>        configs, as one container has them: it goes with the bundle
    <run_dir>/secrets/stacks/<stack>/<digest>    secrets, likewise
    <run_dir>/secrets/containers/<id>/<number>

`<run_dir>/secrets` is a file system in memory that is never swapped out, mounted when the first secret comes and
unmounted when the last one goes: nothing of a secret reaches a disk, and a restart of the machine takes it away.
"""

import os
import re
import shutil
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel import mount as mounts
from orchestr8.kernel.libc import SyscallError
from orchestr8.kernel.mount import MountAttr
from orchestr8.model.backend import Content
from orchestr8.model.specs import FileSpec

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_WALLS: Final = MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC


class ContentStore:
    """The contents of one engine's stacks. Methods block, and may be called from several threads."""

    def __init__(self, root: str, run_dir: str) -> None:
        self._root: Final = root
        self._memory: Final = f"{run_dir}/secrets"
        self._lock: Final = threading.Lock()

    def keep(self, stack: str, contents: Mapping[str, Content]) -> None:
        """Store what is not stored yet."""
        with self._lock:
            for digest, content in contents.items():
                folder = self._of_stack(stack, secret=content.secret)
                path = f"{folder}/{_hex(digest)}"
                if content.secret:
                    self._mount_memory()
                if not os.path.exists(path):
                    os.makedirs(folder, mode=0o700, exist_ok=True)
                    _write(path, content.data, 0, 0, 0o600)

    def drop(self, stack: str, wanted: Collection[str]) -> None:
        """Forget all of the stack's that is not `wanted`."""
        names = {_hex(each) for each in wanted}
        with self._lock:
            for secret in (True, False):
                folder = self._of_stack(stack, secret=secret)
                for name in _names(folder):
                    if name not in names:
                        os.unlink(f"{folder}/{name}")
                _remove_empty(folder, os.path.dirname(folder))
            self._unmount_memory()

    def grant(self, stack: str, container: str, files: Sequence[FileSpec], digests: Mapping[str, str]) -> list[str]:
        """The paths to mount, one for each of `files`; made where they are missing.

        Raises OperationFailed for a content that is not there (any more).
        """
        with self._lock:
            return [
                self._grant(stack, container, number, file, digests.get(file.name, ""))
                for number, file in enumerate(files)
            ]

    def _grant(self, stack: str, container: str, number: int, file: FileSpec, digest: str) -> str:
        for secret in (True, False):  # a config that holds what a secret holds is treated as one
            folder = self._of_container(container, secret=secret)
            path = f"{folder}/{number}"
            if os.path.exists(path):
                return path
            kept = f"{self._of_stack(stack, secret=secret)}/{_hex(digest)}"
            if os.path.exists(kept):
                os.makedirs(folder, mode=0o700, exist_ok=True)
                with open(kept, "rb") as source:
                    _write(path, source.read(), file.uid, file.gid, file.mode)
                return path
        raise _lost(file.name)

    def revoke(self, container: str) -> None:
        """Remove the files that a container had of secrets; those of configs go with its bundle."""
        with self._lock:
            folder = self._of_container(container, secret=True)
            if os.path.isdir(folder):
                shutil.rmtree(folder)
                _remove_empty(os.path.dirname(folder))
            self._unmount_memory()

    def containers(self) -> list[str]:
        """Those that have secrets."""
        return _names(f"{self._memory}/containers")

    def _of_stack(self, stack: str, *, secret: bool) -> str:
        return f"{self._memory}/stacks/{stack}" if secret else f"{self._root}/contents/{stack}"

    def _of_container(self, container: str, *, secret: bool) -> str:
        return f"{self._memory}/containers/{container}" if secret else f"{self._root}/containers/{container}/files"

    def _mount_memory(self) -> None:
        if self._is_mounted():
            return
        os.makedirs(self._memory, mode=0o700, exist_ok=True)
        tree = _unswapped()
        try:
            mounts.attach(tree, self._memory)
        finally:
            os.close(tree)

    def _unmount_memory(self) -> None:
        """When there is nothing in it."""
        if not os.path.isdir(self._memory) or any(files for _, _, files in os.walk(self._memory)):
            return
        if self._is_mounted():
            mounts.unmount(self._memory, mounts.MNT_DETACH)
        os.rmdir(self._memory)

    def _is_mounted(self) -> bool:
        return os.path.ismount(self._memory)


def _unswapped() -> int:
    """A detached mount: tmpfs since Linux 6.4, where it can be kept off swap; before that ramfs, which always is."""
    try:
        return mounts.new_filesystem("tmpfs", [("mode", "700"), ("noswap", None)], _WALLS, "orchestr8")
    except SyscallError:
        return mounts.new_filesystem("ramfs", [("mode", "700")], _WALLS, "orchestr8")


def _lost(name: str) -> OperationFailed:
    section, _, key = name.partition(".")
    return OperationFailed(
        f"the content of {section[:-1]} `{key}` is not there any more",
        code="O8-628",
        notes=["secrets are kept in memory alone: a restart of the machine takes them away"],
        helps=["`orchestr8 up` brings it again"],
    )


def _hex(digest: str) -> str:
    """A file's name. "" is the digest of what a client did not send, and no file has that name."""
    found = _DIGEST.fullmatch(digest)
    if found is None and digest:
        raise InvalidInput(f"{digest!r} is not the digest of a content")
    return found[1] if found else "missing"


def _write(path: str, data: bytes, uid: int, gid: int, mode: int) -> None:
    """Complete or not at all; nobody but root can open it before it has its owner and mode."""
    fresh = f"{path}.new"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
    os.rename(fresh, path)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _remove_empty(*folders: str) -> None:
    for folder in folders:
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
