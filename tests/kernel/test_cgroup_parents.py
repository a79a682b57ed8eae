"""What the groups above a container's get, and what is said of limits that cannot be set, on fake kernels."""

import errno
import os
from pathlib import Path

import pytest

from orchestr8.errors import InvalidInput, OperationFailed
from orchestr8.kernel import cgroup_counters, cgroup_files
from orchestr8.kernel.cgroup import CgroupTree
from orchestr8.kernel.cgroup_counters import Counters
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, EVERY_DEVICE, DeviceRule, oci_devices
from tests.kernel.fake_cgroups import ID, FakeKernel, tree

GROUP = f"orchestr8-ab12/{ID}"


@pytest.fixture
def wide(kernel: FakeKernel) -> FakeKernel:
    """v2 with every controller, as systemd's machines have it."""
    kernel.mount_v2("cgroup", "cpu", "cpuset", "io", "memory", "pids")
    return kernel


# --- controllers that few need -----------------------------------------------------------------------------------------


def test_disks_are_joined_by_those_who_need_them(hybrid: FakeKernel) -> None:
    hybrid.mount_v1("blkio")
    found = tree(hybrid)
    found.prepare()
    plain = found.create("aaaa", {})
    assert not [file for file in plain.tasks if "/blkio/" in file]
    assert not (hybrid.root / "blkio/orchestr8-ab12").exists()
    slow = {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}]}}
    place = found.create(ID, slow)
    assert f"{hybrid.root}/blkio/{GROUP}/tasks" in place.tasks
    assert f"{hybrid.root}/blkio/{GROUP}/tasks" in found.planned(ID, slow).tasks
    assert f"blkio/{GROUP}/blkio.throttle.read_bps_device 8:0 9" in hybrid.writes
    assert place.warnings == ()
    for each in ("aaaa", ID):
        found.remove(each)
    assert found.containers() == set()
    found.remove_parent()
    assert not (hybrid.root / "blkio/orchestr8-ab12").exists()


@pytest.mark.parametrize("machine", ["v1", "hybrid"])
def test_on_v1_a_container_is_in_all_that_a_jvm_looks_for(machine: str, request: pytest.FixtureRequest) -> None:
    kernel: FakeKernel = request.getfixturevalue(machine)
    kernel.mount_v1("cpuset")
    found = tree(kernel)
    shims = found.prepare()
    seen = ",".join(controllers for _, _, controllers in found.views({})).split(",")
    assert {"cpu", "cpuacct", "cpuset", "memory"} <= set(seen)
    place = found.create(ID, {"cpu": {"cpus": "1"}})
    assert f"{kernel.root}/cpuset/{GROUP}/tasks" in place.tasks
    assert f"cpuset/{GROUP}/cpuset.cpus 1" in kernel.writes
    assert not [file for file in shims.tasks if "cpuset" in file]
    found.remove(ID)
    found.remove_parent()
    assert not (kernel.root / "cpuset/orchestr8-ab12").exists()


def mount_filled_cpuset(kernel: FakeKernel) -> None:
    kernel.mount_v1("cpuset")
    for name, text in (("cpuset.cpus", "0-3\n"), ("cpuset.mems", "0\n")):
        (kernel.root / "cpuset" / name).write_text(text)
    kernel.keeps = True


def test_a_cpuset_of_v1_is_filled_from_the_top_before_anybody_enters(kernel: FakeKernel) -> None:
    mount_filled_cpuset(kernel)
    tree(kernel).create(ID, {"cpu": {"cpus": "1-2"}})
    assert [write for write in kernel.writes if "cpuset" in write] == [
        "cpuset/orchestr8-ab12/cpuset.cpus 0-3",
        "cpuset/orchestr8-ab12/cpuset.mems 0",
        f"cpuset/{GROUP}/cpuset.cpus 0-3",
        f"cpuset/{GROUP}/cpuset.mems 0",
        "cpuset/orchestr8-ab12/cgroup.clone_children 1",  # the next one comes filled
        f"cpuset/{GROUP}/cpuset.cpus 1-2",
    ]


def test_the_next_cpuset_of_an_engine_comes_filled(kernel: FakeKernel) -> None:
    mount_filled_cpuset(kernel)
    found = tree(kernel)
    found.create(ID, {})
    kernel.writes.clear()
    found.create("aaaa", {})
    assert not [write for write in kernel.writes if "cpuset" in write]
    assert (kernel.root / "cpuset/orchestr8-ab12/aaaa/cpuset.cpus").read_text() == "0-3"


def test_a_cpuset_that_is_somebody_elses_is_left_as_it_is(kernel: FakeKernel) -> None:
    mount_filled_cpuset(kernel)
    CgroupTree.detect("", kernel.mountinfo, parent="theirs/pod").create(ID, {})
    assert (kernel.root / f"cpuset/theirs/pod/{ID}/cpuset.cpus").read_text() == "0-3"
    assert not [write for write in kernel.writes if "clone_children" in write]


def test_a_cpuset_whose_parent_another_thread_has_just_made_is_filled_all_the_same(kernel: FakeKernel) -> None:
    mount_filled_cpuset(kernel)
    found = tree(kernel)
    cgroup_files.mkdir(f"{kernel.root}/cpuset/orchestr8-ab12")
    found.create(ID, {})
    assert (kernel.root / f"cpuset/{GROUP}/cpuset.cpus").read_text() == "0-3"


def test_on_v2_further_controllers_are_turned_on_when_first_needed(wide: FakeKernel) -> None:
    found = tree(wide)
    found.prepare()
    wide.writes.clear()
    found.create("aaaa", {})
    assert not [write for write in wide.writes if "subtree_control" in write]
    found.create(ID, {"cpu": {"cpus": "0"}})
    assert "cgroup/cgroup.subtree_control +cpuset" in wide.writes
    assert "cgroup/orchestr8-ab12/cgroup.subtree_control +cpuset" in wide.writes
    found.close()


# --- what cannot be -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resources", "warning"),
    [
        ({"memory": {"swappiness": 10}}, "mem_swappiness 10 is not in force: cgroup v2 has no such limit"),
        ({"memory": {"disableOOMKiller": True}}, "oom_kill_disable is not in force: cgroup v2 has no such limit"),
        ({"cpu": {"realtimeRuntime": 9}}, "cpu_rt_runtime 9 is not in force: cgroup v2 has no such limit"),
        ({"blockIO": {"weight": 500}}, ("blkio_config.weight 500 is not in force: no disk here has a scheduler that weighs "
                                        "(BFQ), and the kernel has no cost model")),
    ],
)  # fmt: skip
def test_what_a_kernel_cannot_do_is_one_warning(wide: FakeKernel, resources: dict, warning: str) -> None:
    found = tree(wide)
    assert found.create(ID, resources).warnings == (warning,)
    found.close()


def test_swap_that_is_not_accounted_is_a_warning_where_it_was_to_be_limited(wide: FakeKernel) -> None:
    del wide._hierarchies["cgroup"]["memory.swap.max"]
    found = tree(wide)
    assert found.create(ID, {"memory": {"limit": 1 << 20, "swap": 3 << 20}}).warnings == (
        "memswap_limit 3M is not in force: swap is not accounted (kernel parameter swapaccount=1)",
    )
    found.close()


def test_the_second_file_is_written_where_the_first_is_missing(wide: FakeKernel) -> None:
    wide._hierarchies["cgroup"] |= {"io.weight": ""}
    found = tree(wide)
    assert found.create(ID, {"blockIO": {"weight": 1000}}).warnings == ()
    assert f"cgroup/{GROUP}/io.weight default 10000" in wide.writes
    found.close()


def test_a_value_that_the_kernel_refuses_is_an_error_with_what_it_was_given(wide: FakeKernel) -> None:
    wide.refused[f"cgroup/{GROUP}/cpuset.cpus"] = OSError(errno.EINVAL, "Invalid argument")
    found = tree(wide)
    with pytest.raises(OperationFailed, match=r"cannot set cpuset 99: .*: Invalid argument") as failure:
        found.create(ID, {"cpu": {"cpus": "99"}})
    assert (failure.value.code, failure.value.notes) == ("O8-411", ["the kernel was given `99`"])
    assert not found.exists(ID)
    found.close()


# --- devices --------------------------------------------------------------------------------------------------------------


def test_the_document_says_which_devices(v1: FakeKernel) -> None:
    found = tree(v1)
    found.create(ID, {"devices": oci_devices([DeviceRule("c", 1, 3, "r"), DeviceRule("c", 1, 3, "w"), EVERY_DEVICE])})
    assert v1.writes == [f"devices/{GROUP}/devices.allow a"]
    found.create(ID, {"devices": oci_devices([DeviceRule("c", 1, 3, "r"), DeviceRule("c", 1, 3, "w")])})
    assert v1.writes[1:] == [f"devices/{GROUP}/devices.deny a", f"devices/{GROUP}/devices.allow c 1:3 rw"]


def test_a_device_that_the_engine_itself_may_not_use_is_a_warning(v1: FakeKernel) -> None:
    v1.refused[f"devices/{GROUP}/devices.allow"] = PermissionError(errno.EPERM, "Operation not permitted")
    warnings = tree(v1).create(ID, {"devices": oci_devices([DeviceRule("c", 10, 200, "rw")])}).warnings
    assert warnings == ("device rule `c 10:200 rw` is not in force: the engine itself may not use this device",)


def test_on_v2_groups_with_the_same_rules_share_a_program_and_one_that_may_all_has_none(
    wide: FakeKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestr8.kernel import device_filter

    loaded = []

    def load(policy: object) -> int:
        loaded.append(policy)
        return os.open("/dev/null", os.O_RDONLY)

    monkeypatch.setattr(device_filter, "load", load)
    found = tree(wide)
    found.create("aaaa", {})
    found.create("bbbb", {"devices": oci_devices(DEFAULT_DEVICES)})
    found.create("cccc", {"devices": oci_devices([EVERY_DEVICE])})
    assert len(loaded) == 1
    assert [write for write in wide.writes if "attach" in write] == [
        f"attach cgroup/orchestr8-ab12/{name}" for name in ("aaaa", "bbbb")
    ]
    for number in range(20):  # each with rules of its own: programs that nobody waits for are let go
        found.create("dddd", {"devices": oci_devices([DeviceRule("c", 10, number, "r")])})
    assert len(found._programs._loaded) == 8
    found.close()
    assert len(found._programs._loaded) == 0


# --- below somebody's group ------------------------------------------------------------------------------------------------


def test_a_container_can_stand_below_another_group(hybrid: FakeKernel) -> None:
    found = tree(hybrid)
    found.prepare()
    before = hybrid.directories()
    found.put_below(ID, "/batch/night")
    place = found.create(ID, {"pids": {"limit": 5}})
    assert place.group == f"batch/night/orchestr8-ab12/{ID}"
    assert f"pids/batch/night/orchestr8-ab12/{ID}/pids.max 5" in hybrid.writes
    assert found.containers() == {ID}
    found.remove(ID)
    left = [each for each in hybrid.directories() if each not in before]
    assert {Path(each).name for each in left} == {"batch", "night"}  # whoever named them has them


def test_controllers_are_turned_on_all_the_way_down(wide: FakeKernel) -> None:
    found = tree(wide)
    found.put_below(ID, "batch")
    found.create(ID, {"pids": {"limit": 5}})
    controls = [write for write in wide.writes if write.endswith("+pids")]
    assert controls == [
        f"cgroup{path}/cgroup.subtree_control +pids" for path in ("", "/batch", "/batch/orchestr8-ab12")
    ]
    found.close()


@pytest.mark.parametrize("parent", ["../x", "/a/../b", "a b", "/.hidden"])
def test_a_parent_that_leads_elsewhere_is_refused(hybrid: FakeKernel, parent: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a cgroup"):
        tree(hybrid).put_below(ID, parent)


# --- shares that are handed down ------------------------------------------------------------------------------------------


def real_time(kernel: FakeKernel, runtime: int) -> None:
    files = {"tasks": "", "cgroup.procs": "", "cpu.rt_period_us": "1000000\n", "cpu.rt_runtime_us": "0\n"}
    kernel._mount("cpu", files)
    kernel.mountinfo += f"32 31 0:29 / {kernel.root}/cpu rw,relatime - cgroup cgroup rw,cpu\n"
    (kernel.root / "cpu/cpu.rt_runtime_us").write_text(f"{runtime}\n")
    kernel.keeps = True


def test_the_parent_gets_as_much_real_time_as_its_children_have_together(kernel: FakeKernel) -> None:
    real_time(kernel, 950_000)
    found = tree(kernel)
    found.create("aaaa", {"cpu": {"realtimeRuntime": 1000, "realtimePeriod": 10_000}})
    found.create(ID, {"cpu": {"realtimeRuntime": 200_000}})
    assert [write for write in kernel.writes if "rt_runtime" in write] == [
        "cpu/orchestr8-ab12/cpu.rt_runtime_us 100000",
        "cpu/orchestr8-ab12/aaaa/cpu.rt_runtime_us 1000",
        "cpu/orchestr8-ab12/cpu.rt_runtime_us 300000",
        f"cpu/{GROUP}/cpu.rt_runtime_us 200000",
    ]


def test_real_time_that_is_not_there_is_a_warning(kernel: FakeKernel) -> None:
    real_time(kernel, 0)
    for group in ("orchestr8-ab12", GROUP):
        kernel.refused[f"cpu/{group}/cpu.rt_runtime_us"] = OSError(errno.EINVAL, "Invalid argument")
    assert tree(kernel).create(ID, {"cpu": {"realtimeRuntime": 9}}).warnings[0] == (
        "cpu_rt_runtime 9 is not in force: the groups above have no real-time left to give"
    )


def test_reserved_memory_is_reserved_in_the_parent_too(wide: FakeKernel) -> None:
    wide.keeps = True
    found = tree(wide)
    found.create("aaaa", {"memory": {"reservation": 10 << 20}})
    found.create(ID, {"memory": {"reservation": 20 << 20}})
    low = wide.root / "cgroup/orchestr8-ab12/memory.low"
    assert low.read_text() == str(30 << 20)
    found.remove("aaaa")
    assert low.read_text() == str(20 << 20)
    found.remove(ID)
    assert low.read_text() == "0"
    found.close()


# --- an engine in a container -----------------------------------------------------------------------------------------------


class Busy(FakeKernel):
    """v2's rule: no controllers for children while a group other than the root has processes of its own."""

    top: Path
    stuck = False

    def write(self, path: str, *texts: str) -> None:
        directory, name = os.path.split(path)
        turns_on = name == "cgroup.subtree_control" and texts[0][0] == "+"
        if turns_on and Path(directory) == self.top and (self.top / "cgroup.procs").read_text().split():
            raise OSError(errno.EBUSY, "Device or resource busy")
        if name == "cgroup.procs":
            if self.stuck:
                raise OSError(errno.EINVAL, "Invalid argument")
            for procs in self.top.rglob("cgroup.procs"):
                procs.write_text("".join(f"{pid}\n" for pid in procs.read_text().split() if pid != texts[0]))
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(f"{texts[0]}\n")
        super().write(path, *texts)


@pytest.fixture
def nested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Busy:
    kernel = Busy(tmp_path, monkeypatch)
    kernel.mount_v2("cgroup", "cpu", "memory", "pids")
    kernel.top = tmp_path / "cgroup"
    (kernel.top / "cgroup.procs").write_text("1\n17\n")
    (kernel.top / "cgroup.type").write_text("domain\n")  # not there in the machine's own root
    return kernel


def test_processes_at_the_top_of_a_container_move_to_a_leaf_and_come_back(nested: Busy) -> None:
    before = nested.directories()
    found = tree(nested)
    found.prepare()
    outer = nested.top / "orchestr8-outer/cgroup.procs"
    assert outer.read_text().split() == ["1", "17"]
    assert "cgroup/cgroup.subtree_control +pids" in nested.writes
    (nested.top / "cgroup.subtree_control").write_text("cpu memory pids\n")
    nested.writes.clear()
    found.remove_parent()
    assert "cgroup/cgroup.subtree_control -cpu -memory -pids" in nested.writes
    assert (nested.top / "cgroup.procs").read_text().split() == ["1", "17"]
    assert nested.directories() == before


def test_another_engine_beside_keeps_the_leaf(nested: Busy) -> None:
    found, other = tree(nested), CgroupTree.detect("cd34", nested.mountinfo)
    found.prepare()
    other.prepare()
    found.remove_parent()
    assert (nested.top / "orchestr8-outer/cgroup.procs").read_text().split() == ["1", "17"]


def test_processes_that_cannot_be_moved_leave_limits_out_of_force(nested: Busy) -> None:
    nested.stuck = True
    found = tree(nested)
    found.prepare()
    del nested._hierarchies["cgroup"]["pids.max"]  # as the kernel has it where the controller is off
    assert "pids_limit 5 is not in force" in found.create(ID, {"pids": {"limit": 5}}).warnings[0]
    found.close()


def test_where_a_process_belongs_is_found_through_what_its_mount_shows(hybrid: FakeKernel) -> None:
    """v1 in a container without a cgroup namespace: the mount begins at the container's group."""
    mountinfo = hybrid.mountinfo.replace(f"0:29 / {hybrid.root}/memory", f"0:29 /docker/c1 {hybrid.root}/memory")
    hybrid.mkdir(f"{hybrid.root}/memory/session")
    found = CgroupTree.detect("ab12", mountinfo)
    memory = f"{hybrid.root}/memory"
    for path, first in (
        ("/docker/c1/session", "/session"),
        ("/docker/c1", ""),
        ("/docker/c12", ""),
        ("/elsewhere", ""),
    ):
        (files,) = (each for each in found.home(f"4:memory:{path}\n0::/\n") if each[0].startswith(memory))
        assert files[0] == f"{memory}{first}/tasks"


# --- counting --------------------------------------------------------------------------------------------------------------


def test_the_counters_of_both_versions_are_told_alike(hybrid: FakeKernel, wide: FakeKernel) -> None:
    def fill(directory: Path, **texts: str) -> None:
        for name, text in texts.items():
            (directory / name.replace("__", ".")).write_text(text)

    old, new = tree(hybrid), CgroupTree("ab12", tree(wide)._mounts_found._replace(hierarchies={}))
    old.create(ID, {})
    fill(hybrid.root / "memory" / GROUP, memory__usage_in_bytes="100\n", memory__failcnt="3\n",
         memory__oom_control="oom_kill 2\n", memory__stat="inactive_file 1\ntotal_inactive_file 9\n")  # fmt: skip
    fill(hybrid.root / "cpu" / GROUP, cpu__stat="nr_periods 20\nnr_throttled 5\nthrottled_time 7000\n")
    fill(hybrid.root / "pids" / GROUP, pids__current="4\n", pids__events="max 6\n")
    fill(hybrid.root / "unified" / GROUP, cpu__stat="usage_usec 50\nuser_usec 30\n")
    expected = Counters(
        memory_bytes=100, memory_inactive_file_bytes=9, memory_limit_hits=3, oom_kills=2, cpu_us=50, cpu_periods=20,
        cpu_throttled_periods=5, cpu_throttled_us=7, pids=4, pids_refused=6,
    )  # fmt: skip
    assert old.counters(ID) == expected
    new._unified = f"{wide.root}/cgroup"
    cgroup_files.ensure(f"{wide.root}/cgroup/orchestr8-ab12")
    cgroup_files.ensure(f"{wide.root}/cgroup/{GROUP}")
    fill(wide.root / "cgroup" / GROUP, memory__current="100\n", memory__events="max 3\noom 2\noom_kill 2\n",
         memory__stat="inactive_file 9\n", pids__current="4\n", pids__events="max 6\n",
         cpu__stat="usage_usec 50\nnr_periods 20\nnr_throttled 5\nthrottled_usec 7\n")  # fmt: skip
    assert new.counters(ID) == expected
    assert old.counters("ffff") == Counters()


def test_block_io_is_added_up_over_devices_where_a_group_accounts_for_it(tmp_path: Path) -> None:
    old, new, without = (tmp_path / name for name in ("old", "new", "without"))
    for each in (old, new, without):
        each.mkdir()
    text = "8:0 Read 70\n8:0 Write 8\n8:0 Total 78\n8:16 Read 7\nTotal 85\n"
    (old / "blkio.throttle.io_service_bytes_recursive").write_text(text)
    (new / "io.stat").write_text(
        "8:0 rbytes=70 wbytes=8 rios=3 wios=1 dbytes=0 dios=0\n8:16 rbytes=7 wbytes=0 rios=1\n"
    )
    assert cgroup_counters.count("", {"blkio": str(old)}).block_io_bytes == (77, 8)
    assert cgroup_counters.count(str(new), {}).block_io_bytes == (77, 8)
    assert cgroup_counters.count(str(without), {}).block_io_bytes is None
