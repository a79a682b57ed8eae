"""Limits against this machine: its disks, and the rights of the engine."""

import os
from pathlib import Path

import pytest

from orchestr8.backends.native.limits import disk_numbers, not_allowed
from orchestr8.errors import InvalidInput, NotFound
from orchestr8.kernel import capabilities
from orchestr8.kernel.capabilities import DEFAULT, CapabilitySets
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.specs import ContainerSpec, IsolationSpec


def test_what_is_no_disk_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"blkio_config names /dev/absent: No such file") as absent:
        disk_numbers("/dev/absent")
    with pytest.raises(InvalidInput, match=r"blkio_config names /dev/null, which is no block device") as other:
        disk_numbers("/dev/null")
    assert {absent.value.code, other.value.code} == {"O8-412"}
    if os.geteuid() == 0:
        os.mknod(tmp_path / "disk", 0o060600, os.makedev(7, 3))
        assert disk_numbers(str(tmp_path / "disk")) == (7, 3)


@pytest.mark.parametrize("rights", [(), ("CAP_SYS_RESOURCE",)])
def test_a_score_below_zero_needs_a_right(monkeypatch: pytest.MonkeyPatch, rights: tuple[str, ...]) -> None:
    sets = CapabilitySets(effective=capabilities.mask(rights), permitted=0, inheritable=0)
    monkeypatch.setattr(capabilities, "read", lambda: sets)
    expected = [] if rights else ["oom_score_adj -5 is not in force: the engine lacks CAP_SYS_RESOURCE"]
    assert list(not_allowed(wanting(oom_score_adj=-5), DEFAULT)) == expected
    assert list(not_allowed(wanting(oom_score_adj=5), DEFAULT)) == []


def wanting(**limits: int) -> ContainerSpec:
    return ContainerSpec(image="rootfs:/", resources=ResourceSpec(**limits))


def test_a_capability_that_the_engine_lacks_is_told_to_who_asks_for_one() -> None:
    asking = ContainerSpec(image="rootfs:/", isolation=IsolationSpec(cap_add=("CAP_SYS_TIME",)))
    assert list(not_allowed(asking, (*DEFAULT, "CAP_SYS_TIME"))) == []
    assert list(not_allowed(asking, DEFAULT)) == ["this engine itself lacks CAP_SYS_TIME, so the container does too"]
    assert list(not_allowed(ContainerSpec(image="rootfs:/"), DEFAULT[1:])) == []
