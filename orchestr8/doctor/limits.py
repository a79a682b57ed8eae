"""How many files, processes, namespaces and watches there may be."""

import os
import resource
from collections.abc import Iterator
from typing import Final

from orchestr8.doctor.findings import Finding, Host, missing, ok, warning
from orchestr8.kernel.inotify import Inotify, InotifyMask

_FILES_MIN: Final = 4096  # an engine has some for each container
_PROCESSES_MIN: Final = 1000
_NAMESPACES_MIN: Final = 64
_WATCHES_MIN: Final = 1024


def inotify(_host: Host) -> Iterator[Finding]:
    """The engine follows logs by it: one instance, and a watch for each container."""
    most = _number("/proc/sys/fs/inotify/max_user_watches")
    try:
        watcher = Inotify()
        try:
            watcher.add("/", InotifyMask.CREATE)
        finally:
            watcher.close()
    except OSError as error:
        yield missing(
            "inotify", str(error),
            "sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024",
        )  # fmt: skip
        return
    if most < _WATCHES_MIN:
        yield warning("inotify", f"at most {most} watches", "sysctl fs.inotify.max_user_watches=524288")
    else:
        yield ok("inotify", f"{_number('/proc/sys/fs/inotify/max_user_instances')} instances, {most} watches a user")


def descriptors(_host: Host) -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "unlimited" if hard == resource.RLIM_INFINITY else f"{hard} a process"
    if hard != resource.RLIM_INFINITY and hard < _FILES_MIN:
        yield warning(
            "open files", f"{found}: an engine has some for each container", "ulimit -Hn 1048576, or LimitNOFILE="
        )
    else:
        yield ok("open files", found)


def processes(_host: Host) -> Iterator[Finding]:
    """What is left below the lowest of the limits that hold for whoever starts the engine."""
    now = sum(1 for name in os.listdir("/proc") if name.isdigit())
    limits = {
        "kernel.pid_max": _number("/proc/sys/kernel/pid_max"),
        "kernel.threads-max": _number("/proc/sys/kernel/threads-max"),
    }
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() and hard != resource.RLIM_INFINITY:  # it does not hold for root
        limits["ulimit -u"] = hard
    name = min(limits, key=lambda each: limits[each])
    if limits[name] - now < _PROCESSES_MIN:
        yield warning("processes", f"{now} of {limits[name]} ({name})", f"raise {name}")
    else:
        yield ok("processes", f"{now} of {limits[name]} ({name})")


def namespace_counts(_host: Host) -> Iterator[Finding]:
    """max_*_namespaces: each container takes one of most kinds (namespaces(7))."""
    found = {}
    for kind in ("mnt", "pid", "net", "uts", "ipc", "cgroup", "user"):
        most = _number(f"/proc/sys/user/max_{kind}_namespaces")
        if most < _NAMESPACES_MIN:
            yield warning("namespaces", f"at most {most} of kind {kind}", f"sysctl user.max_{kind}_namespaces=15000")
        found[kind] = most
    if min(found.values()) >= _NAMESPACES_MIN:
        yield ok("namespace limits", f"at least {min(found.values())} of each kind")


def _number(path: str) -> int:
    """What a file of the kernel's says; without the file there is no such limit."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 1 << 31
