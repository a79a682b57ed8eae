"""Limits: what no kernel can have together is told at its place before anything starts."""

import pytest


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ("mem_limit: 5m", "4:16: error[O8-305] `services.web`: a container needs at least 6m of memory"),
        ("deploy: {resources: {limits: {memory: 5m}}}", "4:43: error[O8-305] `services.web`: a container needs at least 6m"),
        ("memswap_limit: 64m", ("4:20: error[O8-305] `services.web.memswap_limit` is for memory and swap together, and needs "
                               "a mem_limit")),
        ("mem_limit: 64m\nmemswap_limit: 32m", ("5:20: error[O8-305] `services.web.memswap_limit` is for memory and swap "
                                               "together: it cannot be less than mem_limit")),
        ("mem_limit: 64m\nmem_reservation: 65m", "5:22: error[O8-305] `services.web`: more memory is reserved than"),
        ("mem_swappiness: 101", "4:21: error[O8-305] `services.web.mem_swappiness` is a percentage, found 101"),
        ("cpus: 0.5\ncpu_quota: 50000", "5:16: error[O8-305] `services.web`: cpus and cpu_quota exclude each other"),
        ("cpu_period: 100ms\ndeploy: {resources: {limits: {cpus: '1'}}}",
         "4:17: error[O8-305] `services.web`: cpus and cpu_period exclude each other"),
        ("cpu_period: 2s", ("4:17: error[O8-305] `services.web.cpu_period`: the kernel takes 1000 to 1000000 microseconds, "
                           "found 2000000")),
        ("cpu_quota: 999", "4:16: error[O8-305] `services.web.cpu_quota`: the kernel takes at least 1000 microseconds"),
        ("cpu_shares: 1", "4:17: error[O8-305] `services.web.cpu_shares`: the kernel takes 2 to 262144, found 1"),
        ("cpu_rt_runtime: 2s", "4:21: error[O8-305] `services.web`: cpu_rt_runtime is more than its period of 1000000 micro"),
        ("blkio_config: {weight: 9}", "4:28: error[O8-305] `services.web.blkio_config.weight`: the kernel takes 10 to 1000"),
        ("cpuset: all", "4:13: error[O8-305] `services.web.cpuset` must be a list of processors such as 0-3 or 0,2, found"),
        ("cgroup_parent: ../up", "4:20: error[O8-305] `services.web.cgroup_parent` must be the path of a cgroup such as"),
        ("device_cgroup_rules: ['c 1:3 rwm', 'c 1 r']",
         "4:40: error[O8-305] `services.web.device_cgroup_rules[1]`: `c 1 r` is not a device rule"),
        ("ulimits: {nofiles: 5}", "4:15: error[O8-305] `services.web.ulimits.nofiles`: the kernel has no such limit"),
        ("ulimits: {nofile: {soft: 9, hard: 5}}", "4:23: error[O8-305] `services.web.ulimits.nofile`: the soft limit is above"),
        ("ulimits: {nofile: {soft: -1, hard: 5}}", "4:23: error[O8-305] `services.web.ulimits.nofile`: the soft limit is above"),
        ("cgroup: service:db", "4:13: error[O8-110] `services.web.cgroup: service:db` is not supported yet"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_who_acts_and_told_by_who_looks(service, lines: str, error: str) -> None:
    other = "  db: {image: x}\n" if "service:db" in lines else ""
    (found,) = service(lines, other).errors
    assert found.startswith(f"stack.yml:{error}")
    looked = service(lines, other, acting=False)
    assert looked.errors == []
    assert [warning for warning in looked.warnings if warning.startswith(f"stack.yml:{error.split(':')[0]}:")]


@pytest.mark.parametrize(
    "lines",
    [
        "mem_limit: 6m\nmemswap_limit: -1\nmem_reservation: 6m\nmem_swappiness: 0",
        "mem_limit: 64m\nmemswap_limit: 64m\nmem_swappiness: -1",
        "memswap_limit: -1", "mem_limit: -1\nmem_reservation: 1g",
        "cpus: 0.5\ncpu_shares: 2\ncpuset: 0-1,3", "cpu_quota: -1\ncpu_period: 1000", "cpu_rt_runtime: 950ms",
        "deploy: {resources: {limits: {memory: 64m, cpus: '0.1', pids: 5}, reservations: {memory: 32m}}}",
        "blkio_config: {weight: 0}", "cgroup_parent: /a/b.slice/", "cgroup_parent: batch", "cgroup: host", "pids_limit: -1",
        "device_cgroup_rules: ['c *:* m', 'b 8:* rw', 'a *:* rwm']",
        "ulimits: {nofile: {soft: 5, hard: -1}, core: 0, rtprio: {soft: 0, hard: 0}}",
    ],
)  # fmt: skip
def test_what_can_be_is_taken(service, lines: str) -> None:
    found = service(lines)
    assert (found.errors, found.warnings) == ([], [])


@pytest.mark.parametrize("key", ["cpu_count: 2", "cpu_percent: 50", "deploy: {resources: {reservations: {cpus: '1'}}}"])
def test_what_speaks_to_windows_or_a_cluster_is_only_told(service, key: str) -> None:
    found = service(key)
    assert found.errors == []
    assert "has no effect" in found.warnings[0]
