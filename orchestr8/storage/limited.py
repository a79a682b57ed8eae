"""`storage_opt.size`: a container's layer in a file system of its own, in a file that grows up to that size.

    <root>/containers/<id>/layer.img    ext4, sparse: takes the space that the layer takes
    <root>/containers/<id>/layer        where it is mounted while the layer is made, and while a program is started

The mount is taken over into the container's own mount namespace; here it is gone again once the program runs, and the
loop device with the container's last process. Project quotas, which Docker uses, are a matter of how the machine's own
file system was mounted, and rarely there.
"""

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from typing import Final

from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.kernel import loop
from orchestr8.kernel import mount as mounts

_MAKE: Final = ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,root_owner=0:0")

_attaching: Final = threading.Lock()


def make(folder: str, size_bytes: int) -> None:
    """The file, empty but for the file system; complete or not at all. One that is there stays."""
    image = f"{folder}/layer.img"
    if os.path.exists(image):
        return
    with open(f"{image}.new", "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate(size_bytes)
    try:
        made = subprocess.run([*_MAKE, f"{image}.new"], capture_output=True, text=True, check=False, errors="replace")
    except FileNotFoundError:
        raise Unsupported(
            "the size of a container's layer cannot be limited: there is no mkfs.ext4",
            code="O8-629",
            helps=["install e2fsprogs, or leave `storage_opt.size` out"],
        ) from None
    if made.returncode:
        raise OperationFailed(
            f"cannot make a layer of {size_bytes:,} bytes: {made.stderr.strip()}", code="O8-629"
        )  # fmt: skip
    os.rename(f"{image}.new", image)


@contextlib.contextmanager
def mounted(folder: str) -> Iterator[None]:
    """With the file system on `<folder>/layer`."""
    mount(folder)
    try:
        yield
    finally:
        unmount(folder)


def mount(folder: str) -> None:
    image = f"{folder}/layer.img"
    os.makedirs(f"{folder}/layer", mode=0o700, exist_ok=True)
    unmount(folder)  # of an engine that was killed meanwhile
    try:
        _mount(image, f"{folder}/layer")
    except OSError as error:
        raise OperationFailed(
            f"cannot mount a container's layer of limited size: {error}",
            code="O8-629",
            notes=["it needs loop devices: /dev/loop-control"],
        ) from error


def unmount(folder: str) -> None:
    """Nothing there is fine."""
    if os.path.ismount(f"{folder}/layer"):
        mounts.unmount(f"{folder}/layer", mounts.MNT_DETACH)


@contextlib.contextmanager
def shown(folder: str) -> Iterator[int]:
    """The file system as a detached mount to read from, whether a program runs in it or not."""
    tree = _tree(f"{folder}/layer.img")
    try:
        yield tree
    finally:
        os.close(tree)


def _mount(image: str, target: str) -> None:
    tree = _tree(image)
    try:
        mounts.attach(tree, target)
    finally:
        os.close(tree)


def _tree(image: str) -> int:
    """A detached mount; the same file system for all who ask while one of them has it."""
    with _attaching:  # two devices for one file would destroy what is in it
        file_fd = os.open(image, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            device_fd, device = loop.attach(file_fd)
        finally:
            os.close(file_fd)
        try:
            return mounts.new_filesystem("ext4", [("discard", None)], mounts.MountAttr.NODEV, device)
        finally:
            os.close(device_fd)
