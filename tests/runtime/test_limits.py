"""Limits in OCI's words, as dockerd says them."""

from orchestr8.kernel.device_rules import DEFAULT_DEVICES, DeviceRule, oci_devices
from orchestr8.model.limits import BlockIoSpec, DeviceRate, ResourceSpec, UlimitSpec
from orchestr8.runtime.limits import block_devices, oci_resources, oci_rlimits

DISK = DeviceRate(path="/dev/vda", rate=1024)


def resources(**limits: object) -> dict:
    found = oci_resources(ResourceSpec(**limits), {"/dev/vda": (254, 0)})
    assert found.pop("devices") == oci_devices(DEFAULT_DEVICES)
    return found


def test_without_limits_there_are_only_devices() -> None:
    assert resources() == {}


def test_memory_and_swap_together_are_twice_the_memory_unless_said_otherwise() -> None:
    assert resources(memory_max_bytes=100) == {"memory": {"limit": 100, "swap": 200}}
    assert resources(memory_max_bytes=100, memory_swap_max_bytes=100) == {"memory": {"limit": 100, "swap": 100}}
    assert resources(memory_max_bytes=100, memory_swap_max_bytes=-1) == {"memory": {"limit": 100, "swap": -1}}
    assert resources(memory_max_bytes=2**62 + 1)["memory"]["swap"] == 2**63 - 1


def test_every_limit_has_its_field() -> None:
    found = resources(
        memory_reservation_bytes=5, memory_swappiness=0, oom_kill_disable=True, cpu_shares=2, cpu_quota_us=3000,
        cpu_period_us=4000, cpu_rt_runtime_us=5, cpu_rt_period_us=6, cpuset="0", pids_max=7,
        block_io=BlockIoSpec(weight=10, device_weights=(DISK,), read_bytes=(DISK,), write_bytes=(DISK,),
                             read_operations=(DISK,), write_operations=(DISK,)),
    )  # fmt: skip
    rate = [{"major": 254, "minor": 0, "rate": 1024}]
    assert found == {
        "memory": {"reservation": 5, "disableOOMKiller": True, "swappiness": 0},
        "cpu": {"shares": 2, "quota": 3000, "period": 4000, "realtimeRuntime": 5, "realtimePeriod": 6, "cpus": "0"},
        "pids": {"limit": 7},
        "blockIO": {
            "weight": 10, "weightDevice": [{"major": 254, "minor": 0, "weight": 1024}],
            "throttleReadBpsDevice": rate, "throttleWriteBpsDevice": rate,
            "throttleReadIOPSDevice": rate, "throttleWriteIOPSDevice": rate,
        },
    }  # fmt: skip


def test_a_tiny_share_of_a_processor_is_raised_to_what_the_kernel_takes() -> None:
    assert resources(cpus=0.001) == {"cpu": {"quota": 1000, "period": 100_000}}
    assert resources(cpus=1.5) == {"cpu": {"quota": 150_000, "period": 100_000}}


def test_further_devices_come_behind_the_usual_ones_and_rules_last() -> None:
    fuse = DeviceRule("c", 10, 229, "rw")
    found = oci_resources(ResourceSpec(device_rules=("b 8:* r",)), {}, [fuse])["devices"]
    assert found == oci_devices([*DEFAULT_DEVICES, fuse, DeviceRule("b", 8, -1, "r")])


def test_the_disks_to_look_up_are_named_once() -> None:
    io = BlockIoSpec(read_bytes=(DISK,), write_bytes=(DISK, DeviceRate(path="/dev/vdb", rate=1)))
    assert block_devices(ResourceSpec(block_io=io)) == ["/dev/vda", "/dev/vdb"]


def test_no_limit_of_a_process_is_infinity() -> None:
    limits = ResourceSpec(ulimits=(UlimitSpec(name="nofile", soft=5, hard=-1),))
    assert oci_rlimits(limits) == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 2**64 - 1}]
