"""Kinds of values that say how a container is kept apart: whose namespaces it shares, rights, confinement, parameters.

They are read as compose reads them; `support` says which values the engine acts on, and what cannot be.
"""

from __future__ import annotations

from orchestr8.stack.lists import ListOf, Pairs
from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.suggest import did_you_mean
from orchestr8.stack.types import AsText, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

_OTHERS: Final = ("service", "container")


def _itself(item: Any) -> Any:
    return item


class Namespace(Text):
    """host, `service:NAME`, `container:NAME`, or one of further `words`."""

    def __init__(self, what: str, *words: str, others: bool = True) -> None:
        super().__init__(what)
        self.words = ("host", *words)
        self.others = others

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        text = str(node.plain() or "")
        whose, colon, name = text.partition(":")
        if not text or "$" in text or text in self.words or (self.others and whose in _OTHERS and colon and name):
            return
        written = [*self.words, *(f"{each}:NAME" for each in _OTHERS if self.others)]
        look.impossible(node, f"`{where}` must be one of {', '.join(written)}, found `{text}`")


PID: Final = Namespace("a process namespace")
IPC: Final = Namespace("an IPC namespace", "none", "private", "shareable")
UTS: Final = Namespace("a host name namespace", others=False)
USERNS: Final = Namespace("a user namespace mode", "private", "auto", others=False)

_CAPABILITIES: Final = frozenset(
    [
        "ALL",
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ]
)


class Capability(Text):
    def support(self, node: Node, where: str, look: SupportLook) -> None:
        text = str(node.plain())
        name = text.upper().removeprefix("CAP_")
        if "$" not in text and name not in _CAPABILITIES:
            helps = did_you_mean(name, _CAPABILITIES)
            look.impossible(node, f"`{where}`: there is no capability `{text}`", *helps)


CAPABILITIES: Final = ListOf(Capability("a capability, such as NET_ADMIN"), "a list of capabilities", unique=_itself)


class SecurityOption(Text):
    """`NAME=VALUE` or `NAME:VALUE`, as Docker takes them."""

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        text = str(node.plain())
        name = text.replace(":", "=", 1).partition("=")[0]
        value = text[len(name) + 1 :]
        if "$" in text:
            return
        if name == "no-new-privileges" and value in ("", "true", "false"):
            return
        if name == "seccomp" and value:
            return
        if name == "systempaths" and value == "unconfined":
            return
        if name in ("apparmor", "label"):
            if value not in ("unconfined", "disable"):  # nothing is confined by them here
                look.no_effect(node, where, f"{name} would confine the program further; here there is none of it")
            return
        look.impossible(
            node, f"`{where}`: there is no security option `{text}`",
            "no-new-privileges:true, seccomp=FILE, seccomp=unconfined and systempaths=unconfined are",
        )  # fmt: skip


SECURITY_OPTIONS: Final = ListOf(SecurityOption("a security option"), "a list of security options", unique=_itself)


class Sysctls(Pairs):
    """Kernel parameters; only those that a container has for itself."""

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        from orchestr8.model.sysctl import namespace_of  # few stacks have any

        if not isinstance(node, Mapping):
            return
        for name in node.items:
            if not namespace_of(name):
                look.impossible(
                    node.keys[name], f"`{where}`: the kernel has one {name} for all of the machine",
                    "kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* and net.* are each container's own",
                )  # fmt: skip


SYSCTLS: Final = Sysctls(AsText(), bare="")
