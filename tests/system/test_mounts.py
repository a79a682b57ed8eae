"""Options of mounts, from the stack file to what a program and the host see; and what a hostile volume makes of them."""

import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import containers, err, out, state
from e2e.pace import SLOW
from e2e.scenario import Scenario, eventually
from orchestr8.errors import OperationFailed
from orchestr8.kernel.libc import libc
from orchestr8.runtime.sources import open_source
from tests.requires import requires
from tests.system.busybox import needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
InChild = Callable[[Callable[[], Any]], Any]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s, command: sleep infinity'
RACES = 500
RACE_CAP_S = 8.0 * SLOW
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory on a mount of its own, with another file system mounted below it."""
    path = tmp_path / "tree"
    path.mkdir()
    mount("-t", "tmpfs", "tree", str(path))
    mount("--make-private", str(path))
    (path / "below").mkdir()
    mount("-t", "tmpfs", "below", str(path / "below"))
    (path / "below/seen").touch()
    yield path
    subprocess.run(["umount", "-R", str(path)], check=True)


@pytest.fixture
def bound_tree(tmp_path: Path) -> Iterator[Path]:
    """The like, but on the file system of the test's files: tmpfs has no id-mapped mounts before Linux 6.3."""
    path, inner = tmp_path / "bound", tmp_path / "inner"
    path.mkdir()
    inner.mkdir()
    mount("--bind", str(path), str(path))
    mount("--make-private", str(path))
    (path / "below").mkdir()
    mount("--bind", str(inner), str(path / "below"))
    (inner / "seen").touch()
    yield path
    subprocess.run(["umount", "-R", str(path)], check=True)


def bind(tree: Path, options: str, *, read_only: bool = False) -> str:
    mode = "read_only: true, " if read_only else ""
    return f"{{type: bind, source: {tree}, target: /tree, {mode}bind: {{{options}}}}}"


# --- volume.subpath -----------------------------------------------------------------------------------------------


def test_a_part_of_a_volume_is_mounted_alone(scenario: Tell) -> None:
    story = scenario(f"""
services:
  all: {{{IDLE}, volumes: ["data:/data"]}}
  part:
    {{{IDLE}, volumes: [
      {{type: volume, source: data, target: /site, read_only: true, volume: {{subpath: www/site, nocopy: true}}}},
      {{type: volume, source: data, target: /one, volume: {{subpath: www/file}}}}]}}
volumes: {{data: }}
""")
    story.step("up -d all", state("all", "running"))
    story.step("up -d part", err("cannot mount `www/file` of a volume: No such file or directory"), code=1)
    story.step("exec all sh -c 'mkdir -p /data/www/site; echo page > /data/www/site/index; echo one > /data/www/file'")
    story.step("up -d part", state("part", "running"))
    story.step("exec part sh -c 'ls /site; cat /site/index /one'", out("index\npage\none\n"))
    story.step("exec part touch /site/x", err("Read-only file system"), code=1)
    story.step("exec part sh -c 'echo two > /one'")
    story.step("exec all cat /data/www/file", out("two"))
    story.step("exec all sh -c 'rm -r /data/www; ln -s /etc /data/www'")
    story.step("restart part", err("cannot mount `www/file` of a volume: Too many levels of symbolic links"), code=1)
    story.step("down -v", containers())


@pytest.mark.parametrize("way", ["", "../../../../../../../../../..", "/proc/self/root"])
def test_a_part_of_a_volume_that_is_swapped_for_a_link_never_shows_what_is_outside(
    tmp_path: Path, in_child: InChild, way: str
) -> None:
    """CVE-2017-1002101, CVE-2021-25741: as fast as it can be run, what was opened lies in the volume or is refused."""
    volume = tmp_path / "volume"
    (volume / "swap/site").mkdir(parents=True)
    (volume / "swap/site/ours").touch()
    (tmp_path / "outside/site").mkdir(parents=True)
    (tmp_path / "outside/site/theirs").touch()
    (volume / "other").symlink_to(f"{way}{tmp_path}/outside")
    assert os.listdir(volume / "other/site") == ["theirs"], "the link leads there"
    entry = {"source": f"{volume}/swap/site", "destination": "/site", "options": ["rbind", "rprivate"]}

    def race() -> dict[str, int]:
        flipper = os.fork()
        if not flipper:
            a, b = os.fsencode(volume / "swap"), os.fsencode(volume / "other")
            while libc.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, ctypes.c_uint(_RENAME_EXCHANGE)) == 0:
                pass
            os._exit(1)
        told = {"attempts": 0, "mounted": 0, "refused": 0, "strays": 0}
        deadline = time.monotonic() + RACE_CAP_S
        try:
            while told["attempts"] < RACES * 4 and (told["attempts"] < RACES or time.monotonic() < deadline):
                told["attempts"] += 1
                try:
                    fd = open_source(entry, str(volume))
                except OperationFailed:
                    told["refused"] += 1
                    continue
                told["mounted"] += 1
                told["strays"] += os.listdir(f"/proc/self/fd/{fd}") != ["ours"]
                os.close(fd)
        finally:
            os.kill(flipper, signal.SIGKILL)
            os.waitpid(flipper, 0)
        return told

    told = in_child(race)
    assert told["strays"] == 0
    assert told["attempts"] >= RACES
    assert told["mounted"] > 0
    assert told["refused"] > 0


# --- bind.recursive -----------------------------------------------------------------------------------------------


def test_what_is_mounted_below_a_source_is_seen_and_read_only_as_asked(scenario: Tell, tree: Path) -> None:
    kinds = {
        "usual": bind(tree, ""),
        "fixed": bind(tree, "", read_only=True),
        "alone": bind(tree, "recursive: disabled"),
        "open": bind(tree, "recursive: writable", read_only=True),
        "sealed": bind(tree, "recursive: readonly", read_only=True),
    }
    services = "".join(f"  {name}: {{{IDLE}, volumes: [{each}]}}\n" for name, each in kinds.items())
    story = scenario(f"services:\n{services}")
    story.step("up -d", state("sealed", "running"))
    seen = {}
    for name in kinds:
        script = (
            "ls /tree/below; touch /tree/x && echo here; touch /tree/below/x && echo below; rm -f /tree/x /tree/below/x"
        )
        seen[name] = story.run("exec", "-T", name, "sh", "-c", script).out.split()
    assert seen == {
        "usual": ["seen", "here", "below"],
        "fixed": ["seen"],
        "alone": ["here", "below"],  # the directory below the mount point, which is another one
        "open": ["seen", "below"],
        "sealed": ["seen"],
    }


# --- bind.propagation ---------------------------------------------------------------------------------------------


def test_mounts_propagate_as_asked(scenario: Tell, tree: Path) -> None:
    mount("--make-rshared", str(tree))
    kinds = ["private", "rprivate", "slave", "rslave", "shared", "rshared"]
    services = "".join(f"  {kind}: {{{IDLE}, volumes: [{bind(tree, 'propagation: ' + kind)}]}}\n" for kind in kinds)
    story = scenario(f"services:\n  unset: {{{IDLE}, volumes: ['{tree}:/tree']}}\n{services}")
    for name in ("late", "below/late", "back"):
        (tree / name).mkdir()
    story.step("up -d", state("rshared", "running"))
    for name in ("late", "below/late"):
        mount("-t", "tmpfs", "late", str(tree / name))
        (tree / name / "told").touch()
    heard = {}
    for name in ("unset", *kinds):
        listed = story.run("exec", "-T", name, "sh", "-c", "cd /tree; ls late/told below/late/told 2> /dev/null").out
        heard[name] = listed.split()
    assert heard == {
        "unset": [],
        "private": ["below/late/told"],  # as of mount(2): its own mount alone is made private
        "rprivate": [],
        "slave": ["below/late/told", "late/told"],
        "rslave": ["below/late/told", "late/told"],
        "shared": ["below/late/told", "late/told"],
        "rshared": ["below/late/told", "late/told"],
    }
    for name, goes_out in (("rslave", False), ("rshared", True)):
        (found,) = story.engine.ask("/stacks/shop/containers", service=name)
        inside = ["nsenter", "-t", str(found["pid"]), "-m"]
        subprocess.run([*inside, "mount", "-t", "tmpfs", "back", "/tree/back"], check=True)
        assert os.path.ismount(tree / "back") is goes_out
        subprocess.run([*inside, "umount", "/tree/back"], check=True)
    story.step("down", containers())
    assert [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/tree/back " in line] == []


def test_propagation_that_cannot_be_is_told(scenario: Tell, tree: Path) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, volumes: [{bind(tree, 'propagation: rslave')}]}}}}")
    story.step("up -d", err("propagation slave: the mount it lies on is not shared", "mount --make-shared"), code=1)


# --- volumes_from -------------------------------------------------------------------------------------------------


def test_volumes_of_a_service_are_had_by_another_and_stay_with_it(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(f"""
services:
  db: {{{IDLE}, tmpfs: /gone, volumes: ["data:/data", /scratch, ./conf:/conf]}}
  web: {{{IDLE}, volumes_from: [db]}}
  backup: {{{IDLE}, volumes_from: ["db:ro"], tmpfs: /conf}}
volumes: {{data: }}
""")
    story.step("up -d", state("backup", "running"))
    story.step("exec db sh -c 'echo 1 > /data/x; echo 2 > /scratch/x; echo 3 > /conf/x'")
    story.step("exec web sh -c 'cat /data/x /scratch/x /conf/x; ls -d /gone'", out("1\n2\n3\n"), code=2)
    story.step("exec backup sh -c 'cat /data/x /scratch/x; ls /conf'", out("1\n2\n"))
    story.step("exec backup touch /scratch/y", err("Read-only file system"), code=1)
    story.step("up -d --force-recreate", state("web", "running"))
    story.step("exec web cat /scratch/x", out("2"))
    far = tmp_path / "far"
    far.mkdir()
    (far / "stack.yml").write_text(f"services: {{web: {{{IDLE}, volumes_from: ['container:shop-db-1:ro']}}}}")
    other = Scenario(story.engine, str(far))
    other.step("up -d", state("web", "running"))
    other.step("exec web cat /data/x /scratch/x", out("1\n2\n"))
    other.step("exec web touch /data/y", err("Read-only file system"), code=1)
    story.step("down -v", err("volume shop_data is still in use by far-web-1 and stays"), containers())
    other.step("exec web cat /data/x", out("1"))
    other.step("down", containers())
    other.step("up -d", err("no such container: shop-db-1"), code=1)
    story.step("down -v", containers())
    other.step("down -v", containers())


# --- shm_size -----------------------------------------------------------------------------------------------------


def test_shared_memory_has_the_size_asked_for(scenario: Tell) -> None:
    story = scenario(
        f"services: {{usual: {{{IDLE}}}, large: {{{IDLE}, shm_size: 128m}}, small: {{{IDLE}, shm_size: 65536}}}}"
    )
    story.step("up -d", state("small", "running"))
    sizes = [
        story.run("exec", "-T", each, "stat", "-fc", "%b %S", "/dev/shm").out for each in ("usual", "large", "small")
    ]
    assert sizes == ["16384 4096\n", "32768 4096\n", "16 4096\n"]


# --- storage_opt.size ---------------------------------------------------------------------------------------------


def loops(story: Scenario) -> list[str]:
    """Loop devices of this engine's files."""
    listed = subprocess.run(["losetup", "-a"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if story.engine.root in line]


@requires("program:mkfs.ext4", "program:losetup")
def test_a_layer_holds_what_it_may_and_no_more(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, storage_opt: {{size: 32m}}, volumes: [/elsewhere]}}}}")
    story.step("up -d", state("web", "running"))
    write = "dd if=/dev/zero bs=1M status=none"
    story.step(f"exec web {write} count=16 of=/etc/fits")
    story.step(f"exec web {write} count=64 of=/etc/large", err("No space left on device"), code=1)
    story.step(f"exec web {write} count=64 of=/elsewhere/large")
    story.step("exec web sh -c 'rm /etc/large; ls -d /root /home; cat /etc/shadow; touch /etc/later'")
    story.step("restart", state("web", "running"))
    story.step("exec web stat -c %s /etc/fits /etc/later", out("16777216\n0\n"))
    assert len(loops(story)) == 1
    mounted = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "/layer " in line]
    assert mounted == [], "on the host it is gone again"
    story.step("stop")
    story.step("start", state("web", "running"))
    story.step("exec web stat -c %s /etc/fits", out("16777216"))
    story.step("down -v", containers())
    assert loops(story) == []


@requires("program:mkfs.ext4", "program:losetup")
def test_a_limited_layer_outlives_the_engine(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, storage_opt: {{size: 16m}}, restart: always}}}}")
    story.step("up -d", state("web", "running"))
    story.step("exec web touch /etc/mine")
    os.kill(int(json.loads(story.step("engine status --format json").out)["pid"]), signal.SIGKILL)
    story.step("kill web", eventually(state("web", "exited"), within_s=10))
    story.step("up -d", state("web", "running"))
    story.step("exec web ls /etc/mine")
    story.step("down", containers())
    assert loops(story) == []


def test_sizes_and_options_that_cannot_be_are_told(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, storage_opt: {{size: 1m, colour: red}}}}}}")
    said = story.step("up -d", err("`1m` is no size of at least 8m"), code=1).err
    assert "`services.web.storage_opt.colour`: a layer has no such option" in said


# --- with a user namespace ----------------------------------------------------------------------------------------


@needs_busybox
@requires("program:mkfs.ext4", "id_mapped_tmp")
def test_files_parts_of_volumes_and_limited_layers_have_the_containers_own_ids(
    scenario: Tell, bound_tree: Path, mapped_image: str
) -> None:
    idle = IDLE.replace("rootfs:/", mapped_image)
    story = scenario(f"""
services:
  all: {{{idle}, volumes: ["data:/data"]}}
  web:
    {{{idle}, userns_mode: private, storage_opt: {{size: 16m}}, secrets: [{{source: s, uid: "1000", mode: 0400}}],
    configs: [{{source: c, target: /etc/c}}], volumes: [
      {{type: volume, source: data, target: /part, volume: {{subpath: part}}}}, {bind(bound_tree, "", read_only=True)}]}}
volumes: {{data: }}
secrets: {{s: {{file: stack.yml}}}}
configs: {{c: {{content: hello}}}}
""")
    story.step("up -d all", state("all", "running"))
    story.step("exec all sh -c 'mkdir /data/part; touch /data/part/ours; chown 7:8 /data/part/ours'")
    story.step("up -d", state("web", "running"))
    seen = story.step("exec web stat -c '%n %u %g %a' /run/secrets/s /etc/c /part/ours /tree/below/seen").out
    assert seen.splitlines() == [
        "/run/secrets/s 1000 0 400",
        "/etc/c 0 0 444",
        "/part/ours 7 8 644",
        "/tree/below/seen 0 0 644",
    ]
    story.step("exec web sh -c 'cat /etc/c; touch /part/new /etc/new'", out("hello"))
    story.step("exec web touch /tree/below/x", err("Read-only file system"), code=1)
    story.step("exec web dd if=/dev/zero of=/etc/big bs=1M count=32", err("No space left on device"), code=1)
    story.step("exec all stat -c '%u %g' /data/part/new", out("0 0"))
    story.step("restart", state("web", "running"))
    story.step("exec web ls /etc/new")
    story.step("down -v", containers())


@needs_busybox
@requires("id_mapped_tmp")
def test_what_cannot_have_the_containers_own_ids_is_named_with_its_file_system(
    scenario: Tell, bound_tree: Path, mapped_image: str
) -> None:
    mount("-t", "proc", "proc", str(bound_tree / "below"))
    idle = IDLE.replace("rootfs:/", mapped_image) + ", userns_mode: private"
    for source, recursive, told in (
        (
            bound_tree / "below",
            "enabled",
            "/below cannot be shown with a container's own ids: its file system (proc) has",
        ),
        (bound_tree, "enabled", "/bound/below below it (proc) has no id-mapped mounts; leave that out"),
        (bound_tree, "disabled", ""),
    ):
        where = f"{{type: bind, source: {source}, target: /shown, bind: {{recursive: {recursive}}}}}"
        story = scenario(f"services: {{web: {{{idle}, volumes: [{where}]}}}}")
        if told:
            story.step("up -d", err(told, "or leave out `userns_mode: private`"), code=1)
        else:
            story.step("up -d", state("web", "running"))
