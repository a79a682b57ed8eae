"""Limits of the stack file where the kernel keeps them: in files of the container's groups, whichever version has them."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from e2e.checks import containers, err, log, state
from e2e.residue import cgroups
from e2e.scenario import Scenario, eventually
from tests.requires import requires
from tests.system.test_limits import a_disk

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'
MIB = 1 << 20


class Row(NamedTuple):
    told: str  # what is said not to be in force where none of the files is there
    files: Mapping[str, str]  # of one limit: file → the line that it holds


MEMORY = Row("mem_limit 64M", {"memory.limit_in_bytes": str(64 * MIB), "memory.max": str(64 * MIB)})
RESERVED = Row("mem_reservation 32M", {"memory.soft_limit_in_bytes": str(32 * MIB), "memory.low": str(32 * MIB)})
HALF = Row("cpus 0.5", {"cpu.cfs_quota_us": "50000", "cpu.max": "50000 100000"})
PIDS = Row("pids_limit 20", {"pids.max": "20"})
# What the stack file has, as far as it goes together → where that stands.
ROWS = {
    "mem_limit: 64m, memswap_limit: 80m, mem_reservation: 32m, mem_swappiness: 7, oom_kill_disable: true, pids_limit: 20": (
        *(MEMORY, RESERVED, PIDS),
        Row("memswap_limit 80M", {"memory.memsw.limit_in_bytes": str(80 * MIB), "memory.swap.max": str(16 * MIB)}),
        Row("mem_swappiness 7", {"memory.swappiness": "7"}),
        Row("oom_kill_disable", {"memory.oom_control": "oom_kill_disable 1"}),
    ),
    "cpus: 0.5, cpu_shares: 512, cpuset: '0'": (
        HALF,
        Row("cpu_shares 512", {"cpu.shares": "512", "cpu.weight": "59"}),
        Row("cpuset 0", {"cpuset.cpus": "0"}),
    ),
    "cpu_quota: 20000, cpu_period: 50000, cpu_rt_runtime: 10000, cpu_rt_period: 500000": (
        Row("cpus 0.4", {"cpu.cfs_period_us": "50000", "cpu.max": "20000 50000"}),
        Row("cpus 0.4", {"cpu.cfs_quota_us": "20000", "cpu.max": "20000 50000"}),
        Row("cpu_rt_runtime 10000", {"cpu.rt_runtime_us": "10000"}),
        Row("cpu_rt_runtime 10000", {"cpu.rt_period_us": "500000"}),
    ),
    "blkio_config: {weight: 300}, "
    "deploy: {resources: {limits: {cpus: '0.5', memory: 64m, pids: 20}, reservations: {memory: 32m}}}": (
        *(HALF, MEMORY, PIDS, RESERVED),
        Row("blkio_config.weight 300", {
            "blkio.bfq.weight": "300", "blkio.weight": "300", "io.bfq.weight": "default 300", "io.weight": "default 2930",
        }),
    ),
}  # fmt: skip


def groups_of(story: Scenario, service: str) -> list[str]:
    """The directories of the service's container, one of each hierarchy."""
    (found,) = story.engine.ask("/stacks/shop/containers", service=service)
    return [directory for directory in cgroups(story.engine.instance) if directory.endswith(f"/{found['id']}")]


def wrong_in(directories: list[str], files: Mapping[str, str]) -> str:
    """What stands there instead; "absent": there is none of the files."""
    there = [(Path(each, name), line) for each in directories for name, line in files.items()]
    there = [(path, line) for path, line in there if path.exists()]
    if not there:
        return "absent"
    wrong = [f"{path.name}: {path.read_text()!r}" for path, line in there if line not in path.read_text().splitlines()]
    return "; ".join(wrong)


def test_each_limit_is_in_the_kernels_files_or_said_not_to_be_in_force(scenario: Tell) -> None:
    lines = [f"  s{number}: {{{IDLE}, command: sleep infinity, {keys}}}" for number, keys in enumerate(ROWS)]
    story = scenario("\n".join(["services:", *lines]))
    told = story.step("up -d", *(state(f"s{number}", "running") for number in range(len(ROWS)))).err
    found = {}
    for number, rows in enumerate(ROWS.values()):
        directories = groups_of(story, f"s{number}")
        for row in rows:
            wrong = wrong_in(directories, row.files)
            if wrong == "absent" and f"shop-s{number}-1: {row.told} is not in force: " in told:
                wrong = ""
            if wrong:
                found[row.told] = wrong
    assert found == {}, told


def test_rates_of_a_disk_are_in_the_kernels_files(scenario: Tell) -> None:
    disk = a_disk()
    number = os.stat(disk).st_rdev
    device = f"{os.major(number)}:{os.minor(number)}"
    rates = {"read_bps": "1m", "write_bps": "2m", "read_iops": "30", "write_iops": "40"}
    keys = ", ".join(f"device_{key}: [{{path: {disk}, rate: {rate}}}]" for key, rate in rates.items())
    story = scenario(f"services: {{web: {{{IDLE}, command: sleep infinity, blkio_config: {{{keys}}}}}}}")
    story.step("up -d", state("web", "running"))
    v1 = {"read_bps": MIB, "write_bps": 2 * MIB, "read_iops": 30, "write_iops": 40}
    v2 = {"io.max": f"{device} rbps={MIB} wbps={2 * MIB} riops=30 wiops=40"}
    directories = groups_of(story, "web")
    for key, rate in v1.items():
        assert wrong_in(directories, {f"blkio.throttle.{key}_device": f"{device} {rate}", **v2}) == ""


def test_a_rule_opens_a_device_that_is_made_inside(scenario: Tell) -> None:
    story = scenario(f"""
services:
  usual: {{{IDLE}, command: sleep infinity}}
  ruled: {{{IDLE}, command: sleep infinity, device_cgroup_rules: ["b 7:0 r"]}}
""")
    story.step("up -d", state("usual", "running"), state("ruled", "running"))
    reading = "sh -c 'mknod /opt/loop b 7 0; dd if=/opt/loop of=/dev/null bs=1 count=0'"
    story.step(f"exec -T usual {reading}", err("Operation not permitted"), code=1)
    assert "Operation not permitted" not in story.run("exec", "-T", "ruled", "sh", "-c", reading[7:-1]).err
    story.step("exec -T ruled sh -c 'echo x >/opt/loop'", err("Operation not permitted"), code=2)


def test_groups_are_seen_as_asked_and_stand_below_whose_they_are(scenario: Tell) -> None:
    parent = f"batch-{os.getpid()}"
    story = scenario(f"""
services:
  own: {{{IDLE}, command: sleep infinity}}
  host: {{{IDLE}, command: sleep infinity, cgroup: host}}
  below: {{{IDLE}, command: sleep infinity, cgroup_parent: /{parent}}}
""")
    try:
        story.step("up -d", *(state(name, "running") for name in ("own", "host", "below")))
        found = {each["service"]: each for each in story.engine.ask("/stacks/shop/containers")}
        group = f"orchestr8-{story.engine.instance}"
        assert found["own"]["id"] not in story.step("exec -T own cat /proc/self/cgroup").out
        assert f"/{group}/{found['host']['id']}\n" in story.step("exec -T host cat /proc/self/cgroup").out
        assert (
            f"/{parent}/{group}/{found['below']['id']}\n" in Path(f"/proc/{found['below']['pid']}/cgroup").read_text()
        )
        story.step("down", containers())
    finally:
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            directory = f"{line.split()[4]}/{parent}"
            if " - cgroup" in line and os.path.isdir(directory):
                os.rmdir(directory)


def test_the_root_and_what_lies_over_it(scenario: Tell) -> None:
    look = (
        "sh -c 'touch /opt/x 2>/dev/null; echo root $$?; touch /scratch/x; echo over $$?; grep /scratch /proc/mounts'"
    )
    story = scenario(f"""
services:
  usual: {{{IDLE}, command: {look}, tmpfs: /scratch}}
  fixed: {{{IDLE}, command: {look}, tmpfs: "/scratch:size=1m,mode=0700", read_only: true}}
""")
    story.step("up -d", *(eventually(state(name, "exited")) for name in ("usual", "fixed")))
    story.check(log("usual", "root 0", "over 0", "tmpfs /scratch"))
    story.check(log("fixed", "root 1", "over 0", "tmpfs /scratch", "size=1024k", "mode=700"))
