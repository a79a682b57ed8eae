"""`ports`: `[HOST_IP:][PUBLISHED[-END]:]TARGET[-END][/PROTOCOL]`, or the long form that it stands for.

In effect is what the engine publishes now: TCP over IPv4. Anything else of the format is said to be not supported yet.
"""

from __future__ import annotations

from orchestr8.stack import patterns
from orchestr8.stack.nodes import Mapping, Node, Scalar, Sequence, cut
from orchestr8.stack.records import Record, ignored, now
from orchestr8.stack.scalars import parse_integer
from orchestr8.stack.types import Choice, Reading, Schema, Text, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from orchestr8.stack.support import SupportLook

LAST_PORT: Final = 65535
_IN_EFFECT: Final = "TCP ports on IPv4 addresses are"


class BadPort(ValueError):
    """Not of the grammar; the text says what is wrong."""


def parse_port(text: str) -> list[dict[str, Any]]:
    """The long forms of one short form; equal ranges on both sides are zipped. Raises BadPort."""
    rest, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    host, published, target = _split(rest)
    if not target:
        raise BadPort("no port specified")
    target_first, target_last = _range(target, "containerPort")
    if protocol not in ("tcp", "udp", "sctp"):
        raise BadPort(f"invalid proto: {cut(protocol)}")
    host_ip = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if host_ip:
        check_ip(host_ip)
    fixed: dict[str, Any] = {"mode": "ingress", "protocol": protocol}
    if host_ip:
        fixed["host_ip"] = host_ip
    if not published:
        return [{**fixed, "target": port} for port in range(target_first, target_last + 1)]
    first, last = _range(published, "hostPort")
    if target_first == target_last:
        shown = str(first) if first == last else f"{first}-{last}"
        return [{**fixed, "target": target_first, "published": shown}]
    if last - first != target_last - target_first:
        raise BadPort(f"the ranges {published} and {target} differ in length")
    return [
        {**fixed, "target": target_first + step, "published": str(first + step)} for step in range(last - first + 1)
    ]


def _split(text: str) -> tuple[str, str, str]:
    """Host address, published and target; an IPv6 address may stand in brackets or bare."""
    head, colon, target = text.rpartition(":")
    if not colon:
        return "", "", text
    host, _, published = head.rpartition(":")
    return host, published, target


def _range(text: str, what: str) -> tuple[int, int]:
    first_text, dash, last_text = text.partition("-")
    try:
        first = parse_integer(first_text)
        last = parse_integer(last_text) if dash else first
    except ValueError:
        raise BadPort(f"invalid {what}: {cut(text)}") from None
    least = 1 if what == "containerPort" else 0  # 0 on the host: any free one
    if not least <= first <= last <= LAST_PORT or not (first_text + last_text).isdigit():  # no sign in front
        raise BadPort(f"invalid {what}: {cut(text)}")
    return first, last


def _is_plain_ipv4(text: str) -> bool:
    """Four numbers of a byte each, without leading zeros: what nearly all addresses in stack files are."""
    parts = text.split(".")
    return len(parts) == 4 and all(
        part.isascii() and part.isdigit() and len(part) <= 3 and str(int(part)) == part and int(part) < 256
        for part in parts
    )


def check_ip(text: str) -> None:
    """Raises BadPort."""
    if _is_plain_ipv4(text):
        return
    import ipaddress  # 2 ms; only for files that name an address of another kind

    try:
        ipaddress.ip_address(text.partition("%")[0] if ":" in text else text)
    except ValueError:
        raise BadPort(f"invalid ip address: {cut(text)}") from None


class _Target(Type):
    what = "a port of the container, 1 to 65535"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
            return run.wrong(node, where, self.what)
        try:
            first, last = _range(str(node.value), "containerPort")
        except BadPort as error:
            return run.bad(node, where, str(error))
        if first != last:
            return run.wrong(node, where, self.what, helps=["a range needs the short form, or one entry a port"])
        return Scalar(first, at=node)

    def schema(self) -> Schema:
        return {**patterns.text(patterns.PORT), "type": ["integer", "string"], "minimum": 1, "maximum": LAST_PORT}


class _Published(_Target):
    what = "a port of the host, or a range such as 8000-8010"

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if run.is_template(node):
            return node
        if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
            return run.wrong(node, where, self.what)
        if node.value == "":  # what a variable without a value gives: any free port
            return node
        try:
            first, last = _range(str(node.value), "hostPort")
        except BadPort as error:
            return run.bad(node, where, str(error))
        return Scalar(str(first) if first == last else f"{first}-{last}", at=node)

    def schema(self) -> Schema:
        text = patterns.text(patterns.PUBLISHED, empty=True)
        return {**text, "type": ["integer", "string"], "minimum": 0, "maximum": LAST_PORT}


class _HostAddress(Text):
    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        found = super().read(node, where, run)
        if isinstance(found, Scalar) and found.value and not run.is_template(found):
            try:
                check_ip(found.value)
            except BadPort as error:
                return run.bad(node, where, str(error))
        return found

    def schema(self) -> Schema:
        return patterns.text(patterns.ADDRESS, empty=True)


_LONG: Final = Record(
    "a port mapping",
    {
        "target": now(_Target()),
        "published": now(_Published()),
        "host_ip": now(_HostAddress("an address of the host")),
        "protocol": now(Choice("tcp", "udp", "sctp", "")),
        "mode": now(Text("ingress or host")),
        "name": ignored(Text(), "it is a note for people and other tools"),
        "app_protocol": ignored(Text(), "it is a note for people and other tools"),
    },
    required=("target",),
)  # fmt: skip


class Port(Type):
    """One entry of `ports`. Canonical form: a list of long forms, since a short one may stand for several."""

    what = 'a port mapping such as "8080:80", or {target: 80, published: 8080}'

    def read(self, node: Node, where: str, run: Reading) -> Node | None:
        if isinstance(node, Mapping):
            long = _LONG.read(node, where, run)
            if not isinstance(long, Mapping) or "target" not in long.items:
                return None
            ordered = Mapping(at=node)
            for key in ("mode", "host_ip", "target", "published", "protocol"):
                default = {"mode": "ingress", "protocol": "tcp"}.get(key)
                if key in long.items and long.items[key].plain() != "":
                    ordered.set(key, long.items[key], long.keys[key])
                elif default:
                    ordered.set(key, Scalar(default, at=node))
            for key, value in long.items.items():
                if key not in _ORDER:
                    ordered.set(key, value, long.keys[key])
            return Sequence([ordered], at=node)
        if not isinstance(node, Scalar) or isinstance(node.value, bool) or not isinstance(node.value, (int, str)):
            return run.wrong(node, where, self.what)
        if run.is_template(node):
            return node
        try:
            forms = parse_port(str(node.value))
        except BadPort as error:
            return run.bad(node, where, str(error), helps=['the short form is "8080:80", "127.0.0.1:8080:80" or "80"'])
        if run.too_many(len(forms), node, where):
            return None
        entries: list[Node] = []
        for form in forms:
            entry = Mapping(at=node)
            for key in _ORDER:
                if key in form:
                    entry.set(key, Scalar(form[key], at=node))
            entries.append(entry)
        return Sequence(entries, at=node)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if not isinstance(node, Mapping):
            return
        protocol, address = node.items["protocol"], node.items.get("host_ip")
        if protocol.plain() != "tcp":
            look.unsupported(protocol, f"`{where}`: publishing a {protocol.plain()} port", _IN_EFFECT)
        if address and ":" in str(address.plain()):
            look.unsupported(address, f"`{where}`: publishing on an IPv6 address", _IN_EFFECT)
        _LONG.support(node, where, look)

    def document(self, node: Node) -> Any:
        return _LONG.document(node)

    def schema(self) -> Schema:
        short = {**patterns.text(patterns.PORTS), "type": ["string", "integer"], "minimum": 1, "maximum": LAST_PORT}
        return {"oneOf": [short, _LONG.schema()]}


_ORDER: Final = ("mode", "host_ip", "target", "published", "protocol")


def port_identity(port: Any) -> Any:
    """Two entries with this equal are one."""
    if not isinstance(port, dict):
        return port
    return (port.get("host_ip", ""), port.get("published", ""), port["target"], port["protocol"])
