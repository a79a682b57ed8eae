"""Machines with one kind of cgroups or another, as fakes."""

from pathlib import Path

import pytest

from tests.kernel.fake_cgroups import FakeKernel


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKernel:
    return FakeKernel(tmp_path, monkeypatch)


@pytest.fixture
def v1(kernel: FakeKernel) -> FakeKernel:
    for controllers in (("cpu", "cpuacct"), ("memory",), ("pids",), ("devices",), ("freezer",), ("blkio",)):
        kernel.mount_v1(*controllers)
    return kernel


@pytest.fixture
def hybrid(kernel: FakeKernel) -> FakeKernel:
    for controllers in (("cpu",), ("cpuacct",), ("memory",), ("pids",), ("devices",), ("freezer",), ("name=systemd",)):
        kernel.mount_v1(*controllers)
    kernel.mount_v2("unified")
    return kernel


@pytest.fixture
def v2(kernel: FakeKernel) -> FakeKernel:
    kernel.mount_v2("cgroup", "cpu", "memory", "pids")
    return kernel
