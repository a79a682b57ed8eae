"""What an IsolationSpec means: capabilities, parameters, devices, and what contradicts itself."""

import os
import stat

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.kernel.capabilities import DEFAULT, NAMES
from orchestr8.kernel.device_rules import DeviceRule
from orchestr8.model.specs import DeviceSpec, IsolationSpec
from orchestr8.runtime.confinement import (
    DeviceNode,
    capability_names,
    check_combination,
    check_sysctls,
    device_nodes,
)


def names(**spec: object) -> set[str]:
    return set(capability_names(IsolationSpec(**spec)))  # type: ignore[arg-type]


def test_capabilities_are_dockers_with_what_is_added_and_without_what_is_dropped() -> None:
    assert names() == set(DEFAULT)
    assert names(cap_add=("CAP_SYS_TIME",), cap_drop=("CAP_KILL",)) == {*DEFAULT, "CAP_SYS_TIME"} - {"CAP_KILL"}
    assert names(cap_drop=("ALL",)) == set()
    assert names(cap_drop=("ALL",), cap_add=("CAP_KILL",)) == {"CAP_KILL"}
    assert names(cap_add=("ALL",)) == set(NAMES)
    assert names(cap_add=("ALL",), cap_drop=("CAP_BPF",)) == set(NAMES) - {"CAP_BPF"}
    assert names(cap_add=("CAP_BPF",), cap_drop=("CAP_BPF",)) == set(DEFAULT)
    assert names(privileged=True, cap_drop=("ALL",)) == set(NAMES)


def test_they_come_in_the_kernels_order() -> None:
    assert capability_names(IsolationSpec(cap_drop=("ALL",), cap_add=("CAP_BPF", "CAP_CHOWN"))) == (
        "CAP_CHOWN",
        "CAP_BPF",
    )


def test_one_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="there is no capability CAP_FLY"):
        names(cap_add=("CAP_FLY",))


@pytest.mark.parametrize(
    "name", ["kernel.shmmax", "kernel.sem", "fs.mqueue.msg_max", "net.core.somaxconn", "net/ipv4/conf/eth0.1/x"]
)
def test_parameters_with_a_namespace_may_be_set(name: str) -> None:
    check_sysctls(IsolationSpec(sysctls=((name, "1"),)))


@pytest.mark.parametrize(
    "name", ["kernel.panic", "vm.swappiness", "fs.file-max", "net", "", "..", "net/../kernel/panic", "kernel..sem"]
)
def test_others_are_the_machines(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_sysctls(IsolationSpec(sysctls=((name, "1"),)))
    assert caught.value.code == "O8-615"


def test_a_parameter_of_a_shared_namespace_is_not_the_containers() -> None:
    spec = IsolationSpec(ipc="host", sysctls=(("kernel.sem", "1"),))
    with pytest.raises(InvalidInput, match="shares its ipc namespace"):
        check_sysctls(spec)
    with pytest.raises(InvalidInput, match="shares its network namespace"):
        check_sysctls(IsolationSpec(sysctls=(("net.core.somaxconn", "1"),)), host_network=True)
    check_sysctls(IsolationSpec(ipc="none", sysctls=(("kernel.sem", "1"),)))


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InvalidInput, match="`privileged` and `userns_mode: private`"):
        check_combination(IsolationSpec(privileged=True, user_namespace=True), "")
    with pytest.raises(InvalidInput, match="`hostname` and `uts: host`"):
        check_combination(IsolationSpec(uts="host"), "web")
    check_combination(IsolationSpec(uts="host", privileged=True), "")


def test_a_device_keeps_its_numbers_mode_and_owner() -> None:
    status = os.stat("/dev/null")
    spec = IsolationSpec(devices=(DeviceSpec(source="/dev/null", target="/dev/nothing", access="r"),))
    (node,) = device_nodes(spec)
    mode = stat.S_IMODE(status.st_mode)
    assert node == DeviceNode("/dev/nothing", "c", 1, 3, mode, status.st_uid, status.st_gid, "r")
    assert node.rule() == DeviceRule("c", 1, 3, "r")
    assert node.oci() == {
        "path": "/dev/nothing", "type": "c", "major": 1, "minor": 3, "fileMode": mode, "uid": status.st_uid, "gid": status.st_gid,
    }  # fmt: skip


def test_the_last_device_at_a_place_is_the_one() -> None:
    both = tuple(DeviceSpec(source=source, target="/dev/x") for source in ("/dev/null", "/dev/zero"))
    (node,) = device_nodes(IsolationSpec(devices=both))
    assert node.minor == 5


def test_a_directory_stands_for_the_devices_below_it_and_privileged_for_all() -> None:
    below = device_nodes(IsolationSpec(devices=(DeviceSpec(source="/dev", target="/mine"),)))
    assert all(node.path.startswith("/mine/") for node in below)
    everybodys = {"/dev/null", "/dev/tty", "/dev/ptmx", "/dev/console"}
    assert not everybodys & {node.path for node in device_nodes(IsolationSpec(privileged=True))}


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("/dev/nosuch", "No such file"),
        ("/etc/passwd", "is a file, not a device"),
        ("vendor.com/gpu=0", "CDI"),
        ("/etc/opt", "no device"),
    ],
)
def test_what_is_no_device_is_refused(source: str, error: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        device_nodes(IsolationSpec(devices=(DeviceSpec(source=source, target="/dev/x"),)))
    assert error in f"{caught.value.message} {caught.value.helps}"
    assert caught.value.code == "O8-616"
