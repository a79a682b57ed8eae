from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput, NotFound, Unsupported
from orchestr8.image.host import host_covers
from orchestr8.image.reference import Reference
from orchestr8.image.resolve import DEFAULT_PATH, ImageConfig, resolve
from orchestr8.image.store import ImageStore
from orchestr8.storage.covers import Cover, CoverKind

ENGINE = "/var/lib/engine"


def rootfs(path: object) -> Reference:
    return Reference("rootfs", str(path))


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A small host's tree."""
    for path in ("root", "tmp", "run", "etc/ssh", "var/lib/docker", "data/home"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("etc/shadow", "etc/shadow-", "etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_rsa_key.pub", "etc/hosts"):
        (tmp_path / path).touch()
    (tmp_path / "home").symlink_to("data/home")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    return tmp_path


def test_a_directory_is_one_layer_with_dockers_path(tmp_path: Path) -> None:
    image = resolve(rootfs(tmp_path), ENGINE)
    assert image.lowerdirs == (str(tmp_path),)
    assert image.config == ImageConfig(environment=(("PATH", DEFAULT_PATH),), working_dir="/")
    assert image.covers == ()


def test_a_tag_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    store = ImageStore(str(tmp_path))
    layer = store.blobs.put(b"layer")
    names = ("docker.io/library/shop:1", "docker.io/library/shop:2", "docker.io/library/shopping:3", "here:5000/shop:4")
    for name in names:
        store.add({}, [(layer, layer.digest)], [], name=name, created="", author=name)
    helps = {}
    for name in ("docker.io/library/shop:9", "here:5000/shop:9", "docker.io/library/other:1"):
        with pytest.raises(Unsupported) as caught:
            resolve(Reference("", name), str(tmp_path))
        helps[name] = caught.value.helps[0]
    assert helps == {
        "docker.io/library/shop:9": "the tags of docker.io/library/shop here are 1, 2",
        "here:5000/shop:9": "the tags of here:5000/shop here are 4",
        "docker.io/library/other:1": "`orchestr8 commit SERVICE NAME` makes an image of a container",
    }


def test_links_on_the_way_are_resolved_once(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to("v1")
    assert resolve(rootfs(tmp_path / "current"), ENGINE).lowerdirs == (f"{tmp_path}/v1",)


def test_a_missing_directory_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=f"there is no directory {tmp_path}/missing"):
        resolve(rootfs(tmp_path / "missing"), ENGINE)


def test_a_file_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidInput, match="is no directory"):
        resolve(rootfs(tmp_path / "file"), ENGINE)


def test_the_engines_state_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="the engine's own state"):
        resolve(rootfs(tmp_path), str(tmp_path))


def test_the_engines_root_is_covered_wherever_it_is_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "lib/engine").mkdir(parents=True)
    image = resolve(rootfs(tmp_path), f"{tmp_path}/lib/engine")
    assert image.covers == (Cover("/lib/engine", CoverKind.DIRECTORY, 0o700),)


def test_an_image_inside_or_beside_the_engines_parent_covers_nothing(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine-image").mkdir()
    assert resolve(rootfs(tmp_path / "engine-image"), f"{tmp_path}/engine").covers == ()
    assert resolve(rootfs(tmp_path / "engine-image"), str(tmp_path)).covers == ()


def test_the_hosts_own_tree_hides_what_is_private_at_its_real_place(host: Path) -> None:
    assert sorted(host_covers(str(host), swaps="/nonexistent")) == [
        Cover("/data/home", CoverKind.DIRECTORY, 0o755),
        Cover("/etc/resolv.conf", CoverKind.FILE, 0o644),  # a link, and every container has one of its own there
        Cover("/etc/shadow", CoverKind.FILE, 0o400),
        Cover("/etc/shadow-", CoverKind.FILE, 0o400),
        Cover("/etc/ssh/ssh_host_rsa_key", CoverKind.FILE, 0o400),
        Cover("/root", CoverKind.DIRECTORY, 0o700),
        Cover("/run", CoverKind.TMPFS, 0o755),
        Cover("/tmp", CoverKind.TMPFS, 0o1777),
        Cover("/var/lib/docker", CoverKind.DIRECTORY, 0o710),
    ]


def test_swap_files_are_hidden_and_swap_partitions_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "swap file").touch()
    swaps = tmp_path / "swaps"
    swaps.write_text(
        "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
        f"{tmp_path}/swap\\040file                             file\t\t2097148\t\t0\t\t-2\n"
        "/dev/null                               partition\t2097148\t\t0\t\t-3\n"
    )
    paths = [cover.path for cover in host_covers("/", swaps=str(swaps))]
    assert f"{tmp_path}/swap file" in paths
    assert "/dev/null" not in paths


def test_the_root_of_this_machine_is_covered_and_covers_do_not_nest() -> None:
    covers = resolve(rootfs("/"), "/root/engine").covers
    paths = [cover.path for cover in covers]
    assert {"/root", "/tmp", "/run"} <= set(paths)
    assert "/root/engine" not in paths
    assert paths == sorted(set(paths))
