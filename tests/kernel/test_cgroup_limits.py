"""OCI's resources as files of v1 and v2: names, conversions, order."""

import pytest

from orchestr8.kernel.cgroup_limits import cpu_weight, io_weight, limits, uses

EVERYTHING = {
    "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 32 << 20, "swappiness": 10, "disableOOMKiller": True},
    "cpu": {
        "shares": 512, "quota": 50_000, "period": 200_000, "realtimeRuntime": 1_000, "realtimePeriod": 500_000, "cpus": "0-1",
        "mems": "0",
    },
    "pids": {"limit": 7},
    "blockIO": {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1024}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 16, "rate": 2048}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 10}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 20}],
    },
}  # fmt: skip


def written(resources: dict, *, v2: bool) -> list[str]:
    return [f"{file.name} {file.text}" for limit in limits(resources, v2=v2) for file in limit.files]


def test_every_limit_has_its_file_on_v1() -> None:
    assert written(EVERYTHING, v2=False) == [
        "memory.limit_in_bytes 67108864",
        "memory.memsw.limit_in_bytes 100663296",
        "memory.soft_limit_in_bytes 33554432",
        "memory.swappiness 10",
        "memory.oom_control 1",
        "cpu.shares 512",
        "cpu.cfs_period_us 200000",
        "cpu.cfs_quota_us 50000",
        "cpu.rt_period_us 500000",
        "cpu.rt_runtime_us 1000",
        "cpuset.cpus 0-1",
        "cpuset.mems 0",
        "pids.max 7",
        "blkio.bfq.weight 500",
        "blkio.bfq.weight_device 8:0 10",
        "blkio.throttle.read_bps_device 8:0 1024",
        "blkio.throttle.write_bps_device 8:16 2048",
        "blkio.throttle.read_iops_device 8:0 10",
        "blkio.throttle.write_iops_device 8:0 20",
    ]


def test_v2_counts_swap_alone_and_has_no_swappiness_oom_switch_or_real_time() -> None:
    assert written(EVERYTHING, v2=True) == [
        "memory.max 67108864",
        "memory.swap.max 33554432",
        "memory.low 33554432",
        "cpu.weight 59",
        "cpu.max 50000 200000",
        "cpuset.cpus 0-1",
        "cpuset.mems 0",
        "pids.max 7",
        "io.bfq.weight 500",
        "io.bfq.weight 8:0 10",
        "io.max 8:0 rbps=1024",
        "io.max 8:16 wbps=2048",
        "io.max 8:0 riops=10",
        "io.max 8:0 wiops=20",
    ]


def test_both_versions_tell_the_same_limits_by_the_same_names() -> None:
    names = [limit.name for limit in limits(EVERYTHING, v2=False)]
    assert [limit.name for limit in limits(EVERYTHING, v2=True)] == names
    assert names[:3] == ["mem_limit 64M", "memswap_limit 96M", "mem_reservation 32M"]
    assert names[6] == "cpus 0.25"


def test_controllers_are_those_of_the_version() -> None:
    assert uses(EVERYTHING, v2=False) == {"memory", "cpu", "cpuset", "pids", "blkio"}
    assert uses(EVERYTHING, v2=True) == {"memory", "cpu", "cpuset", "pids", "io"}
    assert uses({"devices": []}, v2=False) == set()


def test_weights_have_a_second_file_for_kernels_without_bfq() -> None:
    (limit,) = limits({"blockIO": {"weight": 500}}, v2=True)
    assert limit.files[0].otherwise == ("io.weight", "default 4950")
    (limit,) = limits({"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}}, v2=True)
    assert limit.files[0].otherwise == ("io.weight", "8:0 1")


@pytest.mark.parametrize(
    ("memory", "v1", "v2"),
    [
        ({"limit": 100, "swap": 200}, "memory.memsw.limit_in_bytes 200", "memory.swap.max 100"),
        ({"limit": 100, "swap": 100}, "memory.memsw.limit_in_bytes 100", "memory.swap.max 0"),
        ({"limit": 100, "swap": -1}, "memory.memsw.limit_in_bytes -1", "memory.swap.max max"),
        ({"swap": -1}, "memory.memsw.limit_in_bytes -1", "memory.swap.max max"),
    ],
)
def test_swap_is_what_is_more_than_memory(memory: dict, v1: str, v2: str) -> None:
    assert written({"memory": memory}, v2=False)[-1] == v1
    assert written({"memory": memory}, v2=True)[-1] == v2


@pytest.mark.parametrize(
    ("memory", "optional"),
    [
        ({"limit": 100, "swap": 150}, False),
        ({"limit": 100, "swap": 200}, True),
        ({"limit": 100, "swap": 100}, True),
        ({"limit": 100, "swap": -1}, True),
    ],
)
def test_no_swap_at_all_needs_no_accounting_of_swap(memory: dict, optional: bool) -> None:
    for v2 in (False, True):
        assert list(limits({"memory": memory}, v2=v2))[-1].files[0].optional is optional


@pytest.mark.parametrize(
    ("cpu", "v1", "v2"),
    [
        ({"quota": 50_000}, ["cpu.cfs_quota_us 50000"], ["cpu.max 50000 100000"]),
        ({"period": 50_000}, ["cpu.cfs_period_us 50000"], ["cpu.max max 50000"]),
        ({"quota": -1, "period": 50_000}, ["cpu.cfs_period_us 50000", "cpu.cfs_quota_us -1"], ["cpu.max max 50000"]),
    ],
)
def test_a_quota_or_a_period_alone_leaves_the_other_as_it_is(cpu: dict, v1: list[str], v2: list[str]) -> None:
    assert written({"cpu": cpu}, v2=False) == v1
    assert written({"cpu": cpu}, v2=True) == v2


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (256, 35), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (300_000, 10_000)],
)
def test_shares_become_weights_on_runcs_curve(shares: int, weight: int) -> None:
    assert cpu_weight(shares) == weight


@pytest.mark.parametrize(("weight", "io"), [(10, 1), (100, 910), (500, 4950), (1000, 10_000)])
def test_disk_weights_stand_on_a_line(weight: int, io: int) -> None:
    assert io_weight(weight) == io
