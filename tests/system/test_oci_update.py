"""`update` of the OCI command line: limits of a container in use, in both directions, all of them or none."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.oci_lab import Runtime, groups

pytestmark = [pytest.mark.system, requires("root"), needs_busybox]

MIB = 1 << 20
# v1's file, v2's
MEMORY = ("memory.limit_in_bytes", "memory.max")
PIDS = ("pids.max", "pids.max")
QUOTA = ("cpu.cfs_quota_us", "cpu.max")
SHARES = ("cpu.shares", "cpu.weight")


def value(oci: Runtime, names: tuple[str, str]) -> str:
    """What the group's file holds, in whichever hierarchy it is."""
    found = [f"{group}/{oci.name}/{name}" for group in groups() for name in names]
    (path,) = {path for path in found if os.path.exists(path)}
    return Path(path).read_text().strip()


@pytest.fixture
def limited(oci: Runtime) -> Runtime:
    resources = {
        "pids": {"limit": 33},
        "memory": {"limit": 64 * MIB, "swap": 96 * MIB},
        "cpu": {"quota": 50_000, "period": 100_000},
    }
    oci.write("sleep", "1000", linux={"resources": resources})
    oci.create()
    oci("start", oci.name)
    return oci


def test_limits_change_in_both_directions_and_the_rest_stays(limited: Runtime) -> None:
    for size in (256, 16, 512):
        limited("update", "--memory", f"{size}m", "--memory-swap", f"{2 * size}m", limited.name)
        assert value(limited, MEMORY) == str(size * MIB)
    limited("update", "--memory-swap=-1", limited.name)
    limited("update", "--memory", "700m", limited.name)
    assert value(limited, MEMORY) == str(700 * MIB)
    assert value(limited, PIDS) == "33"
    limited("update", "--pids-limit", "44", "--cpu-share", "512", limited.name)
    assert value(limited, PIDS) == "44"
    assert value(limited, SHARES) in {"512", "59"}
    limited("update", "--pids-limit=-1", limited.name)
    assert value(limited, PIDS) == "max"


def test_a_period_and_a_quota_change_whichever_way_they_stand(limited: Runtime) -> None:
    for quota, period in ((900_000, 1_000_000), (1_000, 2_000), (50_000, 100_000)):
        limited("update", "--cpu-period", str(period), "--cpu-quota", str(quota), limited.name)
        assert value(limited, QUOTA) in {str(quota), f"{quota} {period}"}


@pytest.mark.parametrize("source", ["-", "file"])
def test_resources_come_as_podman_and_containerd_give_them(limited: Runtime, source: str) -> None:
    asked: dict[str, Any] = {
        "devices": None, "memory": {"limit": 128 * MIB, "swap": 0}, "cpu": {"shares": 0, "cpus": "0"}, "pids": {"limit": 7}, "blockIO": {"weight": 0},
    }  # fmt: skip
    asked["memory"]["swap"] = 128 * MIB
    path = limited.folder / "resources.json"
    path.write_text(json.dumps(asked))
    stdin = path.read_bytes() if source == "-" else b""
    limited("update", "--resources", "-" if source == "-" else str(path), limited.name, stdin=stdin)
    assert value(limited, MEMORY) == str(128 * MIB)
    assert value(limited, PIDS) == "7"
    assert value(limited, ("cpuset.cpus", "cpuset.cpus")) == "0"


def test_what_cannot_be_is_one_error_and_nothing_changes(limited: Runtime) -> None:
    refused = {
        ("--memory", "128m"): "must not be less than memory alone",
        ("--memory", "lots"): "--memory lots: must be a number",
        ("--pids-limit", "12", "--cpuset-cpus", "4095"): "cannot set cpuset 4095",
        (): "nothing is to be changed",
    }
    for words, message in refused.items():
        done = limited("update", *words, limited.name, code=1)
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert value(limited, MEMORY) == str(64 * MIB)
    assert value(limited, PIDS) == "33"
    limited("kill", limited.name, "KILL")
    limited.wait("stopped")
    assert "cannot update a stopped container" in limited("update", "--pids-limit", "1", limited.name, code=1).stderr
