"""`commit`: images of containers, run again here and read by skopeo, umoci and podman."""

import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import err, log, out, state
from e2e.oci_callers import Podman, root_of
from e2e.scenario import Check, Scenario, eventually
from orchestr8.backends.native.making import find_user
from orchestr8.errors import OperationFailed, Orchestr8Error
from orchestr8.kernel.inotify import Inotify, InotifyMask
from orchestr8.storage.remove import remove_tree
from tests.requires import requires
from tests.system.busybox import install_busybox, needs_busybox

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]

Tell = Callable[..., Scenario]
DEEDS = r"""
echo new > /new; chown 5:6 /new; chmod 4711 /new
rm /base/gone; rm -r /base/dir; mkdir /base/dir; echo in > /base/dir/in
rm -r /base/kind; echo file > /base/kind; rm /base/file; mkdir /base/file; echo x > /base/file/x
ln /new /linked; ln -s /new /symlink; mkfifo /fifo; mknod /device c 1 3
printf x > "/line
break"; printf x > "/$(printf "bad\377name")"
truncate -s 64M /sparse; printf end | dd of=/sparse bs=1 seek=1000000 conv=notrunc 2> /dev/null
cd /tmp; for i in $(seq 200); do mkdir d && cd d; done; echo deep > end
cd /; chmod 751 /
echo did all
exec sleep 1000
"""
LOOK = r"""
cat /new; stat -c '%a %u:%g %h' /new; ls /base /base/dir /base/file; cat /base/kind
readlink /symlink; stat -c '%F' /fifo; stat -c '%t,%T' /device
for name in /line* /bad*; do cat "$name"; done; echo
stat -c '%s' /sparse; du -k /sparse | cut -f1; dd if=/sparse bs=1 skip=1000000 count=3 2> /dev/null; echo
cd /tmp; for i in $(seq 200); do cd d; done; cat end; stat -c %a /
echo seen
"""
SEEN = """\
new
4711 5:6 2
/base:
deeds
dir
file
kind
kept
look

/base/dir:
in

/base/file:
x
file
/new
fifo
1,3
xx
67108864
4
end
deep
751
seen
""".replace("kind\nkept\nlook", "kept\nkind\nlook")
STACK = """
services:
  web:
    image: {image}
    command: [sh, {script}]
    stop_grace_period: 0s
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for name in ("bin", "etc", "tmp", "base/dir/sub", "base/kind"):
        (top / name).mkdir(parents=True)
    install_busybox(f"{top}/bin")
    for name in ("gone", "kept", "file", "dir/old", "dir/sub/old", "kind/old"):
        (top / "base" / name).write_text(f"{name}\n")
    (top / "base/deeds").write_text(DEEDS)
    (top / "base/look").write_text(LOOK)
    return top


def images(story: Scenario) -> Path:
    return Path(story.engine.root) / "images"


def index(story: Scenario) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((images(story) / "index.json").read_text())["manifests"]
    return found


def blob(story: Scenario, digest: str) -> Path:
    return images(story) / "blobs/sha256" / digest.removeprefix("sha256:")


def manifest_of(story: Scenario, name: str) -> dict[str, Any]:
    (digest,) = [each["digest"] for each in index(story) if name in each.get("annotations", {}).values()]
    found: dict[str, Any] = json.loads(blob(story, digest).read_text())
    return found


def layers_of(story: Scenario, name: str) -> list[str]:
    return [each["digest"] for each in manifest_of(story, name)["layers"]]


@pytest.fixture
def committed(scenario: Tell, tree: Path) -> Iterator[tuple[Scenario, str]]:
    """A container has done its deeds, and is `mine:1` with its id."""
    story = scenario(STACK.format(image=f"rootfs:{tree}", script="/base/deeds"))
    story.step("up -d", eventually(log("web", "did all")))
    made = story.step('commit -a me -m "all of it" -c "ENV MODE=live" web mine:1', state("web", "running")).out.strip()
    yield story, made
    story.step("down -v")


def test_what_was_committed_is_what_containers_of_it_see(scenario: Tell, committed: tuple[Scenario, str]) -> None:
    _, made = committed
    for image in ("mine:1", "docker.io/library/mine:1", made):
        again = scenario(STACK.format(image=image, script="/base/look"))
        again.step("up -d", eventually(log("web", "seen")))
        assert "".join(f"{line}\n" for line in again.logs("web").splitlines()) == SEEN
        assert again.step("diff web").out == ""
        again.step("down")


def test_its_documents_say_where_it_comes_from(committed: tuple[Scenario, str], tree: Path) -> None:
    story, made = committed
    config = json.loads(blob(story, made).read_text())
    base, own = layers_of(story, "docker.io/library/mine:1")
    assert config["rootfs"] == {"type": "layers", "diff_ids": [base, own]}
    assert (config["os"], config["author"]) == ("linux", "me")
    assert config["config"]["Cmd"] == ["sh", "/base/deeds"]
    assert config["config"]["Env"][-1] == "MODE=live"
    assert [(each["created_by"], each.get("author"), each.get("comment")) for each in config["history"]] == [
        (f"rootfs:{tree}", None, "a directory, packed"),
        ("sh /base/deeds", "me", "all of it"),
    ]
    with tarfile.open(blob(story, own)) as tar:
        names = [each.name for each in tar]
        assert tar.getmember("linked").islnk() or tar.getmember("new").islnk()
    assert {"base/.wh.gone", "base/dir/.wh.old", "base/dir/.wh.sub", "base/kind", "base/file/x"} <= set(names)
    assert not {"base/kept", "bin/sh", "etc", ".wh.tmp"} & set(names)
    assert blob(story, own).stat().st_size < 10_000_000, "holes stay holes"


def test_a_directory_is_packed_once_and_only_while_it_is_the_same(committed: tuple[Scenario, str], tree: Path) -> None:
    story, _ = committed
    base, own = layers_of(story, "docker.io/library/mine:1")
    packed = blob(story, base).stat().st_ino
    story.step("commit web mine:2")
    assert layers_of(story, "docker.io/library/mine:2") == [base, own]
    assert blob(story, base).stat().st_ino == packed
    (tree / "base/kept").write_text("other\n")
    story.step("commit web mine:3")
    assert layers_of(story, "docker.io/library/mine:3")[0] != base


def test_a_name_goes_to_the_newest_and_containers_stay_what_they_are(
    scenario: Tell, committed: tuple[Scenario, str]
) -> None:
    _, first = committed
    user = scenario(
        STACK.format(image="mine:1", script="/base/deeds").replace(
            "/base/deeds", "-c, 'echo second > /2; exec sleep 1000'"
        )
    )
    user.step("up -d", state("web", "running"), eventually(diffed("A /2\n")))
    second = user.step("commit web mine:1").out.strip()
    assert first != second
    assert user.step("diff web").out == "A /2\n", "it is told from what it was made of"
    third = user.step("commit web mine:1").out.strip()
    parents = [len(json.loads(blob(user, each).read_text())["history"]) for each in (first, second, third)]
    assert parents == [2, 3, 3]
    killed = int(user.engine.status()["pid"])
    os.kill(killed, signal.SIGKILL)
    user.step("plan", out("RemoveContainer", "image mine:1 is another one by now"))
    user.step("up -d", state("web", "running"), eventually(diffed("C /2\n")))
    user.step("plan --detailed-exitcode")
    user.step("exec web cat /2", out("second"))
    user.step("down")
    story = scenario(STACK.format(image=first, script="/base/look"))
    story.step("up -d", eventually(log("web", "seen")))
    story.step("down")


def diffed(text: str) -> Check:
    def check(story: Scenario, _: object) -> str:
        found = story.run("diff", "web").out
        return "" if found == text else f"diff tells {found!r}"

    return check


def test_nothing_runs_while_it_is_made_unless_it_may(scenario: Tell, tree: Path) -> None:
    story = scenario(STACK.format(image=f"rootfs:{tree}", script="-c, 'exec sleep 1000'"))
    story.step("up -d")
    story.step("commit --pause=false web calm")
    story.step("commit web still", state("web", "running"))
    kinds = [json.loads(line)["action"] for line in story.step("events --json --since 1h --until 0s").out.splitlines()]
    assert kinds[-2:] == ["pause", "unpause"]
    assert kinds.count("pause") == 1
    story.step("stop")
    story.step("commit web stopped")
    story.step("commit nobody x", code=1)
    story.step('commit -c "RUN make" web x', err("O8-504"), code=1)
    story.step("commit web No", err("O8-500"), code=1)
    digest = f"sha256:{'0' * 64}"
    story.step(f"commit web shop@{digest}", err("O8-500", "help: leave the digest out: shop"), code=1)
    story.step("down")
    story = scenario(STACK.format(image="nothing:1", script="x"))
    story.step("up -d", err("O8-501", "orchestr8 commit SERVICE NAME", "stack.yml"), code=1)


def test_names_that_would_delete_are_left_out_and_told(scenario: Tell, tree: Path) -> None:
    script = "-c, 'cd /base; for i in $$(seq 30); do touch .wh.$$i; done; touch .wh.kept .wh..wh..opq; exec sleep 1000'"
    story = scenario(STACK.format(image=f"rootfs:{tree}", script=script))
    story.step("up -d", eventually(diffed_lines(33)))
    found = story.step("commit web mine:1", err("warning: '/base/.wh.", "and 22 more like these"))
    assert found.err.count("warning: ") == 11
    with tarfile.open(blob(story, layers_of(story, "docker.io/library/mine:1")[1])) as tar:
        assert tar.getnames() == [".", "base"]
    story.step("down")


def diffed_lines(count: int) -> Check:
    def check(story: Scenario, _: object) -> str:
        found = story.run("diff", "web").out.count("\n")
        return "" if found == count else f"diff tells {found} lines"

    return check


def test_a_thousand_levels_are_packed_and_unpacked(scenario: Tell, tree: Path) -> None:
    way = "cd /tmp; for i in $$(seq 1000); do mkdir -p d && cd d; done"
    story = scenario(
        STACK.format(image=f"rootfs:{tree}", script=f"-c, '{way}; echo deep > end; echo did all; exec sleep 1000'")
    )
    try:
        story.step("up -d", eventually(log("web", "did all")))
        story.step("commit web mine:1")
        story = scenario(STACK.format(image="mine:1", script=f"-c, '{way}; cat end; exec sleep 1000'"))
        story.step("up -d", eventually(log("web", "deep")), diffed(""))
        story.step("down")
    finally:
        remove_tree(f"{story.engine.root}/layers")  # deeper than what others delete


def test_a_path_that_nobody_could_unpack_is_refused_and_nothing_is_made(scenario: Tell, tree: Path) -> None:
    way = "cd /tmp; for i in $$(seq 2060); do mkdir d && cd d; done"
    story = scenario(STACK.format(image=f"rootfs:{tree}", script=f"-c, '{way}; echo did all; exec sleep 1000'"))
    story.step("up -d", eventually(log("web", "did all")))
    told = err("O8-651", "tmp/d/d", "are the most that can be unpacked", "help: move it further up, or delete it")
    story.step("commit web mine:1", told, state("web", "running"), code=1)
    kinds = [json.loads(line)["action"] for line in story.step("events --json --since 1h --until 0s").out.splitlines()]
    assert "pause" not in kinds
    assert not images(story).exists()  # it was seen before anything was begun
    story.step(f"export -o {tree}.tar web", told, code=1)
    assert not Path(f"{tree}.tar").exists()
    story.step("down")


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_an_engine_that_ends_over_it_leaves_nothing_half_made(scenario: Tell, tree: Path, end: signal.Signals) -> None:
    with (tree / "large").open("wb") as file:
        for _ in range(300):
            file.write(os.urandom(1 << 20))
    story = scenario(STACK.format(image=f"rootfs:{tree}", script="-c, 'exec sleep 1000'"))
    story.step("up -d")
    pid = int(story.engine.status()["pid"])
    with story.engine.start("commit", "web", "mine:1", cwd=story.directory, environment=story.environment) as commit:
        for _ in range(100_000):
            if any(each.name.endswith(".new") for each in (images(story) / "blobs/sha256").glob("*")):
                break
        else:
            raise AssertionError("the commit did not begin, or is over")
        os.kill(pid, end)
        commit.wait()
    story.step("ps", state("web", "running"))  # it stood still for that engine alone
    assert list((images(story) / "blobs/sha256").glob("*.new")) == []  # what was done by then is whole
    story.step("commit web mine:1", state("web", "running"))
    assert len(layers_of(story, "docker.io/library/mine:1")) == 2
    story.step("down")


def test_all_images_can_be_deleted_as_explain_says(committed: tuple[Scenario, str]) -> None:
    story, _ = committed
    story.step("up -d", state("web", "running"))
    root = story.engine.status()["root"]
    folders = [word for word in story.step("explain O8-505").out.split() if word.startswith("/var/lib/orchestr8/")]
    assert [Path(each).name for each in folders] == ["images", "layers", "bases"]
    story.step("engine stop")
    for folder in folders:
        shutil.rmtree(Path(root, Path(folder).name), ignore_errors=True)
    story.step("exec -T web true", state("web", "running"))
    story.step("commit web mine:1")
    assert len(layers_of(story, "docker.io/library/mine:1")) == 2
    story.step("restart web", state("web", "running"))
    story.step("down")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("how", ["fifo", "device", "link", "gone"])
def test_what_stands_in_place_of_passwd_is_not_opened(tmp_path: Path, how: str, count: int) -> None:
    """An image is what a container has made of it: to open a device may be to do something (a watchdog's begins to count)."""
    for name in ("upper", "lower"):
        (tmp_path / name / "etc").mkdir(parents=True)
    (tmp_path / "lower/etc/passwd").write_text("app:x:7:8::/home/app:/bin/sh\n")
    (tmp_path / "lower/etc/group").write_text("more:x:9:app\n")
    layers = (str(tmp_path / "upper"), str(tmp_path / "lower"))[:count]
    place = tmp_path / "upper/etc/passwd"
    assert find_user("app", (str(tmp_path / "upper"), str(tmp_path / "lower"))).uid == 7
    assert find_user("app", (str(tmp_path / "lower"),)).uid == 7
    if how == "fifo":
        os.mkfifo(place)
    elif how == "device":
        os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    elif how == "gone":
        os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))
    else:
        (tmp_path / "outside").write_text("app:x:0:0::/:/bin/sh\n")
        place.symlink_to(tmp_path / "outside")  # which is none of the image's
    watch = Inotify()
    watch.add(str(place), InotifyMask.OPEN)
    try:
        with pytest.raises(Orchestr8Error):
            find_user("app", layers)
        assert find_user("5", layers).uid == 5
        assert watch.read() == []
    finally:
        watch.close()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("how", ["loop", "directory"])
def test_what_cannot_be_read_as_passwd_is_none(tmp_path: Path, how: str, count: int) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name / "etc").mkdir(parents=True)
    place = tmp_path / "upper/etc/passwd"
    if how == "loop":
        place.symlink_to("passwd")
    else:
        place.mkdir()
    layers = (str(tmp_path / "upper"), str(tmp_path / "lower"))[:count]
    assert find_user("5", layers).uid == 5
    with pytest.raises(Orchestr8Error, match="has no user `app`"):
        find_user("app", layers)


@pytest.mark.parametrize("count", [1, 2])
def test_a_passwd_whose_bytes_lie_in_another_layer_is_refused(tmp_path: Path, count: int) -> None:
    for name in ("upper", "lower"):
        (tmp_path / name / "etc").mkdir(parents=True)
    (tmp_path / "upper/etc/passwd").write_bytes(bytes(30))
    os.setxattr(tmp_path / "upper/etc/passwd", "trusted.overlay.metacopy", b"")
    with pytest.raises(OperationFailed, match="the kernel has metacopy on"):
        find_user("5", (str(tmp_path / "upper"), str(tmp_path / "lower"))[:count])


def test_users_and_volumes_come_from_all_layers_of_an_image(scenario: Tell, tree: Path) -> None:
    (tree / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\n")
    (tree / "data").mkdir()
    (tree / "data/below").write_text("below\n")
    deeds = "-c, 'echo above > /data/above; chown 7 /data/above; echo did all; exec sleep 1000'"
    story = scenario(STACK.format(image=f"rootfs:{tree}", script=deeds))
    story.step("up -d", eventually(log("web", "did all")))
    story.step("commit -c 'USER app' web mine:1")
    script = "-c, 'id -u; cat /data/below /data/above; stat -c %u /data/above; exec sleep 1000'"
    for more in ("volumes: [v:/data]", "userns_mode: private"):
        story = scenario(STACK.format(image="mine:1", script=script) + f"    {more}\nvolumes: {{v: {{}}}}\n")
        story.step("up -d", eventually(log("web", "7")))
        assert eventually_lines(story) == ["7", "below", "above", "7"]
        story.step("down -v")


def eventually_lines(story: Scenario) -> list[str]:
    story.check(eventually(log("web", "above")))
    return [line.strip() for line in story.logs("web").splitlines()]


def said(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, errors="surrogateescape")
    assert done.returncode == 0, done.stderr
    return done.stdout


@requires("program:skopeo")
def test_skopeo_reads_it(committed: tuple[Scenario, str], tmp_path: Path) -> None:
    story, made = committed
    place = f"oci:{images(story)}:docker.io/library/mine:1"
    assert json.loads(said("skopeo", "inspect", place))["Layers"] == layers_of(story, "docker.io/library/mine:1")
    assert json.loads(said("skopeo", "inspect", "--raw", place))["config"]["digest"] == made
    said("skopeo", "--policy", policy(tmp_path), "copy", place, f"docker-archive:{tmp_path}/mine.tar:mine:1")
    said("skopeo", "--policy", policy(tmp_path), "copy", place, f"oci:{tmp_path}/copy:mine")


def policy(folder: Path) -> str:
    path = folder / "policy.json"
    path.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    return str(path)


@requires("program:skopeo", "program:umoci")
def test_an_image_upon_a_compressed_one_is_unpacked_by_others(
    scenario: Tell, committed: tuple[Scenario, str], tmp_path: Path
) -> None:
    story, _ = committed
    place = f"oci:{images(story)}:docker.io/library"
    copy = ("skopeo", "--policy", policy(tmp_path), "copy")
    said(*copy, "--dest-compress-format", "gzip", "--dest-compress", f"{place}/mine:1", f"oci:{tmp_path}/small:1")
    said(*copy, f"oci:{tmp_path}/small:1", f"{place}/small:1")
    story.step("down")
    story = scenario(STACK.format(image="small:1", script="-c, 'echo more >/base/more; echo did all; exec sleep 1000'"))
    story.step("up -d", eventually(log("web", "did all")))
    story.step("commit web more:1")
    kinds = [each["mediaType"].rpartition(".")[2] for each in manifest_of(story, "docker.io/library/more:1")["layers"]]
    assert kinds == ["tar+gzip", "tar+gzip", "tar"]
    said("umoci", "unpack", "--image", f"{images(story)}:docker.io/library/more:1", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/base/more").read_text() == "more\n"
    story.step("down")


@requires("program:umoci")
def test_umoci_unpacks_it_as_it_was(committed: tuple[Scenario, str], tmp_path: Path) -> None:
    """Its own words of what it unpacked, by the tree: the same as an export of the container."""
    story, _ = committed
    copy = tmp_path / "oci"
    shutil.copytree(images(story), copy)
    said("umoci", "unpack", "--image", f"{copy}:docker.io/library/mine:1", str(tmp_path / "bundle"))
    top = tmp_path / "bundle/rootfs"
    story.step(f"export -o {tmp_path}/web.tar web")
    with tarfile.open(tmp_path / "web.tar") as tar:
        expected = {each.name: (each.mode, each.uid, each.gid, int(each.mtime)) for each in tar if not each.issym()}
    skeleton = {name for name in expected if name.split("/")[0] in {"proc", "sys", "dev"}}
    skeleton |= {"etc/hosts", "etc/hostname", "etc/resolv.conf", "etc"}
    found = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if not os.path.islink(path):
                where = os.fsdecode(os.path.relpath(path, os.fsencode(top)))
                found[where] = (status.st_mode & 0o7777, status.st_uid, status.st_gid, int(status.st_mtime))
    assert {name for name in expected if name not in skeleton} == {name for name in found if name not in skeleton}
    links = {"linked", "new"}  # one file
    assert {n: v for n, v in found.items() if n not in skeleton | links} == {
        n: v for n, v in expected.items() if n not in skeleton | links
    }
    assert (top / "sparse").stat().st_size == 64 << 20


def test_podman_runs_it(committed: tuple[Scenario, str]) -> None:
    if not root_of("podman"):
        pytest.skip("this machine lacks podman: `make programs-part` has Debian's (or set ORCHESTR8_CALLERS)")
    story, _ = committed
    with Podman.opened() as podman:
        shutil.copytree(images(story), f"{podman.folder}/images")
        pulled = podman("pull", "-q", f"oci:{podman.inside}/images:docker.io/library/mine:1")
        assert pulled.code == 0, pulled.stderr
        done = podman("run", "--rm", "--network", "none", pulled.stdout.split()[-1], "sh", "/base/look")
        # It unpacks holes as zeros, and gives each root directory a mode of its own.
        theirs = SEEN.replace("\n4\nend\n", "\n65536\nend\n").replace("\n751\n", "\n555\n")
        assert (done.stdout, done.code) == (theirs, 0), done.stderr
