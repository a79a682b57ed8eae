"""An image of Debian's static busybox: a few hundred programs in one file, and users that programs may run as."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requires import requires

BUSYBOX = "/bin/busybox"
needs_busybox = pytest.mark.skipif(
    not os.path.exists(BUSYBOX) or subprocess.run([BUSYBOX, "true"], check=False).returncode != 0,
    reason=f"needs Debian's busybox-static at {BUSYBOX}",
)


def install_busybox(folder: str) -> None:
    """With a symlink for each of its programs."""
    shutil.copy2(BUSYBOX, f"{folder}/busybox")
    for name in subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
        if name != "busybox":
            os.symlink("busybox", f"{folder}/{name}")


def make_image(folder: str) -> str:
    """A root file system of busybox, two users and the directories that programs expect."""
    for name in ("bin", "dev", "etc", "home/app", "proc", "root", "sys", "tmp", "var"):
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    os.chmod(f"{folder}/tmp", 0o1777)
    os.chown(f"{folder}/home/app", 1000, 1000)
    install_busybox(f"{folder}/bin")
    users = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:,,,:/home/app:/bin/sh\n"
    Path(f"{folder}/etc/passwd").write_text(users, encoding="ascii")
    groups = "root:x:0:\ntty:x:5:\ndisk:x:6:app\napp:x:1000:\nextra:x:2000:app,root\n"
    Path(f"{folder}/etc/group").write_text(groups, encoding="ascii")
    return folder


@pytest.fixture(scope="session")
def busybox_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_image(str(tmp_path_factory.mktemp("busybox")))


@pytest.fixture
def fresh_image() -> Iterator[str]:
    """An image of the test's own, to be made hostile."""
    with tempfile.TemporaryDirectory(prefix="orchestr8-image-") as folder:
        os.chmod(folder, 0o755)
        yield make_image(folder)


@pytest.fixture(params=[pytest.param("machine", marks=requires("id_mapped_root")), "tree"])
def mapped_image(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """For containers with ids of their own: this machine's files, and those of an image beside the test's. Both have a `daemon`."""
    if request.param == "machine":
        return "rootfs:/"
    image = tmp_path / "image"
    image.mkdir()
    make_image(str(image))
    for name, line in (("passwd", "daemon:x:1:1::/:/bin/false\n"), ("group", "daemon:x:1:\n")):
        with (image / "etc" / name).open("a", encoding="ascii") as file:
            file.write(line)
    return f"rootfs:{image}"
