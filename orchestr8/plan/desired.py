"""The canonical document as typed values: what the engine was asked for.

The document comes validated from `stack.load`; what is checked here is its shape, because the engine must not fall over
a document that some other client wrote. Whether things exist on this machine is asked by the verbs.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from orchestr8.errors import InvalidInput
from orchestr8.model import labels
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.specs import (
    AttachmentSpec,
    Condition,
    ContainerSpec,
    Dependency,
    Desired,
    HealthcheckSpec,
    NetworkSpec,
    Pairs,
    PortSpec,
    ServiceSpec,
    VolumeSpec,
)
from orchestr8.plan.confighash import config_hash
from orchestr8.plan.isolation import isolation
from orchestr8.plan.lending import lend_volumes
from orchestr8.plan.limits import resources_of
from orchestr8.plan.logging import log_spec
from orchestr8.plan.mounts import files_of, mounts_of
from orchestr8.plan.order import find_cycle
from orchestr8.plan.values import duration_s, restart_policy, size_bytes

__all__ = ["build_desired", "config_hash"]

Document = Mapping[str, Any]


def build_desired(document: Document) -> Desired:
    """Raises InvalidInput, naming the place, when `document` does not have the shape that `config` prints."""
    stack = StackName(_text(document, "name", "the document"))
    networks = {key: _network(stack, key, each or {}) for key, each in _mapping(document, "networks").items()}
    volumes = {key: _volume(stack, key, each or {}) for key, each in _mapping(document, "volumes").items()}
    meta = _mapping(document, "x-orchestr8")
    origins, contents = _mapping(meta, "origins"), _mapping(meta, "contents")
    profiles = _mapping(meta, "seccomp")
    services = {}
    for key, each in sorted(_mapping(document, "services").items()):
        try:
            service = _service(stack, key, each or {}, networks, volumes, profiles)
            services[ServiceName(key)] = _with_origins(service, each or {}, _mapping(origins, key), contents)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(f"services.{key}: not as `config` prints it: {error!r}") from error
    for service in services.values():
        for each in service.depends_on:
            if each.required and each.service not in services:
                raise InvalidInput(
                    f"service {service.name!r} depends on undefined service {each.service!r}", code="O8-204"
                )
    cycle = find_cycle({name: [each.service for each in spec.depends_on] for name, spec in services.items()})
    if cycle:
        raise InvalidInput(f"dependency cycle: {' -> '.join(cycle)}", code="O8-201")
    services = lend_volumes(stack, services, _mapping(document, "services"))
    return Desired(
        stack=stack,
        services={key: dataclasses.replace(each, config_hash=config_hash(each)) for key, each in services.items()},
        networks={each.name: each for each in networks.values()},
        volumes={each.name: each for each in volumes.values()},
        working_dir=str(meta.get("working_dir") or ""),
        config_files=tuple(map(str, meta.get("config_files") or ())),
        disabled=frozenset(ServiceName(str(each)) for each in meta.get("disabled_services") or ()),
    )


def _network(stack: StackName, key: str, content: Document) -> NetworkSpec:
    external = bool(content.get("external"))
    pools = (content.get("ipam") or {}).get("config") or [{}]
    own = {} if external else {labels.PROJECT: stack, labels.NETWORK: key}
    return NetworkSpec(
        name=NetworkName(str(content.get("name") or (key if external else f"{stack}_{key}"))),
        key=key,
        external=external,
        subnet=str(pools[0].get("subnet") or ""),
        labels=_pairs({**(content.get("labels") or {}), **own}),
    )


def _volume(stack: StackName, key: str, content: Document) -> VolumeSpec:
    external = bool(content.get("external"))
    own = {} if external else {labels.PROJECT: stack, labels.VOLUME: key}
    return VolumeSpec(
        name=VolumeName(str(content.get("name") or (key if external else f"{stack}_{key}"))),
        key=key,
        external=external,
        labels=_pairs({**(content.get("labels") or {}), **own}),
    )


def _service(
    stack: StackName,
    key: str,
    content: Document,
    networks: Mapping[str, NetworkSpec],
    volumes: Mapping[str, VolumeSpec],
    profiles: Document,
) -> ServiceSpec:
    where = f"services.{key}"
    replicas = content.get("scale")
    if replicas is None:
        replicas = (content.get("deploy") or {}).get("replicas")
    container_name = content.get("container_name")
    service = ServiceSpec(
        name=ServiceName(key),
        container=_container(stack, where, content, networks, volumes, profiles),
        replicas=1 if replicas is None else int(replicas),
        container_name=ContainerName(str(container_name)) if container_name else None,
        depends_on=_dependencies(content.get("depends_on") or {}),
    )
    if service.container_name and service.replicas > 1:
        raise InvalidInput(f"{where}: container_name allows one replica, not {service.replicas}", code="O8-202")
    return service


def _with_origins(service: ServiceSpec, content: Document, origins: Document, contents: Document) -> ServiceSpec:
    """With what the client knows besides the document: where settings came from, and digests of what files hold."""
    granted = {
        f"{section}.{each['source']}": str(contents.get(f"{section}.{each['source']}", ""))
        for section in ("configs", "secrets")
        for each in content.get(section) or ()
    }
    container = dataclasses.replace(service.container, contents=_pairs(granted), origins=_pairs(origins))
    return dataclasses.replace(service, container=container)


def _container(
    stack: StackName,
    where: str,
    content: Document,
    networks: Mapping[str, NetworkSpec],
    volumes: Mapping[str, VolumeSpec],
    profiles: Document,
) -> ContainerSpec:
    environment = content.get("environment") or {}
    attachments = [_attachment(where, name, each or {}, networks) for name, each in _networks_of(content).items()]
    return ContainerSpec(
        image=_text(content, "image", where),
        entrypoint=_command(content.get("entrypoint")),
        command=_command(content.get("command")),
        environment=_pairs({name: value for name, value in environment.items() if value is not None}),
        unset_environment=tuple(sorted(name for name, value in environment.items() if value is None)),
        working_dir=str(content.get("working_dir") or ""),
        user=str(content.get("user") or ""),
        hostname=str(content.get("hostname") or ""),
        init=content.get("init"),
        tty=bool(content.get("tty")),
        stdin_open=bool(content.get("stdin_open")),
        read_only=bool(content.get("read_only")),
        mounts=mounts_of(stack, where, content, volumes),
        files=files_of(where, content),
        storage_bytes=size_bytes((content.get("storage_opt") or {}).get("size") or 0, f"{where}.storage_opt.size"),
        shm_size_bytes=size_bytes(content.get("shm_size") or 0, f"{where}.shm_size"),
        networks=tuple(sorted(attachments, key=lambda each: each.network)),
        ports=tuple(sorted((_port(where, each) for each in content.get("ports") or ()), key=_port_order)),
        labels=_pairs(content.get("labels") or {}),
        stop_signal=str(content.get("stop_signal") or "SIGTERM"),
        stop_timeout_s=duration_s(content.get("stop_grace_period", 10.0), f"{where}.stop_grace_period"),
        restart=restart_policy(content.get("restart"), f"{where}.restart"),
        healthcheck=_healthcheck(f"{where}.healthcheck", content.get("healthcheck") or {}),
        resources=resources_of(content, where),
        isolation=isolation(content, profiles),
        logging=log_spec(content.get("logging") or {}, f"{where}.logging"),
    )


def _networks_of(content: Document) -> Mapping[str, Any]:
    networks = content.get("networks") or {"default": None}
    return networks if isinstance(networks, Mapping) else dict.fromkeys(networks)


def _attachment(where: str, key: str, content: Document, networks: Mapping[str, NetworkSpec]) -> AttachmentSpec:
    if key not in networks:
        raise InvalidInput(f"{where}: network {key!r} is not declared under `networks`", code="O8-203")
    return AttachmentSpec(network=networks[key].name, aliases=tuple(map(str, content.get("aliases") or ())))


def _port(where: str, content: Document) -> PortSpec:
    first, _, last = str(content.get("published") or "0").partition("-")
    port = PortSpec(
        target=int(content["target"]),
        published_first=int(first),
        published_last=int(last or first),
        host_ip=str(content.get("host_ip") or "0.0.0.0"),
        protocol=str(content.get("protocol") or "tcp"),
    )
    if not (0 < port.target < 65536 and 0 <= port.published_first <= port.published_last < 65536):
        raise InvalidInput(f"{where}.ports: {content!r} is not a port mapping", code="O8-309")
    return port


def _port_order(port: PortSpec) -> tuple[int, str, str, int]:
    return port.target, port.protocol, port.host_ip, port.published_first


def _healthcheck(where: str, content: Document) -> HealthcheckSpec | None:
    """Docker reads a zero as "not given"."""
    test = tuple(map(str, content.get("test") or ()))
    if content.get("disable") or not test or test[0] == "NONE":
        return None
    if test[0] not in {"CMD", "CMD-SHELL"} or len(test) < 2:
        raise InvalidInput(f"{where}.test: must begin with CMD, CMD-SHELL or NONE: {list(test)}", code="O8-310")
    default = HealthcheckSpec(test=test)
    return HealthcheckSpec(
        test=test,
        interval_s=duration_s(content.get("interval") or 0, f"{where}.interval") or default.interval_s,
        timeout_s=duration_s(content.get("timeout") or 0, f"{where}.timeout") or default.timeout_s,
        retries=int(content.get("retries") or 0) or default.retries,
        start_period_s=duration_s(content.get("start_period") or 0, f"{where}.start_period"),
        start_interval_s=duration_s(content.get("start_interval") or 0, f"{where}.start_interval")
        or default.start_interval_s,
    )


def _dependencies(content: Mapping[str, Any]) -> tuple[Dependency, ...]:
    return tuple(
        Dependency(
            service=ServiceName(name),
            condition=Condition((each or {}).get("condition", Condition.STARTED)),
            required=bool((each or {}).get("required", True)),
            restart=bool((each or {}).get("restart", False)),
        )
        for name, each in sorted(content.items())
    )


def _command(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(str, value))


def _pairs(content: Mapping[str, Any]) -> Pairs:
    return tuple(sorted((str(key), "" if value is None else str(value)) for key, value in content.items()))


def _mapping(content: Document, key: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{key}: expected a mapping, found {type(value).__name__}")
    return value


def _text(content: Document, key: str, where: str) -> str:
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{where}: `{key}` is missing")
    return value
