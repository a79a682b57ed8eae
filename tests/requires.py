"""`@requires("root", "overlayfs")`: a test that is skipped, saying what is missing, where the machine lacks it."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Final

import pytest

from orchestr8.kernel import mount
from orchestr8.runtime.userns import make_namespace


def _mounted(fstype: str) -> bool:
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return any(line.partition(" - ")[2].split(" ", 1)[0] == fstype for line in file)


def _filesystem(name: str) -> bool:
    """Whether the kernel has it. A module that is not loaded yet is not listed, and mount(2) will load it."""
    with open("/proc/filesystems", encoding="utf-8") as file:
        listed = any(line.split()[-1] == name for line in file)
    modules = f"/lib/modules/{os.uname().release}/modules.dep"
    if listed or not os.path.exists(modules):
        return listed
    with open(modules, encoding="utf-8") as file:
        return any(f"/{name}.ko" in line for line in file)


def _maps_ids(path: str) -> bool:
    """Whether this file system can be mounted with other ids: 9p, say, cannot."""
    try:
        with contextlib.ExitStack() as opened:
            namespace = make_namespace(1 << 20, 1)
            opened.callback(os.close, namespace)
            tree = mount.open_tree(path)
            opened.callback(os.close, tree)
            mount.set_id_map(tree, namespace)
    except OSError:
        return False
    return True


_FACILITIES: Final[dict[str, Callable[[], bool]]] = {
    "root": lambda: os.geteuid() == 0,
    "id_mapped_root": lambda: os.geteuid() == 0 and _maps_ids("/"),
    "id_mapped_tmp": lambda: os.geteuid() == 0 and _maps_ids(tempfile.gettempdir()),
    "overlayfs": lambda: _filesystem("overlay"),
    "cgroup_v1": lambda: _mounted("cgroup"),
    "cgroup_v2": lambda: _mounted("cgroup2"),
    "network_namespaces": lambda: os.path.exists("/proc/self/ns/net"),
    "seccomp": lambda: os.path.exists("/proc/sys/kernel/seccomp/actions_avail"),
}


def requires(*facilities: str) -> pytest.MarkDecorator:
    """A facility of the table, or `program:NAME`."""
    missing = [name for name in facilities if not _there(name)]
    return pytest.mark.skipif(bool(missing), reason=f"this machine lacks: {', '.join(missing)}")


def _there(facility: str) -> bool:
    kind, _, name = facility.partition(":")
    if kind != "program":
        return _FACILITIES[facility]()
    return shutil.which(name, path=f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}") is not None
