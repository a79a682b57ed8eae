"""The OCI document of a container, and what its shim is told of it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestr8.errors import InvalidInput, Unsupported
from orchestr8.kernel.capabilities import oci_capabilities
from orchestr8.kernel.cgroup import CgroupPlace
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, oci_devices
from orchestr8.model.limits import ResourceSpec
from orchestr8.model.specs import ContainerSpec, LogDriver, LogSpec, MountKind, MountSpec
from orchestr8.runtime import bundle
from orchestr8.runtime.bundle import BundleRequest, build_document, command_of, environment_of, wants_reaper
from orchestr8.runtime.messages import Spawn
from orchestr8.runtime.users import User

SAFE = ["nosuid", "noexec", "nodev"]


def request(*, image: dict[str, Any] | None = None, **spec: Any) -> BundleRequest:
    """`image`: fields of the request other than the spec's."""
    return BundleRequest(
        container_id="0123456789ab",
        spec=ContainerSpec(**{"image": "rootfs:/srv/base", "command": ("serve",), **spec}),
        overlay="lowerdir=/l,upperdir=/u,workdir=/w",
        **(image or {}),
    )


def test_the_whole_document() -> None:
    document = build_document(
        request(
            image={
                "user": User(5, 6, (6, 7), "/home/five"),
                "cgroup_group": "orchestr8-ab/0123456789ab",
                "cgroup_views": [("memory", "cgroup", "memory"), ("unified", "cgroup2", "")],
                "seccomp_path": "/root/seccomp.bpf",
                "files": {"/etc/hosts": "/bundle/hosts"},
                "tmpfs_covers": [("/tmp", 0o1777)],
            },
            command=("serve", "--now"),
            environment=(("A", "1"),),
            stdin_open=True,
            resources=ResourceSpec(memory_max_bytes=1 << 20, cpus=1.5, pids_max=9),
        )
    )
    assert document == {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": False,
            "user": {"uid": 5, "gid": 6, "additionalGids": [6, 7]},
            "args": ["serve", "--now"],
            "env": [f"PATH={bundle.DEFAULT_PATH}", "HOSTNAME=0123456789ab", "HOME=/home/five", "A=1"],
            "cwd": "/",
            "capabilities": oci_capabilities(5),
            "noNewPrivileges": False,
            "oomScoreAdj": 0,
            "rlimits": [],
        },
        "root": {"path": "rootfs", "readonly": False},
        "hostname": "0123456789ab",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": SAFE},
            {
                "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
            },
            {
                "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
            },
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*SAFE, "mode=1777", "size=65536k"]},
            {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": SAFE},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
            {"destination": "/etc/hosts", "type": "bind", "source": "/bundle/hosts", "options": ["bind", "rprivate"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*SAFE, "ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*SAFE, "ro"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("mount", "pid", "network", "ipc", "uts", "cgroup")],
            "cgroupsPath": "/orchestr8-ab/0123456789ab",
            "resources": {
                "devices": oci_devices(DEFAULT_DEVICES),
                "memory": {"limit": 1 << 20, "swap": 2 << 20}, "cpu": {"quota": 150_000, "period": 100_000}, "pids": {"limit": 9},
            },
            "maskedPaths": [
                *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats"),
                *("/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats"),
                *("/sys/devices/virtual/powercap", "/sys/firmware"),
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
        "annotations": {
            "org.orchestr8.overlay": "lowerdir=/l,upperdir=/u,workdir=/w",
            "org.orchestr8.cgroup-mounts": '[["memory", "cgroup", "memory"], ["unified", "cgroup2", ""]]',
            "org.orchestr8.reaper": "true",
            "org.orchestr8.stdin": "true",
            "org.orchestr8.seccomp": "/root/seccomp.bpf",
        },
    }  # fmt: skip


def test_a_document_is_json_and_survives_it() -> None:
    document = build_document(request())
    assert json.loads(json.dumps(document)) == document


IMAGE = {"image_entrypoint": ("/entry",), "image_command": ("default",)}


@pytest.mark.parametrize(
    ("spec", "argv"),
    [
        ({"entrypoint": None, "command": None}, ["/entry", "default"]),
        ({"entrypoint": None, "command": ("mine",)}, ["/entry", "mine"]),
        ({"entrypoint": None, "command": ()}, ["/entry"]),
        ({"entrypoint": ("own",), "command": None}, ["own"]),
        ({"entrypoint": ("own",), "command": ("mine",)}, ["own", "mine"]),
        ({"entrypoint": (), "command": ("mine",)}, ["mine"]),
    ],
)
def test_an_entrypoint_of_the_users_drops_the_images_command(spec: dict[str, Any], argv: list[str]) -> None:
    assert command_of(request(image=IMAGE, **spec)) == argv


def test_a_container_without_any_command_is_told_what_to_add() -> None:
    with pytest.raises(InvalidInput, match="image rootfs:/srv/base says no command to run") as caught:
        build_document(request(command=None))
    assert caught.value.helps == ["add `command:` to the service"]


def test_the_environment_is_ours_then_the_images_then_the_users() -> None:
    image = {"image_environment": {"PATH": "/image", "A": "image", "B": "image", "HOME": "/image-home"}}
    made = request(
        image=image, environment=(("A", "user"), ("C", "x=y")), unset_environment=("B",), hostname="h", tty=True
    )
    assert environment_of(made) == ["PATH=/image", "HOSTNAME=h", "TERM=xterm", "HOME=/image-home", "A=user", "C=x=y"]


@pytest.mark.parametrize(
    ("spec", "reaper"),
    [
        ({"command": ("serve",)}, True),
        ({"command": ("/init",)}, False),
        ({"command": ("/usr/bin/tini", "--", "serve")}, False),
        ({"command": ("dumb-init", "serve")}, False),
        ({"command": ("/lib/systemd/systemd",)}, False),
        ({"command": ("/srv/init",)}, True),
        ({"command": ("/init",), "init": True}, True),
        ({"command": ("serve",), "init": False}, False),
    ],
)
def test_the_reaper_is_pid_1_unless_the_program_is_an_init_or_the_user_says_otherwise(
    spec: dict[str, Any], reaper: bool
) -> None:
    made = request(**spec)
    assert wants_reaper(made.spec, command_of(made)) == reaper


def test_mounts_of_the_user_come_last_and_from_the_root_downwards() -> None:
    wanted = (
        MountSpec(kind=MountKind.BIND, source="/b", target="/a/b/c"),
        MountSpec(kind=MountKind.VOLUME, source="data", target="/a/b"),
        MountSpec(kind=MountKind.TMPFS, target="/z", size_bytes=5, mode=0o700, options=("noatime",), read_only=True),
        MountSpec(kind=MountKind.BIND, source="/host", target="/a/", read_only=True),
    )
    made = build_document(request(image={"volume_paths": {"/a/b": "/volumes/data"}}, mounts=wanted))
    assert made["mounts"][7:] == [
        {"destination": "/a/", "type": "bind", "source": "/host", "options": ["rbind", "rprivate", "rro"]},
        {
            "destination": "/z",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": [*SAFE, "ro", "mode=700", "size=5", "noatime"],
        },
        {"destination": "/a/b", "type": "bind", "source": "/volumes/data", "options": ["rbind", "rprivate", "rw"]},
        {"destination": "/a/b/c", "type": "bind", "source": "/b", "options": ["rbind", "rprivate", "rw"]},
    ]


def test_what_the_user_mounts_takes_the_place_of_ours() -> None:
    wanted = tuple(MountSpec(kind=MountKind.TMPFS, target=target) for target in ("/dev/shm/", "/tmp", "/etc/hosts"))
    image = {"files": {"/etc/hosts": "/bundle/hosts"}, "tmpfs_covers": [("/tmp", 0o1777), ("/root", 0o700)]}
    made = build_document(request(image=image, mounts=wanted))
    places = [each["destination"].rstrip("/") for each in made["mounts"]]
    assert len(places) == len(set(places))
    assert places[-6:] == ["/root", "/sys", "/sys/fs/cgroup", "/tmp", "/dev/shm", "/etc/hosts"]


@pytest.mark.parametrize("target", ["/", "//", "/proc", "/proc/", "//proc", "/proc/sys/net", "/x/../proc", "/./proc/1"])
def test_nothing_is_mounted_on_the_root_or_in_proc(target: str) -> None:
    with pytest.raises(InvalidInput, match="nothing can be mounted on"):
        build_document(request(mounts=(MountSpec(kind=MountKind.TMPFS, target=target),)))


def test_a_time_namespace_where_the_kernel_has_them() -> None:
    def kinds(**image: Any) -> list[str]:
        return [each["type"] for each in build_document(request(image=image))["linux"]["namespaces"]]

    assert "time" not in kinds()
    assert kinds(has_time_namespaces=True)[-1] == "time"


def test_a_relative_working_directory_is_refused() -> None:
    with pytest.raises(InvalidInput, match="working_dir `srv` must be absolute"):
        build_document(request(working_dir="srv"))
    assert build_document(request(image={"image_working_dir": ""}))["process"]["cwd"] == "/"
    assert build_document(request(image={"image_working_dir": "/image"}))["process"]["cwd"] == "/image"


def test_what_the_runtime_does_not_do_is_refused_before_anything_is_made() -> None:
    with pytest.raises(Unsupported, match="a strange namespace of the container's own"):
        bundle.check({"linux": {"namespaces": [{"type": "mount"}, {"type": "strange"}]}})
    with pytest.raises(Unsupported, match="hooks"):
        bundle.check({"hooks": {"prestart": [{"path": "/x"}]}})
    bundle.check(build_document(request()))


def test_the_shim_is_told_what_it_needs_and_nothing_secret() -> None:
    document = build_document(
        request(
            tty=True, stdin_open=True, init=False, environment=(("PASSWORD", "secret"),), image={"seccomp_path": "/f"}
        )
    )
    place = CgroupPlace("group/id", "/sys/leaf", ("/sys/a/tasks", "/sys/b/tasks"))
    order = bundle.spawn_order(
        document,
        container_id="id",
        bundle="/bundle",
        socket_path="/run/s",
        place=place,
        oom_file="/sys/oom",
        default_filter="/other",
    )
    assert order == Spawn(
        container="id", bundle="/bundle", socket="/run/s", terminal=True, stdin=True, reaper=False, seccomp="/f",
        cgroup_files=("/sys/a/tasks", "/sys/b/tasks"), cgroup_leaf="/sys/leaf", oom_file="/sys/oom",
    )  # fmt: skip
    assert "secret" not in repr(order)


def test_the_shim_is_told_of_a_log_that_is_not_as_usual() -> None:
    spec = LogSpec(driver=LogDriver.NONE, max_bytes=5, max_files=2, compress=False)
    order = bundle.spawn_order(
        build_document(request(logging=spec)),
        container_id="id", bundle="/b", socket_path="/s", place=CgroupPlace("g", "", ()), oom_file="", default_filter="",
    )  # fmt: skip
    assert order.log == {"driver": "none", "kept": False, "max_bytes": 5, "max_files": 2, "compress": False}


def test_a_document_of_somebody_else_has_sensible_defaults() -> None:
    order = bundle.spawn_order(
        {"process": {"args": ["x"]}},
        container_id="id", bundle="/b", socket_path="/s", place=CgroupPlace("g", "", ()), oom_file="", default_filter="",
    )  # fmt: skip
    assert (order.terminal, order.stdin, order.reaper, order.seccomp) == (False, False, True, "")


def test_the_hosts_file_has_loopback_and_the_containers_own_names() -> None:
    assert bundle.hosts_file("web", ["10.9.0.2", "10.9.1.2"]).splitlines()[-2:] == ["10.9.0.2\tweb", "10.9.1.2\tweb"]
    assert bundle.hosts_file("web", []).splitlines()[0] == "127.0.0.1\tlocalhost"


def test_a_bundle_is_complete_when_its_config_is_there(tmp_path: Path) -> None:
    folder = str(tmp_path / "bundle")
    document = build_document(request())
    bundle.write(folder, document, {"hostname": "web\n"})
    assert sorted(os.listdir(folder)) == ["config.json", "hostname", "log", "rootfs"]
    assert bundle.read(folder) == document
    bundle.write(folder, {**document, "hostname": "other"}, {})
    assert bundle.read(folder)["hostname"] == "other"
    with pytest.raises(FileNotFoundError):
        bundle.read(str(tmp_path / "missing"))


@pytest.mark.parametrize(("own", "plain"), [("/f", True), ("/default", False), ("", False)])
def test_with_a_filter_of_its_own_pid_1_is_forked(own: str, plain: bool) -> None:
    """It may forbid what turns PID 1 into something else than a process with the memory of one of the host's."""
    order = bundle.spawn_order(
        build_document(request(image={"seccomp_path": own})),
        container_id="id", bundle="/b", socket_path="/s", place=CgroupPlace("g", "", ()), oom_file="", default_filter="/default",
    )  # fmt: skip
    assert order.plain is plain
