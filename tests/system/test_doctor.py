"""`orchestr8 doctor` on this very machine: what it has is found, what it lacks is named, and nothing stays."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root")]
# PR_CAPBSET_DROP of CAP_NET_ADMIN, <linux/prctl.h> and <linux/capability.h>
WITHOUT_NET_ADMIN = (
    "import ctypes, os, sys; assert not ctypes.CDLL(None).prctl(24, 12); os.execv(sys.argv[1], sys.argv[1:])"
)
NOBODY = 65534


def doctor(root: Path | str, *before: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What was found, by name; `before` is put in front of the command."""
    words = [*before, sys.executable, "-m", "orchestr8", "--root", str(root), "doctor", "--format", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, "")
    return {each["name"]: each for each in json.loads(done.stdout)["checks"]}


def seen() -> dict[str, object]:
    """What could stay behind of a look, where the kernel shows it."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = sorted(line.split(" ", 2)[2] for line in file if "doctor" in line)
    groups = sorted(path for path, _, _ in os.walk("/sys/fs/cgroup") if "orchestr8-doctor" in path)
    links = sorted(name for name in os.listdir("/sys/class/net") if "doctor" in name)
    return {"mounts": mounts, "groups": groups, "links": links}


def test_what_this_machine_has_is_found_and_nothing_stays(tmp_path: Path) -> None:
    before = seen()
    found = doctor(tmp_path / "root")
    assert {name: each for name, each in found.items() if each["verdict"] == "missing"} == {}
    for name in ("overlay", "links", "nftables", "namespaces", "seccomp", "a container's group"):
        assert found[name]["verdict"] == "ok", found[name]
    assert seen() == before
    assert os.listdir(tmp_path) == []


def test_who_is_not_root_hears_what_can_be_said() -> None:
    found = doctor(
        "/var/lib/orchestr8-none", "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", code=1
    )
    assert found["root"]["verdict"] == "ok"
    assert found["overlay"]["verdict"] == "untried"
    assert found["openat2"]["verdict"] == "ok"
    assert [each["found"] for each in found.values() if each["verdict"] == "missing"] == [
        f"this is user {NOBODY}, who may not start an engine"
    ]


def test_a_right_that_is_missing_is_named_with_what_it_takes_away(tmp_path: Path) -> None:
    found = doctor(tmp_path, sys.executable, "-c", WITHOUT_NET_ADMIN, code=1)
    assert found["capabilities"]["found"] == "without CAP_NET_ADMIN"
    assert found["nftables"]["verdict"] == "missing"


def test_a_root_whose_files_cannot_be_layers_is_told(tmp_path: Path) -> None:
    """Overlay on overlay."""
    parts = {name: tmp_path / name for name in ("lower", "upper", "work", "root")}
    for path in parts.values():
        path.mkdir()
    options = f"lowerdir={parts['lower']},upperdir={parts['upper']},workdir={parts['work']}"
    script = f'mount -t overlay overlay -o {options} {parts["root"]} && exec "$@"'
    found = doctor(parts["root"], "unshare", "-m", "sh", "-c", script, "sh", code=1)
    assert found["overlay"]["verdict"] == "missing"
    assert found["overlay"]["remedy"] == "choose a --root (or ORCHESTR8_ROOT) on ext4, xfs or btrfs"


def test_cgroups_that_cannot_be_written_to_are_told(tmp_path: Path) -> None:
    script = 'for each in $(awk \'$3 ~ /^cgroup/ {print $2}\' /proc/mounts); do mount -o remount,bind,ro "$each"; done; exec "$@"'
    found = doctor(tmp_path, "unshare", "-m", "sh", "-c", script, "sh", code=1)
    assert found["a container's group"]["verdict"] == "missing"
    assert "mount the cgroup hierarchies read-write" in found["a container's group"]["remedy"]
