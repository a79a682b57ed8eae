"""The one table of keys: what each holds, and whether it is in effect.

`now`: in effect. `later`: it changes isolation or what runs, so it is an error until it is supported, never ignored.
`ignored`: any other key of the Compose format; a warning at its first place. A key that stands in no table is unknown.
Checks, the long form, merging and `schema/stack.schema.json` all come from here.
"""

from __future__ import annotations

from orchestr8.stack.fixes import flatten_external
from orchestr8.stack.mounts import Mount, Tmpfs, mount_target
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.ports import Port, port_identity
from orchestr8.stack.services import (
    Command,
    DependsOn,
    EnvFile,
    HealthTest,
    Mounts,
    Processors,
    Restart,
    ServiceNetworks,
)  # fmt: skip
from orchestr8.stack.shapes import NAMES, ListOf, Named, Pairs, Record, Rule, ignored, later, now
from orchestr8.stack.types import (
    ANYTHING,
    AsText,
    Duration,
    Flag,
    Number,
    Reading,
    Schema,
    Size,
    Text,
    Type,
)  # fmt: skip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NAME: Final = "[a-zA-Z0-9._-]+"
_NAME_HINT: Final = "letters, digits and . _ - make up a name"
_LABELS: Final = Pairs(AsText(), bare="")

HEALTHCHECK: Final = Record("a healthcheck", {
    "disable": now(Flag()),
    "interval": now(Duration()),
    "retries": now(Number(least=0)),
    "start_interval": now(Duration()),
    "start_period": now(Duration()),
    "test": now(HealthTest()),
    "timeout": now(Duration()),
})  # fmt: skip


class Logging(Record):
    """Options belong to their driver: another driver's are not mixed in."""

    def merge(self, base: Node, over: Node) -> Node:
        drivers = {each.items["driver"].plain() for each in (base, over)
                   if isinstance(each, Mapping) and "driver" in each.items}  # fmt: skip
        return over if len(drivers) > 1 else super().merge(base, over)


LOGGING: Final = Logging("a logging", {"driver": now(Text()), "options": now(ANYTHING)})

DEPLOY: Final = Record("a deploy", {
    "endpoint_mode": ignored(Text()),
    "labels": ignored(_LABELS),
    "mode": ignored(Text()),
    "placement": ignored(),
    "replicas": now(Number(least=0)),
    "resources": ignored(reason="limits are set by mem_limit, cpus and pids_limit"),
    "restart_policy": ignored(reason="`restart:` is in effect"),
    "rollback_config": ignored(),
    "update_config": ignored(),
}, null=True)  # fmt: skip

SERVICE: Final = Record("a service", {
    # what runs
    "image": now(Text("an image, such as rootfs:/", empty=False)),
    "command": now(Command()),
    "entrypoint": now(Command()),
    "environment": now(Pairs(AsText(null=True))),
    "env_file": now(ListOf(EnvFile(), "a path, or a list of paths", single=True,
                           unique=lambda item: item["path"] if isinstance(item, dict) else item)),
    "working_dir": now(Text("a path in the container")),
    "user": now(Text("a user, such as 1000:1000 or www-data")),
    "hostname": now(Text("a host name", r"(?=.{1,64}$)[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?",
                         hint="up to 64 letters, digits, - and . make up a host name")),
    "init": now(Flag()),
    "tty": now(Flag()),
    "stdin_open": now(Flag()),
    "read_only": now(Flag()),
    "build": later("orchestr8 does not build images; name one by `image:`"),
    "platform": later("images run on this machine's own platform"),
    "runtime": later("orchestr8 has one runtime, its own"),
    "provider": later(),
    "models": later(),
    "extends": later("copy the settings, or share them with a YAML anchor"),
    # when it runs
    "depends_on": now(DependsOn()),
    "healthcheck": now(HEALTHCHECK),
    "restart": now(Restart()),
    "deploy": now(DEPLOY),
    "scale": now(Number(least=0)),
    "profiles": now(NAMES),
    "stop_signal": now(Text("a signal, such as SIGINT", r"(SIG)?[A-Z][A-Z0-9+-]*|[0-9]{1,2}",
                            hint="signals are written in capitals: SIGTERM, SIGINT, SIGUSR1")),
    "stop_grace_period": now(Duration()),
    "pre_start": later(),
    "post_start": later(),
    "pre_stop": later(),
    # what it is called
    "container_name": now(Text("a container's name", "[a-zA-Z0-9][a-zA-Z0-9_.-]+", empty=False,
                               hint="letters, digits and _ . - make up a name of two or more")),
    "labels": now(_LABELS),
    "label_file": ignored(),
    "annotations": ignored(Pairs(AsText(), bare="")),
    # network
    "networks": now(ServiceNetworks(NAMES)),
    "ports": now(ListOf(Port(), "a list of ports", unique=port_identity)),
    "expose": ignored(ListOf(AsText(), "a list of ports", unique=lambda item: item),
                      "containers of one network reach every port of each other"),
    "network_mode": later(),
    "links": later("services reach each other by name; for another name use `networks: {…: {aliases: […]}}`"),
    "external_links": later(),
    "dns": later(),
    "dns_opt": later(),
    "dns_search": later(),
    "extra_hosts": later(),
    "domainname": ignored(Text()),
    "mac_address": ignored(Text()),
    # storage
    "volumes": now(Mounts(Mount(), "a list of mounts", unique=mount_target)),
    "tmpfs": now(ListOf(Tmpfs(), "a path, or a list of paths", single=True, unique=lambda item: item)),
    "volumes_from": later(),
    "configs": later(),
    "secrets": later(),
    "devices": later(),
    "storage_opt": ignored(),
    "shm_size": ignored(Size()),
    # limits
    "mem_limit": now(Size(least=-1)),
    "cpus": now(Processors()),
    "pids_limit": now(Number(least=-1)),
    "mem_reservation": ignored(Size()),
    "memswap_limit": ignored(Size(least=-1)),
    "mem_swappiness": ignored(Number()),
    "oom_kill_disable": ignored(Flag()),
    "oom_score_adj": ignored(Number()),
    "blkio_config": ignored(),
    "cpu_count": ignored(),
    "cpu_percent": ignored(),
    "cpu_period": ignored(),
    "cpu_quota": ignored(),
    "cpu_rt_period": ignored(),
    "cpu_rt_runtime": ignored(),
    "cpu_shares": ignored(),
    "cpuset": ignored(),
    # isolation
    "privileged": later(),
    "cap_add": later(),
    "cap_drop": later(),
    "security_opt": later(),
    "userns_mode": later(),
    "pid": later(),
    "ipc": later(),
    "uts": later(),
    "cgroup": later(),
    "cgroup_parent": later(),
    "isolation": later(),
    "group_add": later(),
    "sysctls": later(),
    "ulimits": later(),
    "device_cgroup_rules": later(),
    "gpus": later(),
    "credential_spec": later(),
    "use_api_socket": later(),
    # tools around it
    "attach": ignored(Flag(), usual=True),
    "develop": ignored(),
    "logging": ignored(LOGGING, "logs are kept by the engine, in its own format, rotated"),
    "pull_policy": ignored(Text()),
    "pull_refresh_after": ignored(Text()),
}, hint="a service needs at least `image:`")  # fmt: skip


class External(Type):
    """A boolean, or the deprecated {name: …}."""

    what = "true or false"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        return node if isinstance(node, Mapping) else Flag().read(node, where, run)

    def schema(self) -> Schema:
        return {"type": ["boolean", "string", "object"]}


class Resource(Record):
    """A network or volume at the top of the file; `external` ones have only a name."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if not isinstance(found, Mapping) or "external" not in found.items:
            return found
        external = found.items["external"]
        if isinstance(external, Mapping):
            self._deprecated_name(found, external, where, run)
        if found.items["external"].plain() is True:
            for key in found.items:
                if key not in ("external", "name") and not key.startswith("x-"):
                    run.problems.error(
                        "O8-204", f"`{where}` is external, so `{key}` cannot be set here",
                        [found.keys[key].span(), found.keys["external"].span("external here", primary=False)],
                    )  # fmt: skip
        return found

    def _deprecated_name(self, found: Mapping, external: Mapping, where: str, run: Reading) -> None:
        name = external.items.get("name")
        if "name" in found.items:
            run.problems.error(
                "O8-204", f"`{where}`: `name` and `external.name` conflict; only use `name`",
                [found.keys["name"].span(), external.span(primary=False)],
            )  # fmt: skip
        elif name is not None:
            fix = flatten_external(found.keys["external"], external, found, run.problems)
            found.set("name", name, external.keys["name"])
            run.problems.warn(
                "O8-109", f"`{where}.external.name` is deprecated", external,
                helps=["write `name:` and `external: true`"], fix=fix,
            )  # fmt: skip
        found.set("external", Scalar(True, at=external), found.keys["external"])


class Driver(Text):
    """The one driver there is, by its names; another one would make a different thing."""

    def __init__(self, *known: str) -> None:
        super().__init__("a driver")
        self.known = known

    def settle(self, node: Node, where: str, run: Reading) -> Node | None:
        if node.plain() in ("", "default", *self.known) or run.is_template(node):
            return node
        return run.unsupported(node, where, f"`{where}`: the driver `{node.plain()}`", f"{self.known[0]} is")


class Subnet(Text):
    """The addresses of a network, checked here because the engine has no line to show."""

    def __init__(self) -> None:
        super().__init__("a subnet such as 10.9.0.0/24")

    def settle(self, node: Node, where: str, run: Reading) -> Node | None:
        from ipaddress import IPv6Network, ip_network  # few stacks say one

        if run.is_template(node):
            return node
        text = str(node.plain())
        try:
            subnet = ip_network(text, strict=False)
        except ValueError:
            return run.wrong(node, where, self.what, code="O8-305")
        if isinstance(subnet, IPv6Network):
            return run.unsupported(node, where, f"`{where}`: an IPv6 subnet", "leave it out: networks are IPv4")
        if text.partition("/")[0] != str(subnet.network_address):
            return run.bad(node, where, f"{text} is an address inside of its subnet", helps=[f"write {subnet}"])
        if subnet.prefixlen > 30:
            return run.bad(node, where, f"{subnet} has no room for a gateway and a container")
        if subnet.prefixlen < 8 or subnet.is_loopback or subnet.is_multicast:
            return run.bad(
                node, where, f"{subnet} is not for machines of a network", helps=["take one inside 10.0.0.0/8"]
            )
        return node


class Pools(ListOf):
    """One address pool a network."""

    def settle(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().settle(node, where, run)
        for item in found.items[1:] if isinstance(found, Sequence) else ():
            run.unsupported(item, where, f"`{where}`: a second address pool", "a network has one")
        return found


IPAM: Final = Record("an ipam", {
    "driver": now(Driver("default")),
    "config": now(Pools(Record("an address pool", {
        "subnet": now(Subnet()),
        "ip_range": ignored(Text()),
        "gateway": ignored(Text()),
        "aux_addresses": ignored(),
    }), "a list of address pools", unique=lambda item: item.get("subnet", id(item)), deep=True)),
    "options": ignored(),
}, null=True)  # fmt: skip

NETWORK: Final = Resource("a network", {
    "name": now(Text("a name", empty=False)),
    "external": now(External()),
    "labels": now(_LABELS),
    "ipam": now(IPAM),
    "driver": now(Driver("bridge")),
    "driver_opts": ignored(),
    "internal": later(),
    "attachable": ignored(Flag()),
    "enable_ipv4": ignored(Flag(), usual=True),
    "enable_ipv6": ignored(Flag()),
}, null=True)  # fmt: skip

VOLUME: Final = Resource("a volume", {
    "name": now(Text("a name", empty=False)),
    "external": now(External()),
    "labels": now(_LABELS),
    "driver": now(Driver("local")),
    "driver_opts": later("they change what is mounted"),
}, null=True)  # fmt: skip

STACK_KEYS: Final[dict[str, Rule]] = {
    "name": now(Text("a name", empty=False)),
    "version": Rule(ANYTHING),  # obsolete; `load` says so
    "services": now(Named("a mapping of services", SERVICE, NAME, _NAME_HINT)),
    "networks": now(Named("a mapping of networks", NETWORK, NAME, _NAME_HINT)),
    "volumes": now(Named("a mapping of volumes", VOLUME, NAME, _NAME_HINT)),
    "configs": later(),
    "secrets": later(),
    "models": later(),
    "include": later("give several files by -f"),
}
STACK: Final = Record("a stack", STACK_KEYS)
