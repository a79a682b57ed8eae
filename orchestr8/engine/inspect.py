"""A container as `docker inspect` shows it: Docker's names for what is known here, and nothing where there is nothing.

Pure. Names and units: Docker Engine API v1.47, ContainerInspect.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

from orchestr8.model.backend import ProbeResult
from orchestr8.model.ids import VolumeName
from orchestr8.model.observed import ContainerState, ObservedContainer, ObservedVolume
from orchestr8.model.records import HealthRecord
from orchestr8.model.specs import ContainerSpec, HealthcheckSpec, MountKind, MountSpec, RestartMode

_NEVER: Final = "0001-01-01T00:00:00Z"  # Docker's word for a moment that has not come
_NANOSECONDS: Final = 1_000_000_000
_SHM_BYTES: Final = 64 << 20


def describe(
    container: ObservedContainer,
    spec: ContainerSpec,
    volumes: Mapping[VolumeName, ObservedVolume],
    health: HealthRecord | None = None,
) -> dict[str, Any]:
    """The document of one container. `health`: of its last run, where it was probed."""
    return {
        "Id": container.id,
        "Created": moment(container.created_at),
        "Path": container.command[0] if container.command else "",
        "Args": list(container.command[1:]),
        "State": _state(container, health),
        "Image": container.image,
        "Name": f"/{container.name}",
        "RestartCount": container.restarts,
        "Driver": "overlay",
        "Platform": "linux",
        "HostConfig": _host_config(spec),
        "Mounts": [_mount(each, volumes) for each in spec.mounted],
        "Config": _config(container, spec),
        "NetworkSettings": {
            "Ports": _bound_ports(container, spec),
            "Networks": {
                each.network: {
                    "Aliases": list(each.aliases),
                    "IPAddress": next(iter(container.addresses.get(each.network, ())), ""),
                }
                for each in spec.networks
            },
        },
    }


def moment(seconds: float) -> str:
    """Unix time as RFC 3339."""
    if not seconds:
        return _NEVER
    whole, microseconds = divmod(round(seconds * 1e6), 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{microseconds:06d}Z"


def _state(container: ObservedContainer, health: HealthRecord | None) -> dict[str, Any]:
    running = container.state is ContainerState.RUNNING
    found: dict[str, Any] = {
        "Status": "paused" if container.paused else container.state.value,
        "Running": running,
        "Paused": container.paused,
        "OOMKilled": container.oom_killed,
        "Pid": container.pid,
        "ExitCode": container.exit_code or 0,
        "Error": container.error,
        "StartedAt": moment(container.started_at),
        "FinishedAt": moment(container.finished_at),
    }
    status = health.status if health is not None else container.health
    if status is not None:
        found["Health"] = {
            "Status": status.value,
            "FailingStreak": health.failing_streak if health is not None else 0,
            "Log": [_probe(each) for each in health.results] if health is not None else [],
        }
    return found


def _probe(result: ProbeResult) -> dict[str, Any]:
    """Exit code -1: it did not end in its time, or could not be run."""
    return {
        "Start": moment(result.started_at),
        "End": moment(result.ended_at),
        "ExitCode": -1 if result.exit_code is None else result.exit_code,
        "Output": result.output,
    }


def _config(container: ObservedContainer, spec: ContainerSpec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Hostname": spec.hostname or container.id,
        "Domainname": spec.isolation.domainname,
        "User": spec.user,
        "Tty": spec.tty,
        "OpenStdin": spec.stdin_open,
        "Env": [f"{key}={value}" for key, value in spec.environment],
        "Cmd": None if spec.command is None else list(spec.command),
        "Image": spec.image,
        "WorkingDir": spec.working_dir,
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "Labels": container.labels,
        "StopSignal": spec.stop_signal,
        "StopTimeout": int(spec.stop_timeout_s),
    }
    if spec.healthcheck is not None:
        found["Healthcheck"] = _healthcheck(spec.healthcheck)
    return found


def _healthcheck(check: HealthcheckSpec) -> dict[str, Any]:
    """Times in nanoseconds."""
    return {
        "Test": list(check.test),
        "Interval": round(check.interval_s * _NANOSECONDS),
        "Timeout": round(check.timeout_s * _NANOSECONDS),
        "Retries": check.retries,
        "StartPeriod": round(check.start_period_s * _NANOSECONDS),
        "StartInterval": round(check.start_interval_s * _NANOSECONDS),
    }


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    limits, isolation = spec.resources, spec.isolation
    options = ["no-new-privileges"] if isolation.no_new_privileges else []
    options += [f"seccomp={isolation.seccomp}"] if isolation.seccomp else []
    options += [] if isolation.system_paths else ["systempaths=unconfined"]
    return {
        "RestartPolicy": {
            "Name": spec.restart.mode.value if spec.restart.mode is not RestartMode.NO else "no",
            "MaximumRetryCount": spec.restart.max_retries,
        },
        "LogConfig": {"Type": spec.logging.driver.value, "Config": dict(spec.logging.options)},
        "Init": spec.init,
        "Privileged": isolation.privileged,
        "ReadonlyRootfs": spec.read_only,
        "CapAdd": list(isolation.cap_add),
        "CapDrop": list(isolation.cap_drop),
        "GroupAdd": list(isolation.groups),
        "SecurityOpt": options,
        "PidMode": isolation.pid,
        "IpcMode": isolation.ipc,
        "UTSMode": isolation.uts,
        "UsernsMode": "private" if isolation.user_namespace else "",
        "ShmSize": spec.shm_size_bytes or _SHM_BYTES,
        "Sysctls": dict(isolation.sysctls),
        "Devices": [
            {"PathOnHost": each.source, "PathInContainer": each.target, "CgroupPermissions": each.access}
            for each in isolation.devices
        ],
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in limits.ulimits],
        "Memory": limits.memory_max_bytes,
        "MemoryReservation": limits.memory_reservation_bytes,
        "MemorySwap": limits.memory_swap_max_bytes,
        "NanoCpus": round(limits.cpus * _NANOSECONDS),
        "CpuShares": limits.cpu_shares,
        "CpuQuota": limits.cpu_quota_us,
        "CpuPeriod": limits.cpu_period_us,
        "CpusetCpus": limits.cpuset,
        "PidsLimit": limits.pids_max,
        "OomKillDisable": limits.oom_kill_disable,
        "OomScoreAdj": limits.oom_score_adj,
        "CgroupParent": limits.cgroup_parent,
        "PortBindings": {
            f"{each.target}/{each.protocol}": [{"HostIp": each.host_ip, "HostPort": _asked(each.published_first)}]
            for each in spec.ports
        },
    }


def _asked(port: int) -> str:
    """Docker's: "" for a port that the engine is to choose."""
    return str(port) if port else ""


def _mount(mount: MountSpec, volumes: Mapping[VolumeName, ObservedVolume]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Type": mount.kind.value,
        "Source": mount.source,
        "Destination": mount.target,
        "RW": not mount.read_only,
    }
    if mount.kind is MountKind.BIND:
        found["Propagation"] = mount.propagation
    elif mount.kind is MountKind.VOLUME:
        volume = volumes.get(VolumeName(mount.source))
        found |= {"Name": mount.source, "Source": volume.path if volume is not None else ""}
    return found


def _bound_ports(container: ObservedContainer, spec: ContainerSpec) -> dict[str, list[dict[str, str]] | None]:
    """Of a container that does not run, which ones it would publish."""
    found: dict[str, list[dict[str, str]] | None] = {f"{each.target}/{each.protocol}": None for each in spec.ports}
    for port in container.ports if container.state is ContainerState.RUNNING else ():
        bound = found.get(f"{port.target}/{port.protocol}") or []
        found[f"{port.target}/{port.protocol}"] = [*bound, {"HostIp": port.host_ip, "HostPort": str(port.published)}]
    return found
