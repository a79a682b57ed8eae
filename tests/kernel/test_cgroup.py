"""Groups on a fake cgroup filesystem: which directories are made, what is written where, in what order."""

import os
from pathlib import Path

import pytest

from orchestr8.errors import Conflict, InvalidInput, OperationFailed
from orchestr8.kernel import cgroup_files
from orchestr8.kernel.cgroup import CgroupTree, Layout
from orchestr8.kernel.cgroup_mounts import Mounts
from tests.kernel.fake_cgroups import ID, V2_CORE, FakeKernel, tree

LIMITS = {
    "memory": {"limit": 64 << 20, "swap": 128 << 20},
    "cpu": {"quota": 150_000, "period": 100_000},
    "pids": {"limit": 50},
}


@pytest.mark.parametrize(
    ("fixture", "layout", "controllers"),
    [
        ("v1", Layout.V1, {"cpu", "cpuacct", "memory", "pids", "devices", "freezer"}),
        ("hybrid", Layout.HYBRID, {"cpu", "memory", "pids", "devices"}),
        ("v2", Layout.V2, {"cpu", "memory", "pids"}),
    ],
)
def test_the_layout_is_read_from_the_mounts(
    fixture: str, layout: Layout, controllers: set[str], request: pytest.FixtureRequest
) -> None:
    found = tree(request.getfixturevalue(fixture))
    assert (found.layout, found.controllers) == (layout, controllers)


def test_of_several_mounts_of_a_hierarchy_the_first_counts(kernel: FakeKernel) -> None:
    kernel.mount_v1("memory")
    again = kernel.mountinfo.replace(str(kernel.root), "/elsewhere")
    found = CgroupTree.detect("ab12", kernel.mountinfo + again)
    assert found.create(ID, {}).tasks == (f"{kernel.root}/memory/orchestr8-ab12/{ID}/tasks",)


def test_a_space_in_a_mount_point_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "with space"
    root.mkdir()
    kernel = FakeKernel(root, monkeypatch)
    kernel.mount_v1("pids")
    found = CgroupTree.detect("ab12", kernel.mountinfo.replace("with space", r"with\040space"))
    assert found.create(ID, {}).tasks == (f"{root}/pids/orchestr8-ab12/{ID}/tasks",)


def test_a_machine_without_cgroups_is_told_what_to_mount() -> None:
    with pytest.raises(OperationFailed, match="no cgroup hierarchy is mounted"):
        CgroupTree.detect("ab12", "22 27 0:21 / /proc rw,relatime - proc proc rw\n")


def test_the_way_out_of_the_shims_group_is_where_this_process_is_and_else_the_root(hybrid: FakeKernel) -> None:
    hybrid.mkdir(f"{hybrid.root}/memory/session")
    own = (
        "4:memory:/session\n3:pids:/gone\n2:devices:/orchestr8-ab12/shims\n1:cpu:/\n"
        "9:name=systemd:/../outside\n5:freezer:/session\n0::/orchestr8-ab12/shims\n"
    )
    root = str(hybrid.root)
    assert tree(hybrid).home(own) == [
        [f"{root}/cpu/tasks"],
        [f"{root}/devices/tasks"],
        [f"{root}/memory/session/tasks", f"{root}/memory/tasks"],
        [f"{root}/name=systemd/tasks"],
        [f"{root}/pids/tasks"],
        [f"{root}/unified/cgroup.procs"],
    ]


def test_controllers_that_share_a_mount_are_left_once(v1: FakeKernel) -> None:
    own = "2:cpu,cpuacct:/\n4:memory:/\n"
    mounts = ["cpu,cpuacct", "devices", "freezer", "memory", "pids"]
    assert tree(v1).home(own) == [[f"{v1.root}/{mount}/tasks"] for mount in mounts]


def test_on_v1_each_limit_has_its_file_and_devices_are_refused_first(v1: FakeKernel) -> None:
    found = tree(v1)
    found.prepare()
    place = found.create(ID, LIMITS)
    group = f"orchestr8-ab12/{ID}"
    assert v1.writes == [
        f"memory/{group}/memory.limit_in_bytes 67108864",
        f"memory/{group}/memory.memsw.limit_in_bytes 134217728",
        f"cpu,cpuacct/{group}/cpu.cfs_period_us 100000",
        f"cpu,cpuacct/{group}/cpu.cfs_quota_us 150000",
        f"pids/{group}/pids.max 50",
        f"devices/{group}/devices.deny a",
        *(
            f"devices/{group}/devices.allow {rule}"
            for rule in (
                *("c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm"),
                *("c 5:2 rwm", "c 136:* rwm", "c *:* m", "b *:* m"),
            )
        ),
    ]
    assert (place.group, place.leaf, place.warnings) == (group, "", ())
    assert place.tasks == tuple(
        f"{v1.root}/{mount}/{group}/tasks" for mount in ("cpu,cpuacct", "devices", "freezer", "memory", "pids")
    )
    assert place.files == place.tasks


def test_a_hybrid_machine_gets_a_leaf_in_cgroup2_beside_its_limits(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    place = found.create(ID, {"pids": {"limit": 7}})
    group = f"orchestr8-ab12/{ID}"
    assert place.leaf == f"{hybrid.root}/unified/{group}"
    assert place.files == (
        *(f"{hybrid.root}/{mount}/{group}/tasks" for mount in ("cpu", "devices", "memory", "pids", "cpuacct")),
        f"{hybrid.root}/unified/{group}/cgroup.procs",
    )
    assert [write for write in hybrid.writes if "devices" not in write] == [f"pids/{group}/pids.max 7"]


def test_shims_leave_the_service_that_systemd_started_them_in(hybrid: FakeKernel) -> None:
    assert tree(hybrid).prepare().files == (
        *(f"{hybrid.root}/{mount}/orchestr8-ab12/shims/tasks" for mount in ("cpu", "devices", "memory", "pids")),
        f"{hybrid.root}/name=systemd/orchestr8-ab12/shims/tasks",
        f"{hybrid.root}/unified/orchestr8-ab12/shims/cgroup.procs",
    )


def test_on_v2_controllers_are_turned_on_down_to_the_parent_and_a_program_filters_devices(v2: FakeKernel) -> None:
    found = tree(v2)
    found.prepare()
    place = found.create(ID, LIMITS)
    group = f"orchestr8-ab12/{ID}"
    assert v2.writes == [
        "cgroup/cgroup.subtree_control +cpu",
        "cgroup/cgroup.subtree_control +memory",
        "cgroup/cgroup.subtree_control +pids",
        "cgroup/orchestr8-ab12/cgroup.subtree_control +cpu",
        "cgroup/orchestr8-ab12/cgroup.subtree_control +memory",
        "cgroup/orchestr8-ab12/cgroup.subtree_control +pids",
        f"cgroup/{group}/memory.max 67108864",
        f"cgroup/{group}/memory.swap.max 67108864",
        f"cgroup/{group}/cpu.max 150000 100000",
        f"cgroup/{group}/pids.max 50",
        f"attach cgroup/{group}",
    ]
    assert (place.leaf, place.tasks) == (f"{v2.root}/cgroup/{group}", ())
    assert place.files == (f"{v2.root}/cgroup/{group}/cgroup.procs",)
    found.close()


def test_controllers_that_are_on_already_are_left_alone(v2: FakeKernel) -> None:
    (v2.root / "cgroup/cgroup.subtree_control").write_text("cpuset cpu io memory pids\n")
    tree(v2).prepare()
    assert not [write for write in v2.writes if write.startswith("cgroup/cgroup.")]


def test_a_controller_that_a_nested_parent_refuses_is_told_with_its_limit(v2: FakeKernel) -> None:
    v2.refused["cgroup/cgroup.subtree_control"] = OSError(16, "Device or resource busy")
    found = tree(v2)
    found.prepare()
    v2._hierarchies["cgroup"] = V2_CORE  # what the kernel shows in a group whose parent enables nothing
    place = found.create(ID, {"memory": {"limit": 1 << 30}})
    assert place.warnings == (
        f"mem_limit 1G is not in force: there is no {v2.root}/cgroup/orchestr8-ab12/{ID}/memory.max",
    )
    found.close()


def test_a_limit_without_a_controller_is_said_and_not_crashed_on(kernel: FakeKernel) -> None:
    kernel.mount_v1("cpu")
    place = tree(kernel).create(ID, LIMITS)
    assert place.warnings == (
        "mem_limit 64M is not in force: no memory controller is mounted",
        "memswap_limit 128M is not in force: no memory controller is mounted",
        "pids_limit 50 is not in force: no pids controller is mounted",
        "devices are not filtered: no devices controller is mounted",
    )


def test_a_kernel_without_swap_accounting_limits_memory_alone(hybrid: FakeKernel) -> None:
    hybrid._hierarchies["memory"] = {"tasks": "", "cgroup.procs": "", "memory.limit_in_bytes": ""}
    place = tree(hybrid).create(ID, {"memory": {"limit": 1 << 20, "swap": 1 << 20}})
    assert place.warnings == ()


def test_a_refused_limit_names_the_file_and_leaves_no_group(v1: FakeKernel) -> None:
    found = tree(v1)
    found.prepare()
    before = v1.directories()
    v1.refused[f"pids/orchestr8-ab12/{ID}/pids.max"] = OSError(22, "Invalid argument")
    with pytest.raises(OperationFailed, match=r"cannot set pids_limit 50: .*/pids\.max: Invalid argument"):
        found.create(ID, LIMITS)
    assert v1.directories() == before


def test_creating_again_gives_a_fresh_group_but_never_takes_one_with_processes(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.create(ID, {})
    used = hybrid.root / f"memory/orchestr8-ab12/{ID}/memory.oom_control"
    used.write_text("oom_kill 3\n")
    found.create(ID, {})
    assert found.counters(ID).oom_kills == 0
    (hybrid.root / f"unified/orchestr8-ab12/{ID}/cgroup.procs").write_text("4711\n")
    with pytest.raises(Conflict, match="still has processes"):
        found.create(ID, {})


def test_parents_that_somebody_removed_are_made_again(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.prepare()
    found.remove_parent()
    assert found.create(ID, {}).leaf


@pytest.mark.parametrize(("fixture", "file"), [("v1", "memory"), ("hybrid", "memory"), ("v2", "cgroup")])
def test_oom_kills_are_counted_by_the_kernel(fixture: str, file: str, request: pytest.FixtureRequest) -> None:
    kernel = request.getfixturevalue(fixture)
    found = tree(kernel)
    found.create(ID, {})
    name = "memory.events" if fixture == "v2" else "memory.oom_control"
    (kernel.root / file / f"orchestr8-ab12/{ID}" / name).write_text("under_oom 0\noom_kill 2\n")
    assert found.counters(ID).oom_kills == 2
    found.remove(ID)
    assert found.counters(ID).oom_kills == 0
    found.close()


def test_processes_of_nested_groups_belong_to_the_container(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    place = found.create(ID, {})
    hybrid.mkdir(f"{place.leaf}/nested")
    Path(f"{place.leaf}/cgroup.procs").write_text("30\n4\n")
    Path(f"{place.leaf}/nested/cgroup.procs").write_text("5\n")
    assert found.pids(ID) == [4, 5, 30]


def test_killing_is_one_write_where_cgroup2_can(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.create(ID, {})
    hybrid.writes.clear()
    found.kill(ID)
    assert hybrid.writes == [f"unified/orchestr8-ab12/{ID}/cgroup.kill 1"]


def killer(kernel: FakeKernel, procs: Path, unified: str = "") -> CgroupTree:
    """A tree whose signals are noted and empty the group."""

    def kill(pid: int, number: int) -> None:
        kernel.writes.append(f"signal {number} to {pid}")
        procs.write_text("")

    hierarchies = {} if unified else {name: f"{kernel.root}/{name}" for name in ("freezer", "pids")}
    return CgroupTree("ab12", Mounts(hierarchies, unified), kill=kill)


def test_killing_on_v1_freezes_signals_and_always_thaws(kernel: FakeKernel) -> None:
    kernel.mount_v1("freezer")
    kernel.mount_v1("pids")
    procs = kernel.root / f"freezer/orchestr8-ab12/{ID}/cgroup.procs"
    found = killer(kernel, procs)
    found.create(ID, {})
    procs.write_text("42\n")
    kernel.writes.clear()
    found.kill(ID)
    state = f"freezer/orchestr8-ab12/{ID}/freezer.state"
    assert kernel.writes == [f"{state} FROZEN", "signal 9 to 42", f"{state} THAWED"]


def test_killing_on_an_old_cgroup2_freezes_signals_and_thaws(kernel: FakeKernel) -> None:
    kernel.mount_v2("cgroup", "pids")
    del kernel._hierarchies["cgroup"]["cgroup.kill"]
    procs = kernel.root / f"cgroup/orchestr8-ab12/{ID}/cgroup.procs"
    found = killer(kernel, procs, unified=f"{kernel.root}/cgroup")
    found.create(ID, {})
    procs.write_text("42\n")
    kernel.writes.clear()
    found.kill(ID)
    freeze = f"cgroup/orchestr8-ab12/{ID}/cgroup.freeze"
    assert kernel.writes == [f"{freeze} 1", "signal 9 to 42", f"{freeze} 0"]
    found.close()


def test_killing_a_group_that_is_gone_is_fine(hybrid: FakeKernel) -> None:
    tree(hybrid).kill(ID)


def test_removing_takes_nested_groups_first_and_is_safe_to_repeat(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.prepare()
    found.create(ID, {})
    found.remove(ID)
    before = hybrid.directories()
    place = found.create(ID, {})
    hybrid.mkdir(f"{place.leaf}/a")
    hybrid.mkdir(f"{place.leaf}/a/b")
    found.remove(ID)
    found.remove(ID)
    assert hybrid.directories() == before


def test_removing_waits_for_the_last_process_to_leave(kernel: FakeKernel) -> None:
    kernel.mount_v1("pids")
    procs = kernel.root / f"pids/orchestr8-ab12/{ID}/cgroup.procs"
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            procs.write_text("")

    found = CgroupTree("ab12", Mounts({"pids": f"{kernel.root}/pids"}), sleep=sleep)
    found.create(ID, {})
    procs.write_text("42\n")
    found.remove(ID)
    assert pauses == [0.001, 0.002, 0.004]
    assert found.containers() == set()


def test_a_group_that_stays_busy_is_an_error_after_four_seconds(kernel: FakeKernel) -> None:
    kernel.mount_v1("pids")
    pauses: list[float] = []
    found = CgroupTree("ab12", Mounts({"pids": f"{kernel.root}/pids"}), sleep=pauses.append)
    found.create(ID, {})
    (kernel.root / f"pids/orchestr8-ab12/{ID}/cgroup.procs").write_text("42\n")
    with pytest.raises(OperationFailed, match=r"cannot remove the cgroup .*: Device or resource busy"):
        found.remove(ID)
    assert sum(pauses) == pytest.approx(4.095)


def test_leftovers_of_a_crash_are_found_in_any_hierarchy(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.prepare()
    hybrid.mkdir(f"{hybrid.root}/pids/orchestr8-ab12/aaaa")
    hybrid.mkdir(f"{hybrid.root}/unified/orchestr8-ab12/bbbb")
    assert found.containers() == {"aaaa", "bbbb"}


def test_the_last_engine_leaves_nothing(hybrid: FakeKernel) -> None:
    before = hybrid.directories()
    found = tree(hybrid)
    found.prepare()
    found.create(ID, {})
    found.remove(ID)
    found.remove_parent()
    assert hybrid.directories() == before


def test_an_engine_that_was_born_among_the_shims_leaves_before_their_group_is_removed(
    v1: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tree(v1)
    found.prepare()
    shims = v1.root / "memory/orchestr8-ab12/shims/cgroup.procs"
    shims.write_text(f"{os.getpid()}\n")
    moved: list[str] = []

    def move(path: str, *texts: str) -> None:
        moved.extend(f"{v1.short(path)} {text}" for text in texts)
        shims.write_text("")

    monkeypatch.setattr(cgroup_files, "write", move)
    found.remove_parent()
    assert moved == [f"memory/cgroup.procs {os.getpid()}"]


def test_a_container_sees_the_hierarchies_that_it_is_in(v1: FakeKernel, tmp_path: Path) -> None:
    assert tree(v1).views({}) == [
        ("cpu,cpuacct", "cgroup", "cpu,cpuacct"),
        *((name, "cgroup", name) for name in ("devices", "freezer", "memory", "pids")),
    ]
    assert ("blkio", "cgroup", "blkio") in tree(v1).views({"blockIO": {"weight": 20}})
    v1.mount_v2("unified")
    assert tree(v1).views({})[-1] == ("unified", "cgroup2", "")


def test_on_v2_a_container_sees_one_tree(v2: FakeKernel) -> None:
    assert tree(v2).views({"cpu": {"cpus": "0"}}) == [("", "cgroup2", "")]


def test_a_group_that_was_made_is_there(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    assert not found.exists(ID)
    made = found.create(ID, {})
    assert tree(hybrid).exists(ID)
    assert tree(hybrid).planned(ID, {}) == made


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a\nb", "ä"])
def test_a_name_that_could_leave_the_parent_is_refused(name: str, hybrid: FakeKernel) -> None:
    with pytest.raises(InvalidInput, match="cannot name a cgroup"):
        tree(hybrid).create(name, {})


def test_a_group_of_which_a_crash_has_left_a_part_is_there_still(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.prepare()
    hybrid.mkdir(f"{hybrid.root}/pids/orchestr8-ab12/{ID}")
    assert found.exists(ID)
    found.remove(ID)
    assert not found.exists(ID)
