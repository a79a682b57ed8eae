"""The one table of keys: what each holds, and whether the engine acts on it.

`now`: it does. `later`: the key changes isolation or what runs, so a verb that acts refuses it until the engine can do it.
`ignored`: any other key of the Compose format; a warning at its first place. A key that stands in no table is unknown.
Each row that is not `now` says what the key does elsewhere, and what happens here. Checks, the long form, merging, the
canonical document and `schema/stack.schema.json` all come from here; parts of the table stand beside their kinds.
"""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.build import BUILD
from orchestr8.stack.deploy import DEPLOY
from orchestr8.stack.devices import DEVICES, GPUS
from orchestr8.stack.grants import CONFIG, SECRET, SERVICE_CONFIGS, SERVICE_SECRETS
from orchestr8.stack.hooks import DEVELOP, HOOKS, INIT_HOOKS
from orchestr8.stack.hosts import EXTRA_HOSTS
from orchestr8.stack.isolation import CAPABILITIES, IPC, PID, SECURITY_OPTIONS, SYSCTLS, USERNS, UTS
from orchestr8.stack.limits import BLKIO, ULIMITS, CgroupNamespace, Runtime
from orchestr8.stack.lists import (
    ALL_TEXTS,
    LABELS,
    NAMES,
    NUMBERS_OR_TEXTS,
    TEXT_OR_TEXTS,
    TEXTS,
    VARIABLES,
    ListOf,
    NamesOr,
)
from orchestr8.stack.logging import LOGGING
from orchestr8.stack.mounts import STORAGE_OPTIONS, VOLUMES_FROM, Mount, Tmpfs, mount_target
from orchestr8.stack.networks import NETWORK, SERVICE_NETWORKS, VOLUME
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence
from orchestr8.stack.ports import Port, port_identity
from orchestr8.stack.records import Named, OrNull, Record, Rule, ignored, later, now
from orchestr8.stack.services import (
    HEALTHCHECK,
    PROVIDER,
    Command,
    DependsOn,
    EnvFile,
    Extends,
    Mounts,
    Processors,
    PullPolicy,
    Restart,
)
from orchestr8.stack.types import (
    ANYTHING,
    Duration,
    Flag,
    Microseconds,
    Number,
    Reading,
    Schema,
    Size,
    Text,
    Type,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

NAME: Final = "[a-zA-Z0-9._-]+"
_NAME_HINT: Final = "letters, digits and . _ - make up a name"


def _itself(item: Any) -> Any:
    return item


def _link(item: Any) -> Any:
    return str(item).partition("=")[0]


def _path(item: Any) -> Any:
    return item["path"] if isinstance(item, dict) else item


_SHARES: Final = "it would share a namespace of the host or of another container; here each container has its own"
_WINDOWS: Final = "it speaks to Windows containers; here they are Linux"
_LINK: Final = "services reach each other by name; for another name use `networks: {…: {aliases: […]}}`"
_RESOLV: Final = "it would be written to the container's resolv.conf; here the engine's own resolver is asked"
_MODEL: Final = "it hands the address of a language model to the container; no model runner is known here"
_HOOK: Final = "it would run a program at this moment of the container's life; here none is run"

SERVICE: Final = Record("a service", {
    # what runs
    "image": now(Text("an image, such as rootfs:/", empty=False)),
    "command": now(Command(), keep=True),
    "entrypoint": now(Command(), keep=True),
    "environment": now(VARIABLES),
    "env_file": now(ListOf(EnvFile(), "a path, or a list of paths", single=True, unique=_path)),
    "working_dir": now(Text("a path in the container")),
    "user": now(Text("a user, such as 1000:1000 or www-data")),
    "hostname": now(Text("a host name", r"(?=.{1,64}$)[a-zA-Z0-9_]([a-zA-Z0-9_.-]*[a-zA-Z0-9_])?",
                         hint="up to 64 letters, digits, - and . make up a host name")),
    "init": now(Flag(), keep=True),
    "tty": now(Flag()),
    "stdin_open": now(Flag()),
    "read_only": now(Flag()),
    "build": later(BUILD, "it makes the image; orchestr8 does not build yet, so name one that exists by `image:`"),
    "platform": later(Text("a platform, such as linux/arm64"), "images run on this machine's own platform"),
    "runtime": now(Runtime()),
    "provider": later(PROVIDER, "it hands the service to a program that makes it; here a service is a container"),
    "models": later(NamesOr("models", Named("a mapping of models", OrNull("a model", {
        "endpoint_var": now(Text("the name of a variable")), "model_var": now(Text("the name of a variable")),
    }))), _MODEL),
    "extends": now(Extends()),
    # when it runs
    "depends_on": now(DependsOn()),
    "healthcheck": now(HEALTHCHECK),
    "restart": now(Restart()),
    "deploy": now(DEPLOY),
    "scale": now(Number(least=0), keep=True),
    "profiles": now(NAMES),
    "stop_signal": now(Text("a signal, such as SIGINT", r"(SIG)?[A-Z][A-Z0-9+-]*|[0-9]{1,2}",
                            hint="signals are written in capitals: SIGTERM, SIGINT, SIGUSR1")),
    "stop_grace_period": now(Duration()),
    "pre_start": later(INIT_HOOKS, _HOOK),
    "post_start": later(HOOKS, _HOOK),
    "pre_stop": later(HOOKS, _HOOK),
    # what it is called
    "container_name": now(Text("a container's name", "[a-zA-Z0-9][a-zA-Z0-9_.-]+", empty=False,
                               hint="letters, digits and _ . - make up a name of two or more")),
    "labels": now(LABELS),
    "label_file": now(TEXT_OR_TEXTS),
    "annotations": ignored(LABELS, "they are notes for another runtime"),
    # network
    "networks": now(SERVICE_NETWORKS),
    "ports": now(ListOf(Port(), "a list of ports", unique=port_identity)),
    "expose": ignored(NUMBERS_OR_TEXTS,
                      "containers of one network reach every port of each other"),
    "network_mode": later(Text("a network mode"), "it would take the network of the host or of another container, or none"),
    "links": later(ListOf(Text(), "a list of services", unique=_link), _LINK),
    "external_links": later(TEXTS, _LINK),
    "dns": later(TEXT_OR_TEXTS, _RESOLV),
    "dns_opt": later(TEXTS, _RESOLV),
    "dns_search": later(TEXT_OR_TEXTS, _RESOLV),
    "extra_hosts": later(EXTRA_HOSTS, "they would stand in the container's /etc/hosts"),
    "domainname": now(Text("a domain name", "[a-zA-Z0-9_.-]{1,64}", hint="up to 64 letters, digits, - and . make up a domain name")),
    "mac_address": ignored(Text(), "elsewhere the interface has this address; here one is made up"),
    # storage
    "volumes": now(Mounts(Mount(), "a list of mounts", unique=mount_target)),
    "tmpfs": now(ListOf(Tmpfs(), "a path, or a list of paths", single=True, unique=_itself)),
    "volumes_from": now(VOLUMES_FROM),
    "configs": now(SERVICE_CONFIGS),
    "secrets": now(SERVICE_SECRETS),
    "devices": now(DEVICES),
    "storage_opt": now(STORAGE_OPTIONS),
    "shm_size": now(Size(least=-1)),
    # limits
    "mem_limit": now(Size(least=-1)),
    "cpus": now(Processors()),
    "pids_limit": now(Number(least=-1, cut=True)),
    "mem_reservation": now(Size(least=-1)),
    "memswap_limit": now(Size(least=-1)),
    "mem_swappiness": now(Size("a percentage such as 60", least=-1)),
    "oom_kill_disable": now(Flag()),
    "oom_score_adj": now(Number(least=-1000, most=1000)),
    "blkio_config": now(BLKIO),
    "cpu_count": ignored(Number(least=0), _WINDOWS),
    "cpu_percent": ignored(Number(least=0, most=100, fraction=True), _WINDOWS),
    "cpu_period": now(Microseconds()),
    "cpu_quota": now(Microseconds()),
    "cpu_rt_period": now(Microseconds()),
    "cpu_rt_runtime": now(Microseconds()),
    "cpu_shares": now(Number(cut=True)),
    "cpuset": now(Text("processors, such as 0-3 or 0,1")),
    # isolation
    "privileged": now(Flag()),
    "cap_add": now(CAPABILITIES),
    "cap_drop": now(CAPABILITIES),
    "security_opt": now(SECURITY_OPTIONS),
    "userns_mode": now(USERNS),
    "pid": now(PID),
    "ipc": now(IPC),
    "uts": now(UTS),
    "cgroup": now(CgroupNamespace()),
    "cgroup_parent": now(Text("a cgroup")),
    "isolation": later(Text("an isolation"), _WINDOWS),
    "group_add": now(NUMBERS_OR_TEXTS),
    "sysctls": now(SYSCTLS),
    "ulimits": now(ULIMITS),
    "device_cgroup_rules": now(TEXTS),
    "gpus": later(GPUS, "it would give GPUs to the container; there is no driver for them here"),
    "credential_spec": later(Record("a credential_spec", {
        "config": now(Text()), "file": now(Text()), "registry": now(Text()),
    }), _WINDOWS),
    "use_api_socket": later(Flag(), "it would give the engine's socket to the container"),
    # tools around it
    "attach": ignored(Flag(), "`up` shows the logs of every service", usual=True, keep=True),
    "develop": ignored(DEVELOP, "`watch` follows it elsewhere; here files are not watched"),
    "logging": now(LOGGING),
    "pull_policy": ignored(PullPolicy(), "an image is pulled when it is missing"),
    "pull_refresh_after": ignored(Text("a duration"), "an image is pulled when it is missing"),
}, hint="a service needs at least `image:`", always={"command": None, "entrypoint": None})  # fmt: skip

MODEL: Final = Record("a model", {
    "name": now(Text("a name", empty=False)),
    "model": now(Text("a model", empty=False)),
    "context_size": now(Number(least=0)),
    "runtime_flags": now(ALL_TEXTS),
}, needed=("model",))  # fmt: skip


class IncludeEntry(Type):
    """A path, or {path, project_directory, env_file}; gone once it is followed."""

    what = "the path of a stack file, or {path: ...}"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            return _INCLUDE.read(node, where, run)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return run.wrong(node, where, self.what)
        return node

    def schema(self) -> Schema:
        return {"oneOf": [{"type": "string"}, _INCLUDE.schema()]}


class StackName(Text):
    """What is made of it, and that something is left, is `project`'s business."""

    def schema(self) -> Schema:
        return patterns.text(r"[\s\S]*[a-zA-Z0-9][\s\S]*", empty=True)


class Includes(ListOf):
    """Nothing at all is a list of which each line is commented out."""

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Scalar) and node.value is None:
            return Sequence(at=node)
        return super().read(node, where, run)

    def schema(self) -> Schema:
        return {**super().schema(), "type": ["array", "null"]}


_INCLUDE: Final = Record("an include", {
    "path": now(TEXT_OR_TEXTS), "project_directory": now(Text("a path")), "env_file": now(TEXT_OR_TEXTS),
}, required=("path",))  # fmt: skip


def _section(noun: str, kind: Type) -> Rule:
    return now(Named(f"a mapping of {noun}", kind, NAME, _NAME_HINT))


STACK_KEYS: Final[dict[str, Rule]] = {
    "name": now(StackName("a name")),
    "version": now(ANYTHING),  # obsolete; `load` says so
    "include": now(Includes(IncludeEntry(), "a list of stack files")),
    "services": _section("services", SERVICE),
    "networks": _section("networks", NETWORK),
    "volumes": _section("volumes", VOLUME),
    "configs": _section("configs", CONFIG),
    "secrets": _section("secrets", SECRET),
    "models": _section("models", MODEL),
}
STACK: Final = Record("a stack", STACK_KEYS)
