"""Groups on the real kernel, whatever mixture of v1 and v2 this machine has. Below a parent of the test's own."""

import itertools
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.kernel import cgroup_enter, cgroup_files, device_filter
from orchestr8.kernel.cgroup import CgroupTree, Layout
from orchestr8.kernel.clone import clone
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, DevicePolicy, DeviceRule
from orchestr8.kernel.mount import MountAttr, MountFlag, move_mount, new_filesystem, set_propagation
from orchestr8.kernel.namespaces import CloneFlag, unshare
from orchestr8.runtime.oomwatch import OomWatch
from orchestr8.runtime.poller import Poller

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

InChild = Callable[[Callable[[], Any]], Any]
ID = "0123456789ab"
_numbers = itertools.count()


def mounts_of(tree: CgroupTree) -> list[str]:
    return [*tree._mounts(), *tree._named]


@pytest.fixture
def tree() -> Iterator[CgroupTree]:
    tree = CgroupTree.detect(f"test{os.getpid():x}x{next(_numbers)}")
    tree.prepare()
    yield tree
    for container in tree.containers():
        tree.kill(container)
        tree.remove(container)
    tree.remove_parent()
    tree.close()
    assert [mount for mount in mounts_of(tree) if os.path.exists(f"{mount}/{tree.parent}")] == []


def groups_of(pid: int | str) -> set[str]:
    lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    return {line.split(":", 2)[2] for line in lines}


def sleeper(tree: CgroupTree, container: str) -> int:
    """A child in the group, waiting to be killed; it has entered when this returns."""
    files = tree.planned(container, {}).files
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            cgroup_enter.enter(files)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    return pid


def test_a_child_that_enters_is_in_every_group_and_is_seen_there(tree: CgroupTree) -> None:
    tree.create(ID, {})
    pid = sleeper(tree, ID)
    assert f"/{tree.parent}/{ID}" in groups_of(pid)
    assert tree.pids(ID) == [pid]
    tree.kill(ID)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert tree.pids(ID) == []
    tree.remove(ID)
    assert tree.containers() == set()


def test_a_child_is_cloned_into_the_leaf_and_takes_the_v1_groups_itself(tree: CgroupTree) -> None:
    place = tree.create(ID, {})
    if not place.leaf:
        pytest.skip("no cgroup2 is mounted")
    leaf_fd = os.open(place.leaf, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    reader, writer = os.pipe()
    pid, pidfd = clone(cgroup_fd=leaf_fd)
    if pid == 0:
        try:
            cgroup_enter.enter(place.tasks)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    os.read(reader, 1)
    for fd in (reader, leaf_fd, pidfd):
        os.close(fd)
    assert f"/{tree.parent}/{ID}" in groups_of(pid)
    assert tree.pids(ID) == [pid]
    tree.kill(ID)
    os.waitpid(pid, 0)


def test_killing_reaches_children_that_left_the_session(tree: CgroupTree) -> None:
    files = tree.create(ID, {}).files
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            cgroup_enter.enter(files)
            os.setsid()
            for _ in range(3):
                if os.fork() == 0:
                    os.setsid()
                    os.write(writer, b"x")
                    signal.pause()
            signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    started = b""
    while len(started) < 3:
        started += os.read(reader, 3)
    assert len(tree.pids(ID)) == 4
    tree.kill(ID)
    os.waitpid(pid, 0)
    assert os.read(reader, 1) == b""  # the last holder of the pipe is gone
    os.close(reader)
    tree.remove(ID)


def greedy_process(files: Iterable[str]) -> int:
    """Takes 64 MiB, in a group."""
    pid = os.fork()
    if pid == 0:
        try:
            cgroup_enter.enter(files)
            _greedy = [bytearray(os.urandom(1 << 20)) for _ in range(64)]
        finally:
            os._exit(0)
    return pid


def test_a_memory_limit_kills_the_greedy_process_and_is_counted(tree: CgroupTree) -> None:
    if "memory" not in tree.controllers:
        pytest.skip("no memory controller")
    place = tree.create(ID, {"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    pid = greedy_process(place.files)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert tree.counters(ID).oom_kills == 1
    assert tree.create(ID, {}).group == place.group
    assert tree.counters(ID).oom_kills == 0


def test_news_of_lack_of_memory_come_by_themselves_and_nothing_else_does(tree: CgroupTree) -> None:
    if "memory" not in tree.controllers:
        pytest.skip("no memory controller")
    place = tree.create(ID, {"memory": {"limit": 16 << 20, "swap": 16 << 20}})
    news: list[int] = []
    poller = Poller()
    watch = OomWatch(poller, tree.oom_file(ID), lambda: news.append(watch.kills()))
    assert not poller.wait(0)
    pid = greedy_process(place.files)
    while not news:
        poller.wait()
    os.waitpid(pid, 0)
    watch.look()
    told = len(news)
    assert watch.kills() == 1
    assert not poller.wait(0)
    watch.look()
    assert len(news) == told, "what was told is not told again"
    tree.remove(ID)
    watch.look()
    assert (len(news), watch.kills()) == (told, 0), "the removal of a group is no news"
    watch.close()
    poller.close()


def test_a_machine_that_does_not_account_memory_has_nothing_to_watch() -> None:
    poller = Poller()
    watch = OomWatch(poller, "", lambda: None)
    watch.look()
    assert watch.kills() == 0
    watch.close()
    poller.close()


def test_a_pids_limit_stops_a_fork_bomb(tree: CgroupTree, in_child: InChild) -> None:
    if "pids" not in tree.controllers:
        pytest.skip("no pids controller")
    place = tree.create(ID, {"pids": {"limit": 3}})

    def child() -> int:
        cgroup_enter.enter(place.files)
        children = []
        try:
            for _ in range(10):
                pid = os.fork()
                if pid == 0:
                    signal.pause()
                children.append(pid)
        except BlockingIOError:
            return len(children)
        finally:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return -1

    assert in_child(child) == 2


def test_a_cpu_limit_is_what_the_kernel_says_it_is(tree: CgroupTree) -> None:
    if "cpu" not in tree.controllers:
        pytest.skip("no cpu controller")
    tree.create(ID, {"cpu": {"quota": 25_000, "period": 100_000}})
    name = "cpu.max" if tree.layout is Layout.V2 else "cpu.cfs_quota_us"
    found = [Path(mount, tree.parent, ID, name) for mount in tree._mounts()]
    assert [path.read_text().split()[0] for path in found if path.exists()] == ["25000"]


def test_only_harmless_devices_can_be_opened(tree: CgroupTree, in_child: InChild, tmp_path: Path) -> None:
    place = tree.create(ID, {})

    def child() -> dict[str, str]:
        cgroup_enter.enter(place.files)
        return probe_devices(tmp_path)

    assert in_child(child) == EXPECTED_DEVICES


EXPECTED_DEVICES = {"/dev/null": "ok", "/dev/zero": "ok", "/dev/urandom": "ok", "/dev/kmsg": "EPERM", "mknod": "ok"}


def probe_devices(tmp_path: Path) -> dict[str, str]:
    results = {}
    for device in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/kmsg"):
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_NONBLOCK))
            results[device] = "ok"
        except PermissionError:
            results[device] = "EPERM"
    os.mknod(tmp_path / "node", 0o060600, os.makedev(8, 0))
    results["mknod"] = "ok" if (tmp_path / "node").is_block_device() else "missing"
    return results


def test_the_device_program_of_cgroup2_does_the_same(tree: CgroupTree, in_child: InChild, tmp_path: Path) -> None:
    """On a hybrid machine v1 does this job; here the program is on the leaf alone."""
    place = tree.create(ID, {})
    if not place.leaf:
        pytest.skip("no cgroup2 is mounted")
    program = device_filter.load(DevicePolicy(False, DEFAULT_DEVICES))
    device_filter.attach(program, place.leaf)
    os.close(program)  # the group keeps it

    def child() -> dict[str, str]:
        cgroup_enter.enter([f"{place.leaf}/cgroup.procs"])
        return probe_devices(tmp_path)

    assert in_child(child) == EXPECTED_DEVICES


def test_an_access_right_is_told_from_another(tree: CgroupTree, in_child: InChild) -> None:
    place = tree.create(ID, {})
    if not place.leaf:
        pytest.skip("no cgroup2 is mounted")
    program = device_filter.load(DevicePolicy(False, (DeviceRule("c", 1, 5, "r"),)))
    device_filter.attach(program, place.leaf)
    os.close(program)

    def child() -> list[str]:
        cgroup_enter.enter([f"{place.leaf}/cgroup.procs"])
        results = []
        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
            try:
                os.close(os.open("/dev/zero", flags))
                results.append("ok")
            except PermissionError:
                results.append("EPERM")
        return results

    assert in_child(child) == ["ok", "EPERM", "EPERM"]


def test_shims_have_a_group_that_limits_nothing(tree: CgroupTree, in_child: InChild) -> None:
    place = tree.prepare()

    def child() -> list[str]:
        cgroup_enter.enter(place.files)
        os.close(os.open("/dev/kmsg", os.O_RDONLY))
        return sorted(groups_of("self"))

    assert f"/{tree.parent}/shims" in in_child(child)


def test_nested_groups_are_removed_with_their_parent(tree: CgroupTree) -> None:
    place = tree.create(ID, {})
    for directory in ([place.leaf] if place.leaf else []) + [os.path.dirname(file) for file in place.tasks]:
        os.makedirs(f"{directory}/a/b")
    tree.remove(ID)
    tree.remove(ID)
    assert tree.containers() == set()


def test_creating_a_group_costs_about_a_millisecond(tree: CgroupTree, record_property: Callable[..., None]) -> None:
    """No bound by the clock: the figure is recorded, and stands in the report of the run."""
    limits = {"memory": {"limit": 64 << 20}, "cpu": {"quota": 100_000}, "pids": {"limit": 100}}
    costs = []
    for number in range(20):
        start = time.perf_counter()
        tree.create(f"{number:012x}", limits)
        costs.append(time.perf_counter() - start)
    record_property("create_ms_median", statistics.median(costs) * 1000)
    assert len(tree.containers()) == 20


def test_an_engine_in_a_container_limits_below_its_own_group(tree: CgroupTree, in_child: InChild) -> None:
    """A privileged container with a cgroup namespace, as an engine finds it: its group is the root of what it sees."""
    outside = tree.create(ID, {}).files
    mounts = tree._mounts_found

    def child() -> dict[str, Any]:
        cgroup_enter.enter(outside)
        unshare(CloneFlag.NEWNS | CloneFlag.NEWCGROUP)
        set_propagation("/", MountFlag.REC | MountFlag.PRIVATE)
        for mount in {*mounts.hierarchies.values(), mounts.unified} - {""}:
            options = [(name, None) for name, point in mounts.hierarchies.items() if point == mount]
            kind = "cgroup" if options else "cgroup2"
            options = [("none", None), ("name", options[0][0][5:])] if options and "=" in options[0][0] else options
            inner = new_filesystem(kind, options, MountAttr(0), source="cgroup")
            over = os.open(mount, os.O_PATH | os.O_CLOEXEC)
            move_mount(inner, over)
            os.close(inner)
            os.close(over)
        seen = "\n".join(
            reversed(Path("/proc/self/mountinfo").read_text().splitlines())
        )  # what was mounted last is on top
        nested = CgroupTree.detect("nested", seen)
        home = nested.home()
        nested.prepare()
        place = nested.create("inner", {"pids": {"limit": 7}, "memory": {"limit": 64 << 20}})
        pid = os.fork()
        if pid == 0:
            cgroup_enter.enter(place.files)
            os._exit(0 if "/orchestr8-nested/inner" in groups_of("self") else 1)
        entered = os.waitpid(pid, 0)[1]
        limits = [Path(f"{directory}/pids.max") for directory in nested._directories("inner")]
        result = {
            "entered": entered,
            "pids": [file.read_text() for file in limits if file.exists()],
            "warnings": place.warnings,
            "home": sorted(
                {candidates[0].rpartition("/")[0] for candidates in home} - set(nested._mounts()) - set(nested._named)
            ),
        }
        nested.remove("inner")
        nested.remove_parent()
        nested.close()
        return result

    assert in_child(child) == {"entered": 0, "pids": ["7\n"], "warnings": [], "home": []}
    directories = [each for each in tree._directories(ID) if os.path.isdir(each)]
    assert [child for each in directories for child in cgroup_files.children(each)] == []
