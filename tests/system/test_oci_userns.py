"""User namespaces of the OCI command line: as podman (`--userns=auto`) and dockerd (`--userns-remap`) ask for them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.oci_lab import Runtime

pytestmark = [pytest.mark.system, requires("root"), needs_busybox]

BASE, SIZE = 700_000, 3000
KINDS = ("pid", "mount", "ipc", "uts", "network", "cgroup", "user")
UIDS = [{"containerID": 0, "hostID": BASE, "size": 1000}, {"containerID": 2000, "hostID": BASE + 5000, "size": SIZE}]
GIDS = [{"containerID": 0, "hostID": BASE + 20_000, "size": SIZE}]
ALL = [
    "CAP_SYS_ADMIN",
    "CAP_NET_ADMIN",
    "CAP_CHOWN",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_MKNOD",
    "CAP_KILL",
    "CAP_DAC_OVERRIDE",
]
RIGHTS = {"capabilities": dict.fromkeys(("bounding", "effective", "permitted"), ALL)}


def mapped(**linux: Any) -> dict[str, Any]:
    return {"namespaces": [{"type": kind} for kind in KINDS], "uidMappings": UIDS, "gidMappings": GIDS, **linux}


def give(oci: Runtime) -> None:
    """As whoever makes the root does: its files have the host's numbers for the container's."""
    for folder, folders, files in os.walk(oci.bundle / "rootfs"):
        for name in (".", *folders, *files):
            os.chown(f"{folder}/{name}", BASE, BASE + 20_000, follow_symlinks=False)


def test_its_ids_are_those_of_the_document(oci: Runtime) -> None:
    give(oci)
    script = """
        cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '
        id -u; stat -c '%u:%g %n' / /bin/busybox /dev /dev/null /dev/pts /scratch; touch /made /dev/made
        stat -c '%u:%g %n' /made /dev/made; chown 2999:7 /made; chown 1500 /made || echo nobody has 1500
    """
    document = oci.document("sh", "-c", script, process=RIGHTS, linux=mapped())
    document["mounts"].append(
        {"destination": "/scratch", "type": "tmpfs", "source": "x", "options": ["uid=2001", "gid=5", "mode=700"]}
    )
    (oci.bundle / "config.json").write_text(json.dumps(document))
    done = oci("run", "--bundle", str(oci.bundle), oci.name)
    assert done.stdout.splitlines() == [
        f" 0 {BASE} 1000", f" 2000 {BASE + 5000} {SIZE}", f" 0 {BASE + 20_000} {SIZE}", "0",
        "0:0 /", "0:0 /bin/busybox", "0:0 /dev", "0:0 /dev/null", "0:0 /dev/pts", "2001:5 /scratch", "0:0 /made", "0:0 /dev/made",
        "nobody has 1500",
    ]  # fmt: skip
    made = (oci.bundle / "rootfs/made").stat()
    assert (made.st_uid, made.st_gid) == (BASE + 5999, BASE + 20_007)


def test_network_host_name_and_ipc_are_its_roots_to_rule_and_the_machine_is_not(oci: Runtime) -> None:
    give(oci)
    script = """
        hostname renamed && hostname
        ip link set lo down && ip addr add 10.0.0.1/8 dev lo && echo network
        mount -t tmpfs none /tmp && mount -t mqueue none /tmp && echo mounts of its own
        cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax
        umount /proc/kcore || mount -o remount,bind,rw /proc/sys || mknod /dev/disk b 7 0 || dmesg -n 1 || echo walls
    """
    done = oci.run(
        "sh",
        "-c",
        script,
        process=RIGHTS,
        linux=mapped(sysctl={"net.ipv4.ip_unprivileged_port_start": "99", "kernel.msgmax": "4096"}),
    )
    assert done.stdout.splitlines() == ["renamed", "network", "mounts of its own", "99", "4096", "walls"]


def test_exec_is_in_it_and_so_are_terminals_and_signals(oci: Runtime) -> None:
    give(oci)
    oci.write("sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.02; done", linux=mapped())
    name, pid = oci.create()
    assert os.stat(f"/proc/{pid}").st_uid == BASE
    assert oci("exec", name, "id", "-u").stdout == "0\n"
    oci("start", name)
    links = "for kind in user net mnt cgroup; do readlink /proc/self/ns/$kind; done"
    there = oci("exec", name, "sh", "-c", links).stdout.split()
    assert there == [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in ("user", "net", "mnt", "cgroup")]
    assert oci(
        "exec", "--user", "2001:9", name, "sh", "-c", "id -u; id -g; cat /proc/1/cmdline >/dev/null 2>&1 || echo no"
    ).stdout.split()[:2] == ["2001", "9"]
    assert "CapEff:\t0000000008000020" in oci("exec", name, "cat", "/proc/self/status").stdout
    done = oci("exec", "--user", "1500", name, "id", code=255)
    assert done.stderr.count("\n") == 1
    oci("kill", name, "TERM")
    oci.wait("stopped")


def test_another_containers_can_be_joined(oci: Runtime, beside: Runtime) -> None:
    give(oci)
    oci.write("sleep", "1000", linux=mapped())
    _, pid = oci.create()
    other = beside
    give(other)
    shared = [{"type": kind} for kind in ("pid", "mount", "uts", "cgroup")]
    shared += [
        {"type": kind, "path": f"/proc/{pid}/ns/{file}"}
        for kind, file in (("user", "user"), ("network", "net"), ("ipc", "ipc"))
    ]
    script = "cat /proc/self/uid_map | tr -s ' '; hostname two && hostname; readlink /proc/self/ns/user; readlink /proc/self/ns/net; touch /made"
    done = other.run("sh", "-c", script, process=RIGHTS, linux={"namespaces": shared})
    assert done.stdout.splitlines() == [
        f" 0 {BASE} 1000", f" 2000 {BASE + 5000} {SIZE}", "two", os.readlink(f"/proc/{pid}/ns/user"), os.readlink(f"/proc/{pid}/ns/net"),
    ]  # fmt: skip
    assert (other.bundle / "rootfs/made").stat().st_uid == BASE


@requires("id_mapped_tmp")
@pytest.mark.parametrize(
    "asked",
    [{"options": ["rbind", "ridmap"]}, {"options": ["bind", "idmap"]}, {"uidMappings": UIDS, "gidMappings": GIDS}],
)
def test_ids_of_a_mount_are_mapped_where_it_says_so(oci: Runtime, asked: dict[str, Any]) -> None:
    give(oci)
    folder = oci.folder / "folder"
    folder.mkdir()
    (folder / "theirs").touch()
    os.chown(folder / "theirs", 2001, 33)
    document = oci.document(
        "sh", "-c", "stat -c '%u:%g %n' /mapped /mapped/theirs /plain/theirs; touch /mapped/mine", linux=mapped()
    )
    document["mounts"] += [
        {"destination": "/mapped", "type": "bind", "source": str(folder), "options": ["bind"], **asked},
        {"destination": "/plain", "type": "bind", "source": str(folder), "options": ["bind"]},
    ]
    (oci.bundle / "config.json").write_text(json.dumps(document))
    said = oci("run", "--bundle", str(oci.bundle), oci.name).stdout.splitlines()
    assert said == ["0:0 /mapped", "2001:33 /mapped/theirs", "65534:65534 /plain/theirs"]
    assert (folder / "mine").stat().st_uid == 0


@requires("id_mapped_tmp")
def test_a_mount_has_ids_of_its_own_without_a_user_namespace(oci: Runtime) -> None:
    folder = oci.folder / "folder"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    ids = [{"containerID": 1000, "hostID": 7, "size": 1}]
    document = oci.document("stat", "-c", "%u:%g", "/mapped")
    document["mounts"].append(
        {
            "destination": "/mapped",
            "type": "bind",
            "source": str(folder),
            "options": ["bind", "ro"],
            "uidMappings": ids,
            "gidMappings": ids,
        }
    )
    (oci.bundle / "config.json").write_text(json.dumps(document))
    assert oci("run", "--bundle", str(oci.bundle), oci.name).stdout == "7:7\n"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no root": ({"uidMappings": [{"containerID": 1, "hostID": 5, "size": 3}]}, "linux.uidMappings must have a user namespace's 0"),
    "no mapping": ({"gidMappings": None}, "linux.gidMappings must have a user namespace's 0"),
    "no numbers": ({"uidMappings": [{"containerID": 0, "hostID": -5, "size": 3}]}, "linux.uidMappings[0].hostID must be an integer from 0 to 4294967295"),
    "no ids": ({"gidMappings": [{"containerID": 0, "hostID": 5, "size": 0}]}, "linux.gidMappings[0].size must be an integer from 1 to 4294967295"),
    "ids twice": ({"uidMappings": [UIDS[0], UIDS[0]]}, "the user namespace cannot be had: Invalid argument"),
    "mappings without namespace": ({"namespaces": [{"type": kind} for kind in KINDS[:-1]]}, "are for a user namespace"),
    "no such namespace": ({"namespaces": [*({"type": kind} for kind in KINDS[:-1]), {"type": "user", "path": "/nowhere"}]}, "cannot be joined"),
    "no user namespace": ({"namespaces": [*({"type": kind} for kind in KINDS[:-1]), {"type": "user", "path": "/proc/self/ns/net"}]}, "user namespace"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_mapped_is_one_error_and_nothing_is_made(oci: Runtime, case: str) -> None:
    linux, message = REFUSED[case]
    oci.write("true", linux=mapped(**linux))
    done = oci("create", "--bundle", str(oci.bundle), oci.name, code=1)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (oci.root / oci.name).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": ["bind", "idmap"]}, "there are no ids to map it with"),
        ({"options": ["bind", "idmap=uids=0-1-1"]}, "option idmap=uids=0-1-1 is not supported"),
        ({"type": "tmpfs", "options": ["idmap"]}, "ids are mapped of what is bound only"),
        ({"options": ["bind"], "uidMappings": UIDS}, "uidMappings and gidMappings go together"),
        ({"options": ["bind"], "uidMappings": UIDS, "gidMappings": UIDS, "source": "/proc"}, "has no id-mapped mounts"),
    ],
)
def test_ids_that_a_mount_cannot_have_are_told(oci: Runtime, changes: dict[str, Any], message: str) -> None:
    document = oci.document("true")
    document["mounts"].append({"destination": "/mapped", "type": "bind", "source": str(Path("/etc")), **changes})
    (oci.bundle / "config.json").write_text(json.dumps(document))
    done = oci("create", "--bundle", str(oci.bundle), oci.name, code=1)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
