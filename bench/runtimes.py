"""`crun run --detach` as a whole process, given the bundle of a container of ours: beside create and start of that, inside
the engine.

Its overlay is mounted before the clock runs; ours mounts it within its time, and makes files, cgroups and a log.
"""

import contextlib
import copy
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from bench.errors import Unmeasurable
from bench.processes import Sample, run
from e2e.oci_peers import HIDE_V2, Peer
from orchestr8.kernel import mount
from orchestr8.kernel.namespaces import CloneFlag, setns, unshare


def measure(
    peer: Peer, document: dict[str, Any], rootfs: str, directory: str, count: int, environment: Mapping[str, str]
) -> list[Sample]:
    """One after the other; each is taken away before the next. Raises Unmeasurable."""
    given = with_files(document, directory)
    samples = []
    with own_mounts(peer.root):
        for _ in range(count):
            made = peer.make(given, rootfs, "--detach")
            target = f"{made.path}/rootfs"
            mount.mount("overlay", target, "overlay", made.overlay)
            try:
                samples.append(run(made.words, environment)[0])
            finally:
                peer.delete(made)
                mount.unmount(target, mount.MNT_DETACH)
    return samples


def with_files(document: dict[str, Any], directory: str) -> dict[str, Any]:
    """The document with files of our own in place of those that were bound from a bundle that is gone."""
    found = copy.deepcopy(document)
    for number, each in enumerate(found["mounts"]):
        if each["type"] == "bind" and not os.path.exists(each["source"]):
            each["source"] = f"{directory}/bound-{number}"
            with open(each["source"], "w", encoding="ascii"):
                pass
    return found


@contextlib.contextmanager
def own_mounts(root: str) -> Iterator[None]:
    """Move the calling thread into a mount namespace of its own, as the peer below `root` wants it; and back again."""
    here = os.getcwd()  # entering a mount namespace leads to its root
    home = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CloneFlag.NEWNS)
        try:
            done = subprocess.run(["sh", "-ec", HIDE_V2, "sh", root], check=False, capture_output=True, text=True)
            if done.returncode:
                raise Unmeasurable(f"no mounts of its own for the peer: {done.stderr.strip()}")
            yield
        finally:
            setns(home, CloneFlag.NEWNS)
            os.chdir(here)
    finally:
        os.close(home)
