"""The look for what was left behind finds each kind of thing: or else no test that ends with it would prove anything."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.residue import residue
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.kernel.mount import MNT_DETACH, mount, unmount
from orchestr8.wire.paths import instance_hash
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "program:nft", "program:ip"), pytest.mark.usefixtures("own_network")]


class Place:
    """Where an engine might have been."""

    def __init__(self, directory: Path) -> None:
        self.root = str(directory / "root")
        self.run_dir = str(directory / "run")
        self.instance = instance_hash(self.root)
        os.mkdir(self.root)

    def left(self) -> list[str]:
        return residue(self.root, self.instance, self.run_dir)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    assert place.left() == []


def test_nothing_is_left_of_an_engine_that_only_kept_its_state(place: Place) -> None:
    for name in ("state.db", "engine.log", "lock"):
        Path(place.root, name).write_text("x")
    os.makedirs(f"{place.root}/containers")
    os.makedirs(f"{place.root}/skeleton/etc")
    Path(place.root, "skeleton/etc/hosts").touch()
    assert place.left() == []


def test_a_process_is_found_by_its_words_by_its_environment_and_by_its_group(place: Place) -> None:
    tree = CgroupTree.detect(place.instance)
    files = tree.prepare().files
    words = {
        "words": ["sleep", "1000"],
        "environment": ["env", f"ORCHESTR8_ROOT={place.root}", "sleep", "1000"],
        "group": ["sleep", "1000"],
    }
    processes = {name: subprocess.Popen(argv) for name, argv in words.items() if name != "words"}
    processes["words"] = subprocess.Popen(["tail", "-f", "/dev/null", "--", place.root], stderr=subprocess.DEVNULL)
    try:
        for file in files:
            Path(file).write_text(str(processes["group"].pid))
        found = {line.split()[1] for line in place.left() if line.startswith("process:")}
        assert found == {str(process.pid) for process in processes.values()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
        tree.remove_parent()
        tree.close()


def test_a_cgroup_is_found_in_every_hierarchy(place: Place) -> None:
    tree = CgroupTree.detect(place.instance)
    groups = {f"cgroup: {os.path.dirname(file)}" for file in tree.prepare().files}
    try:
        assert groups <= set(place.left())
    finally:
        tree.remove_parent()
        tree.close()


def test_a_mount_is_found(place: Place) -> None:
    os.mkdir(f"{place.root}/rootfs")
    mount("tmpfs", f"{place.root}/rootfs", "tmpfs", "")
    found = place.left()
    unmount(f"{place.root}/rootfs", MNT_DETACH)
    assert found == [f"mount: {place.root}/rootfs"]


def test_a_link_and_a_table_are_found(place: Place) -> None:
    subprocess.run(["ip", "link", "add", "left0", "type", "bridge"], check=True)
    subprocess.run(["nft", "add", "table", "ip", "left"], check=True)
    found = place.left()
    subprocess.run(["ip", "link", "del", "left0"], check=True)
    subprocess.run(["nft", "delete", "table", "ip", "left"], check=True)
    assert found == ["link: left0", "nft: table ip left {"]


def test_files_are_found(place: Place) -> None:
    file = Path(place.root, "volumes/shop_data/data/file")
    file.parent.mkdir(parents=True)
    file.write_text("x")
    os.mkdir(place.run_dir)
    found = place.left()
    file.unlink()
    os.rmdir(place.run_dir)
    assert found == [f"file: {place.run_dir}", f"file: {file}"]
