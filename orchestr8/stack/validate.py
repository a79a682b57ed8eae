"""What must hold between keys: names that exist, settings that agree, mounts that do not collide.

Works on the merged, selected stack. What each key holds by itself was checked before, by `rules`.
"""

from orchestr8.errors import Span
from orchestr8.stack.grants import CONFIG, SECRET
from orchestr8.stack.nodes import Mapping, Node, Sequence
from orchestr8.stack.normalise import implied_dependencies, with_implied_dependencies
from orchestr8.stack.order import check_cycles, dependencies_of
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import unknown_name
from orchestr8.stack.types import Reading


class Model:
    """The merged stack as its checks see it."""

    def __init__(self, root: Mapping, disabled: dict[str, list[str]], run: Reading) -> None:
        self.services = _section(root, "services")
        self.networks = _section(root, "networks")
        self.volumes = _section(root, "volumes")
        self.sections = {noun: _section(root, f"{noun}s") for noun in ("config", "secret", "model")}
        self.disabled = disabled
        self.run = run

    @property
    def problems(self) -> Problems:
        return self.run.problems

    def may_exist(self, section: str, name: str) -> bool:
        """It is defined, but wrongly; or it may be in an `include`, which is refused: one mistake is told once."""
        return bool({section, f"{section}.{name}", "include"} & self.run.broken)

    def active(self) -> dict[str, Mapping]:
        return {
            name: service
            for name, service in self.services.items.items()
            if name not in self.disabled and isinstance(service, Mapping)
        }


def _section(root: Mapping, name: str) -> Mapping:
    found = root.items.get(name)
    return found if isinstance(found, Mapping) else Mapping()


def validate(model: Model) -> None:
    """Tell `model.problems` all that does not fit."""
    for name, service in model.active().items():
        where = f"services.{name}"
        _image(model, service, where, model.services.keys[name])
        _dependencies(model, name, service)
        _networks(model, service, where)
        _volumes(model, service)
        _grants(model, service)
        _build(model, service, where)
        _mounts(model, service, where)
        _healthcheck(model, service, where)
        _replicas(model, service, where)
        _resources(model, service, where)
    for noun, kind in (("config", CONFIG), ("secret", SECRET)):
        for name, node in model.sections[noun].items.items():
            kind.check(node, f"{noun}s.{name}", model.run)
    _container_names(model)
    _published_ports(model)
    active = Mapping()
    for name, service in model.active().items():
        active.set(name, with_implied_dependencies(service), model.services.keys[name])
    check_cycles(active, model.problems)


def _image(model: Model, service: Mapping, where: str, key: Node) -> None:
    if {"image", "build", "provider"} & service.items.keys():
        return
    if {f"{where}.{key}" for key in ("image", "build", "extends", "extends.service", "provider")} & model.run.broken:
        return
    if where in model.run.broken:
        return
    model.problems.error(
        "O8-205", f"`{where}` has neither an image nor a build context specified", key,
        helps=["add `image:`, for example `image: rootfs:/`"],
    )  # fmt: skip


def _dependencies(model: Model, name: str, service: Mapping) -> None:
    service = with_implied_dependencies(service)
    node = service.items.get("depends_on")
    implied = implied_dependencies(service)
    for target, dependency in dependencies_of(service).items():
        assert isinstance(node, Mapping)
        key = node.keys[target]
        if target not in model.services.items:
            if model.may_exist("services", target):
                continue
            message, helps = unknown_name("service", target, set(model.services.items) - {name})
            place = "" if target in implied and implied[target][0] is key else f"in services.{name}.depends_on"
            model.problems.error("O8-203", message, key, label=place, helps=helps)
        elif target in model.disabled and _required(dependency):
            profiles = model.disabled[target]
            model.problems.error(
                "O8-202", f"`{name}` depends on `{target}`, whose profile is not active",
                [key.span(), model.services.keys[target].span(f"has profiles {', '.join(profiles)}", primary=False)],
                helps=[f"turn it on: --profile {profiles[0]}", "or write `required: false`"],
            )  # fmt: skip
        elif _condition(dependency) == "service_healthy":
            _healthy_target(model, target, key)


def _required(dependency: Mapping) -> bool:
    found = dependency.items.get("required")
    return found is None or found.plain() is not False


def _condition(dependency: Mapping) -> str:
    found = dependency.items.get("condition")
    return str(found.plain()) if found else ""


def _healthy_target(model: Model, target: str, key: Node) -> None:
    """Waiting for the health of a service whose check is turned off can never end well."""
    service = model.services.items[target]
    check = service.items.get("healthcheck") if isinstance(service, Mapping) else None
    if not isinstance(check, Mapping) or not _is_disabled(check):
        return
    model.problems.error(
        "O8-204", f"`{target}` must be healthy here, but its healthcheck is disabled",
        [key.span(), check.span("disabled here", primary=False)],
        helps=["wait for service_started, or give it a healthcheck"],
    )  # fmt: skip


def _is_disabled(check: Mapping) -> bool:
    disable, test = check.items.get("disable"), check.items.get("test")
    if disable is not None and disable.plain() is True:
        return True
    return isinstance(test, Sequence) and bool(test.items) and test.items[0].plain() == "NONE"


def _healthcheck(model: Model, service: Mapping, where: str) -> None:
    check = service.items.get("healthcheck")
    if not isinstance(check, Mapping) or "test" in check.items or _is_disabled(check):
        return
    settings = [key for key in check.items if not key.startswith("x-") and key != "disable"]
    if settings and f"{where}.healthcheck.test" not in model.run.broken:
        model.problems.warn(
            "O8-206", f"`{where}.healthcheck` has no `test`: the image's own is used, where it has one",
            service.keys["healthcheck"],
        )  # fmt: skip


def _networks(model: Model, service: Mapping, where: str) -> None:
    joined, mode = service.items.get("networks"), service.items.get("network_mode")
    if mode is not None and mode.plain() and isinstance(joined, Mapping) and joined.items:
        model.problems.error(
            "O8-204", f"`{where}`: network_mode and networks exclude each other",
            [service.keys["network_mode"].span(), service.keys["networks"].span(primary=False)],
            helps=["keep one of them"],
        )  # fmt: skip
    for name, key in joined.keys.items() if isinstance(joined, Mapping) else ():
        if name != "default" and name not in model.networks.items and not model.may_exist("networks", name):
            message, helps = unknown_name("network", name, {*model.networks.items, "default"})
            model.problems.error("O8-203", message, key, helps=_or(helps, f"define it: networks: {{{name}: }}"))


def _or(helps: list[str], another: str) -> list[str]:
    return [*helps, f"or {another}" if helps else another]


def _grants(model: Model, service: Mapping) -> None:
    """Configs, secrets and models that a service is given are defined."""
    build = service.items.get("build")
    built = build.items.get("secrets") if isinstance(build, Mapping) else None
    for noun, granted in (("config", service.items.get("configs")), ("secret", service.items.get("secrets")),
                          ("secret", built)):  # fmt: skip
        for grant in granted.items if isinstance(granted, Sequence) else ():
            if isinstance(grant, Mapping):
                _defined(model, noun, str(grant.items["source"].plain()), grant.items["source"])
    models = service.items.get("models")
    for name, key in models.keys.items() if isinstance(models, Mapping) else ():
        _defined(model, "model", name, key)


def _defined(model: Model, noun: str, name: str, at: Node) -> None:
    known = model.sections[noun]
    if name in known.items or model.may_exist(f"{noun}s", name):
        return
    message, helps = unknown_name(noun, name, known.items)
    model.problems.error("O8-203", message, at, helps=_or(helps, f"define it at the top of the file, under {noun}s:"))


def _build(model: Model, service: Mapping, where: str) -> None:
    build = service.items.get("build")
    if not isinstance(build, Mapping):
        return
    path, text = build.items.get("dockerfile"), build.items.get("dockerfile_inline")
    if path is not None and text is not None and path.plain() and text.plain():
        model.problems.error(
            "O8-204", f"`{where}.build`: dockerfile and dockerfile_inline exclude each other",
            [build.keys["dockerfile"].span(), build.keys["dockerfile_inline"].span(primary=False)],
            helps=["keep one of them"],
        )  # fmt: skip
    platforms, platform = build.items.get("platforms"), service.items.get("platform")
    listed = platforms.plain() if isinstance(platforms, Sequence) else []
    if (
        platforms is not None
        and platform is not None
        and listed
        and platform.plain()
        and platform.plain() not in listed
    ):
        model.problems.error(
            "O8-204", f"`{where}`: the platform `{platform.plain()}` is not among build.platforms",
            [platform.span(), platforms.span(primary=False)], helps=[f"add {platform.plain()} to build.platforms"],
        )  # fmt: skip
    contexts = build.items.get("additional_contexts")
    for name, value in contexts.items.items() if isinstance(contexts, Mapping) else ():
        target = str(value.plain())
        if not target.startswith("service:"):
            continue
        other = model.services.items.get(target.removeprefix("service:"))
        if other is None:
            message, helps = unknown_name("service", target.removeprefix("service:"), model.services.items)
            model.problems.error("O8-203", message, value, helps=helps)
        elif isinstance(other, Mapping) and "build" not in other.items:
            model.problems.error(
                "O8-204", f"`{where}.build.additional_contexts.{name}`: `{target}` has no build", value,
                helps=["name a service that has `build:`"],
            )  # fmt: skip


def _volumes(model: Model, service: Mapping) -> None:
    mounts = service.items.get("volumes")
    for mount in mounts.items if isinstance(mounts, Sequence) else ():
        if not isinstance(mount, Mapping) or mount.items["type"].plain() != "volume":
            continue
        source = mount.items.get("source")
        name = str(source.plain()) if source else ""
        if source and name and name not in model.volumes.items and not model.may_exist("volumes", name):
            message, helps = unknown_name("volume", name, model.volumes.items)
            helps = _or(helps, f"define it: volumes: {{{name}: }}")
            helps.append(f"or, for a directory beside the stack file, write ./{name}")
            model.problems.error("O8-203", message, source, helps=helps)


def _mounts(model: Model, service: Mapping, where: str) -> None:
    """Two mounts on one target: the later would hide the earlier."""
    taken: dict[str, tuple[str, Span]] = {}
    for key in ("tmpfs", "volumes"):
        found = service.items.get(key)
        for index, item in enumerate(found.items if isinstance(found, Sequence) else ()):
            target_node = item.items.get("target", item) if isinstance(item, Mapping) else item
            target = str(target_node.plain()).partition(":")[0].rstrip("/") or "/"
            place = f"{where}.{key}[{index}]"
            if target in taken:
                first, span = taken[target]
                span = Span(span.file, span.line, span.column, span.end_column, label="mounted here", primary=False)
                model.problems.error(
                    "O8-204", f"`{place}`: target {target} already mounted as {first}", [item.span(), span]
                )  # fmt: skip
            taken.setdefault(target, (place, item.span()))


def _number(node: Node | None) -> int | None:
    value = node.plain() if node is not None else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _replica_nodes(service: Mapping) -> tuple[Node | None, Node | None]:
    """Where `scale` and `deploy.replicas` stand."""
    deploy = service.items.get("deploy")
    return service.items.get("scale"), deploy.items.get("replicas") if isinstance(deploy, Mapping) else None


def _replicas(model: Model, service: Mapping, where: str) -> None:
    scale_node, replicas_node = _replica_nodes(service)
    scale, replicas = _number(scale_node), _number(replicas_node)
    if scale_node and replicas_node and scale is not None and replicas is not None and scale != replicas:
        model.problems.error(
            "O8-204", f"`{where}`: scale is {scale} and deploy.replicas is {replicas}; they must agree",
            [scale_node.span(), replicas_node.span(primary=False)], helps=["keep one of them"],
        )  # fmt: skip
    count = scale if scale is not None else replicas
    named = service.items.get("container_name")
    at = scale_node or replicas_node
    if named and at and count is not None and count > 1:
        model.problems.error(
            "O8-204", f"`{where}`: a service with a container_name cannot have {count} replicas",
            [named.span(), at.span(f"{count} replicas", primary=False)],
            helps=["remove container_name: containers are then called <stack>-<service>-<number>"],
        )  # fmt: skip


_LIMITS = (
    ("mem_limit", "limits", "memory"), ("cpus", "limits", "cpus"), ("pids_limit", "limits", "pids"),
    ("mem_reservation", "reservations", "memory"),
)  # fmt: skip


def _resources(model: Model, service: Mapping, where: str) -> None:
    """A limit that is given twice must be the same both times."""
    deploy = service.items.get("deploy")
    resources = deploy.items.get("resources") if isinstance(deploy, Mapping) else None
    for key, group, other in _LIMITS:
        node = resources.items.get(group) if isinstance(resources, Mapping) else None
        mine = service.items.get(key)
        theirs = node.items.get(other) if isinstance(node, Mapping) else None
        if mine and theirs and not _same_limit(mine, theirs):
            model.problems.error(
                "O8-204", f"`{where}`: {key} and deploy.resources.{group}.{other} differ",
                [mine.span(), theirs.span(primary=False)], helps=["keep one of them"],
            )  # fmt: skip


def _same_limit(mine: Node, theirs: Node) -> bool:
    try:
        return float(mine.plain()) == float(theirs.plain())
    except ValueError:
        return True  # a variable that is kept as it is


def _container_names(model: Model) -> None:
    seen: dict[str, tuple[str, Node]] = {}
    for name, service in model.active().items():
        node = service.items.get("container_name")
        if node is None:
            continue
        text = str(node.plain())
        if text in seen:
            other, first = seen[text]
            model.problems.error(
                "O8-204", f"`{name}` and `{other}` have the same container_name `{text}`",
                [node.span(), first.span("first here", primary=False)],
            )  # fmt: skip
        seen.setdefault(text, (name, node))


def _published_ports(model: Model) -> None:
    """One fixed host port wanted twice: whichever starts second will fail, so say it before anything starts."""
    seen: dict[str, dict[str, tuple[str, Node]]] = {}  # number and protocol -> address -> the first that wants it
    for name, service in model.active().items():
        ports = service.items.get("ports")
        for port in ports.items if isinstance(ports, Sequence) else ():
            published = port.items.get("published") if isinstance(port, Mapping) else None
            if not isinstance(port, Mapping) or published is None or not str(published.plain()).isdigit():
                continue  # a range or any free port can be shared out
            address = port.items.get("host_ip")
            host = str(address.plain()) if address else "0.0.0.0"
            number, protocol = str(published.plain()), str(port.items["protocol"].plain())
            for at in _replica_nodes(service):
                if at is not None and (count := _number(at)) is not None and count > 1:
                    model.problems.warn(
                        "O8-207", f"`{name}` has {count} replicas that publish the same port {number}; only one of them can have it",
                        [port.span(), at.span(f"{count} replicas", primary=False)],
                        helps=["give as many ports, such as 8080-8089:80, or leave the first one out to have free ones chosen"],
                    )  # fmt: skip
                    break
            taken = seen.setdefault(f"{number}/{protocol}", {})
            same = taken.get(host) or taken.get("0.0.0.0")
            if same is None and host == "0.0.0.0":
                same = next(iter(taken.values()), None)
            if same:
                other, first = same
                model.problems.warn(
                    "O8-207", f"`{name}` and `{other}` publish the same port {number}; only one of them can have it",
                    [port.span(), first.span(f"also published here (services.{other})", primary=False)],
                )  # fmt: skip
            taken.setdefault(host, (name, port))
