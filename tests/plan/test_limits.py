"""Limits from the document: units, what nothing means, and `deploy` over the flat keys."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec, UlimitSpec
from orchestr8.model.sizes import size_text
from orchestr8.plan.limits import resources_of


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, {}),
        ({"mem_limit": "67108864", "memswap_limit": "134217728", "mem_reservation": "1048576", "mem_swappiness": "60"},
         {"memory_max_bytes": 64 << 20, "memory_swap_max_bytes": 128 << 20, "memory_reservation_bytes": 1 << 20,
          "memory_swappiness": 60}),
        ({"mem_limit": "-1", "memswap_limit": "-1", "mem_swappiness": "-1", "pids_limit": -1}, {"memory_swap_max_bytes": -1}),
        ({"oom_kill_disable": True, "oom_score_adj": -500}, {"oom_kill_disable": True, "oom_score_adj": -500}),
        ({"cpus": 0.5, "cpu_shares": 512, "cpuset": "0-1"}, {"cpus": 0.5, "cpu_shares": 512, "cpuset": "0-1"}),
        ({"cpu_quota": 50_000, "cpu_period": 100_000}, {"cpu_quota_us": 50_000, "cpu_period_us": 100_000}),
        ({"cpu_quota": -1}, {}),
        ({"cpu_rt_runtime": 9, "cpu_rt_period": 10}, {"cpu_rt_runtime_us": 9, "cpu_rt_period_us": 10}),
        ({"cgroup": "host", "cgroup_parent": "/batch"}, {"host_cgroup": True, "cgroup_parent": "/batch"}),
        ({"cgroup": "private"}, {}),
        ({"device_cgroup_rules": ["c 1:3 r", "b 8:0 w"]}, {"device_rules": ("c 1:3 r", "b 8:0 w")}),
        ({"ulimits": {"nproc": 5, "nofile": {"soft": 1, "hard": -1}}},
         {"ulimits": (UlimitSpec(name="nofile", soft=1, hard=-1), UlimitSpec(name="nproc", soft=5, hard=5))}),
        ({"blkio_config": {"weight": 300, "device_write_bps": [{"path": "/dev/a", "rate": "1024"}],
                           "weight_device": [{"path": "/dev/b", "weight": 20}]}},
         {"block_io": BlockIoSpec(weight=300, write_bytes=(DeviceRate(path="/dev/a", rate=1024),),
                                  device_weights=(DeviceRate(path="/dev/b", rate=20),))}),
        ({"deploy": {"resources": {"limits": {"memory": "67108864", "cpus": 0.25, "pids": 9},
                                   "reservations": {"memory": "1024"}}}},
         {"memory_max_bytes": 64 << 20, "cpus": 0.25, "pids_max": 9, "memory_reservation_bytes": 1024}),
        ({"pids_limit": 5, "deploy": {"resources": {"limits": {"pids": 9}}}}, {"pids_max": 9}),
        ({"mem_limit": "1024", "deploy": {"resources": {"limits": {"cpus": 1}}}}, {"memory_max_bytes": 1024, "cpus": 1.0}),
    ],
)  # fmt: skip
def test_a_document_gives_these_limits(content: dict[str, Any], expected: dict[str, Any]) -> None:
    assert resources_of(content, "services.web") == ResourceSpec(**expected)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (64 << 20, "64M"),
        (3 << 30, "3G"),
        (1536, "1536"),
        (1536 << 10, "1536k"),
        (-1, "unlimited"),
        (0, "0"),
        (100, "100"),
    ],
)
def test_a_size_is_told_by_its_largest_unit(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize("parent", ["..", "/a/../b", "/a//b", "/", "a b", "/.x"])
def test_a_client_cannot_lead_the_engine_out_of_the_cgroups(parent: str) -> None:
    with pytest.raises(InvalidInput, match=r"services\.web\.cgroup_parent: .* is not the path of a cgroup"):
        resources_of({"cgroup_parent": parent}, "services.web")
