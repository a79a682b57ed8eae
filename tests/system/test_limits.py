"""Limits as programs feel them, on whatever mixture of v1 and v2 this machine has."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec, UlimitSpec
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.processes import children_of, may_raise
from tests.system.runtime_fixtures import Box, Runtime, eventually

pytestmark = [pytest.mark.system, pytest.mark.anyio, requires("root", "overlayfs"), needs_busybox]


def limit_file(box: Box, name: str) -> str:
    """What stands in that file of the container's group, in the hierarchy that has it."""
    tree = box._runtime.tree
    found = [f"{directory}/{name}" for directory in tree._directories(box.id) if os.path.exists(f"{directory}/{name}")]
    if not found:
        pytest.skip(f"this machine has no {name}")
    return Path(found[0]).read_text().strip()


def on(box: Box, controller: str, v1: str, v2: str) -> str:
    """That of the version which has the controller."""
    return limit_file(box, v1 if controller in box._runtime.tree._mounts_found.hierarchies else v2)


async def sleeper(runtime: Runtime, **limits: Any) -> Box:
    return await runtime.run("sleep", "1000", resources=ResourceSpec(**limits))


# --- processes ----------------------------------------------------------------------------------------------------------


async def test_ulimits_hold_for_the_program_and_for_what_is_executed_later(runtime: Runtime) -> None:
    limits = (
        UlimitSpec(name="core", soft=0, hard=0),
        UlimitSpec(name="nofile", soft=7, hard=9),
        UlimitSpec(name="nproc", soft=100, hard=200),
    )
    script = "ulimit -Sc; ulimit -Sn; ulimit -Hn; ulimit -Su; ulimit -Hu"
    expected = "0\n7\n9\n100\n200\n"
    for init in (True, False):
        box = await runtime.run(
            "sh", "-c", f"{script}; sleep 1000; true", init=init, user="1000", resources=ResourceSpec(ulimits=limits)
        )
        await box.until_log(expected)
        assert await box.sh(script) == expected
        assert await box.sh(script, user="0") == expected


async def test_a_tight_ulimit_is_the_programs_to_get_along_with(runtime: Runtime) -> None:
    """With so little Python could not even start the program, if it had to live with it itself."""
    limits = (UlimitSpec(name="as", soft=8 << 20, hard=8 << 20), UlimitSpec(name="nofile", soft=3, hard=3))
    box = await runtime.run("sh", "-c", "ulimit -v; exec 3</dev/null", resources=ResourceSpec(ulimits=limits))
    assert await box.wait() != 0
    assert box.log() == "8192\n"
    assert "Bad file descriptor" in box.log("stderr") or "Too many open files" in box.log("stderr")


async def test_a_ulimit_that_nobody_may_have_is_told(runtime: Runtime) -> None:
    beyond = int(Path("/proc/sys/fs/nr_open").read_text()) + 1
    box = await runtime.create(
        "true", resources=ResourceSpec(ulimits=(UlimitSpec(name="nofile", soft=5, hard=beyond),))
    )
    with pytest.raises(
        Exception, match=f"cannot raise ulimits.nofile to {beyond}: Operation not permitted; the engine"
    ):
        await box.start()


@pytest.mark.parametrize(("asked", "program", "init"), [(300, 300, -500), (-900, -900, -900), (-1000, -1000, -1000)])
async def test_a_victims_score_is_the_programs_and_pid_1_never_scores_higher(
    runtime: Runtime, asked: int, program: int, init: int
) -> None:
    if not may_raise():
        program, init = max(program, 0), 0
    box = await sleeper(runtime, oom_score_adj=asked)
    (child,) = children_of(box.pid)
    running = await box.exec("sleep", "1000")
    scores = [int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (child, running.pid, box.pid)]
    assert scores == [program, program, init]


# --- memory and processors --------------------------------------------------------------------------------------------


async def test_memory_settings_are_what_the_kernel_says_they_are(runtime: Runtime) -> None:
    box = await sleeper(
        runtime, memory_max_bytes=64 << 20, memory_swap_max_bytes=80 << 20, memory_reservation_bytes=32 << 20
    )
    assert on(box, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert on(box, "memory", "memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    swap = on(box, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")
    assert swap == str((80 if "memory" in runtime.tree._v1 else 16) << 20)


async def test_swappiness_and_the_oom_switch_of_v1(runtime: Runtime) -> None:
    box = await sleeper(runtime, memory_max_bytes=64 << 20, memory_swappiness=7, oom_kill_disable=True)
    assert limit_file(box, "memory.swappiness") == "7"
    assert "oom_kill_disable 1" in limit_file(box, "memory.oom_control")


async def test_shares_quota_and_period(runtime: Runtime) -> None:
    box = await sleeper(runtime, cpu_shares=512, cpu_quota_us=20_000, cpu_period_us=50_000)
    assert on(box, "cpu", "cpu.shares", "cpu.weight") == ("512" if "cpu" in runtime.tree._v1 else "59")
    if "cpu" in runtime.tree._v1:
        assert (limit_file(box, "cpu.cfs_quota_us"), limit_file(box, "cpu.cfs_period_us")) == ("20000", "50000")
    else:
        assert limit_file(box, "cpu.max") == "20000 50000"


async def test_real_time_is_given_where_the_kernel_shares_it_out(runtime: Runtime) -> None:
    box = await sleeper(runtime, cpu_rt_runtime_us=10_000, cpu_rt_period_us=500_000)
    assert (limit_file(box, "cpu.rt_runtime_us"), limit_file(box, "cpu.rt_period_us")) == ("10000", "500000")
    second = await sleeper(runtime, cpu_rt_runtime_us=30_000)
    assert limit_file(second, "cpu.rt_runtime_us") == "30000"


async def test_a_cpuset_holds_for_the_program_and_for_what_is_executed_later(runtime: Runtime) -> None:
    last = str(max(os.sched_getaffinity(0)))
    box = await runtime.run("sh", "-c", "grep Cpus_allowed_list /proc/self/status; sleep 1000; true",
                            resources=ResourceSpec(cpuset=last))  # fmt: skip
    await box.until_log(f"Cpus_allowed_list:\t{last}\n")
    assert await box.sh("grep Cpus_allowed_list /proc/self/status") == f"Cpus_allowed_list:\t{last}\n"


async def test_what_is_felt_is_counted(runtime: Runtime) -> None:
    script = "(i=0; while [ $i -lt 30 ]; do sleep 1000 & i=$((i+1)); done); while :; do :; done"
    box = await runtime.run(
        "sh", "-c", script, resources=ResourceSpec(memory_max_bytes=64 << 20, cpus=0.05, pids_max=8)
    )
    counts = runtime.tree.counters

    def felt() -> bool:
        found = counts(box.id)
        return bool(found.cpu_throttled_periods and found.cpu_throttled_us and found.pids_refused and found.cpu_us)

    await eventually(felt, "the limits to be felt")
    found = counts(box.id)
    assert 1 <= found.pids <= 8
    assert 0 < found.memory_bytes <= 64 << 20
    assert found.cpu_throttled_periods <= found.cpu_periods
    await box.kill()
    await box.wait()


async def test_lack_of_memory_is_told_while_the_container_lives_on(runtime: Runtime) -> None:
    script = "while read size; do dd if=/dev/zero of=/dev/null bs=$size count=1 2>/dev/null; echo $?; done"
    limits = ResourceSpec(memory_max_bytes=32 << 20, memory_swap_max_bytes=32 << 20)
    box = await runtime.run("sh", "-c", script, stdin_open=True, resources=limits)
    client = await box.attach(stdin=True)
    for times in (1, 2):
        client.socket.sendall(b"200M\n")
        await client.until_text(b"137\n" * times)
        await eventually(lambda times=times: box.out_of_memory >= times, "the news")
        assert box.pid, "it lives on"
    assert runtime.tree.counters(box.id).oom_kills == 2
    calm = box.out_of_memory
    client.socket.sendall(b"1k\n")
    await client.until_text(b"0\n")
    assert box.out_of_memory == calm, "what fits is no news"
    await box.kill()
    assert await box.wait() == 137
    assert box.exits[0].oom_killed


# --- devices --------------------------------------------------------------------------------------------------------------


async def test_a_device_rule_opens_a_device(runtime: Runtime) -> None:
    script = "mknod /tmp/loop b 7 0; dd if=/tmp/loop of=/dev/null bs=1 count=0 2>&1 || true"
    refused = await sleeper(runtime)
    assert "Operation not permitted" in await refused.sh(script)
    allowed = await sleeper(runtime, device_rules=("b 7:0 r",))
    assert "Operation not permitted" not in await allowed.sh(script)
    assert "Operation not permitted" in (await allowed.run("sh", "-c", "echo x > /tmp/loop"))[1]


def a_disk() -> str:
    for line in Path("/proc/partitions").read_text().splitlines()[2:]:
        path = f"/dev/{line.split()[3]}"
        if os.path.exists(path) and stat.S_ISBLK(os.stat(path).st_mode):
            return path
    return pytest.skip("this machine has no disk")


async def test_reading_and_writing_of_a_disk_is_limited(runtime: Runtime) -> None:
    disk = a_disk()
    numbers = os.stat(disk).st_rdev
    device = f"{os.major(numbers)}:{os.minor(numbers)}"
    box = await sleeper(runtime, block_io=BlockIoSpec(
        read_bytes=(DeviceRate(path=disk, rate=1 << 20),), write_operations=(DeviceRate(path=disk, rate=50),),
    ))  # fmt: skip
    if "blkio" in runtime.tree._v1_on_demand:
        assert limit_file(box, "blkio.throttle.read_bps_device") == f"{device} {1 << 20}"
        assert limit_file(box, "blkio.throttle.write_iops_device") == f"{device} 50"
    else:
        assert limit_file(box, "io.max") == f"{device} rbps={1 << 20} wbps=max riops=max wiops=50"


def disk_of(path: Path) -> str:
    """The disk whose file system that is on."""
    numbers = os.stat(path).st_dev
    for name in os.listdir("/sys/block"):
        if os.path.exists(f"/dev/{name}") and os.stat(f"/dev/{name}").st_rdev == numbers:
            return f"/dev/{name}"
    return pytest.skip(f"{path} is not on a disk alone")


async def test_one_that_may_hardly_write_ends_at_once(runtime: Runtime, tmp_path: Path) -> None:
    """With its root the kernel syncs all that anybody has written there, at the rate of who unmounts it."""
    rates = (DeviceRate(path=disk_of(tmp_path), rate=4096),)
    box = await sleeper(runtime, block_io=BlockIoSpec(write_bytes=rates))
    for number in range(1000):
        (tmp_path / str(number)).touch()
    await box.kill()
    assert await box.wait() == 137
    await box.start()
    for number in range(1000):
        (tmp_path / str(number)).unlink()
    await box.kill()
    assert await box.wait(run=2) == 137


# --- places ---------------------------------------------------------------------------------------------------------------


async def test_a_container_sees_its_group_as_the_root_unless_it_is_to_see_the_machines(runtime: Runtime) -> None:
    own = await sleeper(runtime)
    assert {line.split(":")[2] for line in (await own.sh("cat /proc/1/cgroup")).splitlines() if own.id in line} == set()
    host = await sleeper(runtime, host_cgroup=True)
    group = f"/{runtime.tree.parent}/{host.id}"
    for script in ("cat /proc/1/cgroup", "cat /proc/self/cgroup"):
        assert group in {line.split(":")[2] for line in (await host.sh(script)).splitlines()}
    assert os.path.samefile(f"/proc/{host.pid}/ns/cgroup", f"/proc/{host.shim_pid}/ns/cgroup")
    assert not os.path.samefile(f"/proc/{own.pid}/ns/cgroup", f"/proc/{own.shim_pid}/ns/cgroup")


async def test_a_container_below_somebodys_group(runtime: Runtime) -> None:
    parent = f"{runtime.tree.parent}-batch"
    box = await sleeper(runtime, cgroup_parent=f"/{parent}", pids_max=20)
    try:
        groups = {line.split(":")[2] for line in Path(f"/proc/{box.pid}/cgroup").read_text().splitlines()}
        assert f"/{parent}/{runtime.tree.parent}/{box.id}" in groups
        assert limit_file(box, "pids.max") == "20"
        assert box.id in runtime.tree.containers()
        await box.kill()
        await box.wait()
        runtime.tree.remove(box.id)
        assert box.id not in runtime.tree.containers()
    finally:
        for mount in runtime.tree._mounts():
            if os.path.isdir(f"{mount}/{parent}"):
                os.rmdir(f"{mount}/{parent}")
