"""What limits of a service no kernel can have together, told before anything starts, as dockerd tells it at creation.

Works on the merged service; what each key holds by itself was checked by `rules`. That a flat key and `deploy.resources`
agree is for `validate`.
"""

from __future__ import annotations

import re

from orchestr8.stack.nodes import Mapping, Node, Sequence
from orchestr8.stack.suggest import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from orchestr8.stack.support import SupportLook

_MEMORY_MIN: Final = 6 << 20  # dockerd's: with less a container cannot even be set up
_PERIODS_US: Final = (1_000, 1_000_000)
_QUOTA_MIN_US: Final = 1_000
_SHARES: Final = (2, 262_144)
_WEIGHTS: Final = (10, 1_000)
_DEVICE_RULE: Final = re.compile(r"[abc] ([0-9]{1,10}|\*):([0-9]{1,10}|\*) [rwm]{1,3}")
_CPUSET: Final = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*")
_GROUP: Final = re.compile(r"/?[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*(/[0-9a-zA-Z+_-][0-9a-zA-Z+_.-]*)*/?")
_ULIMITS: Final = (
    *("as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio"),
    *("rttime", "sigpending", "stack"),
)  # getrlimit(2)


def check_limits(service: Mapping, where: str, look: SupportLook) -> None:
    """Tell `look` of each limit that cannot be."""
    checks = _Checks(service, where, look)
    checks.memory()
    checks.processors()
    checks.real_time()
    checks.disks()
    checks.texts()
    checks.ulimits()


class _Checks:
    def __init__(self, service: Mapping, where: str, look: SupportLook) -> None:
        self.service = service
        self.where = where
        self.look = look

    def find(self, *places: str) -> tuple[Node | None, int]:
        """The first of the keys (`deploy.resources.limits.memory`) that is there with a number other than 0."""
        for place in places:
            node: Node | None = self.service
            for part in place.split("."):
                node = node.items.get(part) if isinstance(node, Mapping) else None
            if node is not None and (number := _number(node)):
                return node, number
        return None, 0

    def between(self, key: str, least: int, most: int | None, unit: str = "") -> None:
        node, number = self.find(key)
        if node is not None and number > 0 and (number < least or (most is not None and number > most)):
            span = f"at least {least}" if most is None else f"{least} to {most}"
            self.look.impossible(node, f"`{self.where}.{key}`: the kernel takes {span}{unit}, found {number}")

    def memory(self) -> None:
        memory, limit = self.find("deploy.resources.limits.memory", "mem_limit")
        swap, both = self.find("memswap_limit")
        reservation, reserved = self.find("deploy.resources.reservations.memory", "mem_reservation")
        if memory is not None and 0 < limit < _MEMORY_MIN:
            self.look.impossible(memory, f"`{self.where}`: a container needs at least 6m of memory", "write 6m or more")
        if swap is not None and both > 0 and limit <= 0:
            message = f"`{self.where}.memswap_limit` is for memory and swap together, and needs a mem_limit"
            self.look.impossible(swap, message, "add `mem_limit:`")
        elif swap is not None and 0 < both < limit:
            message = f"`{self.where}.memswap_limit` is for memory and swap together: it cannot be less than mem_limit"
            self.look.impossible(swap, message, "for no swap, write what mem_limit is")
        if reservation is not None and 0 < limit < reserved:
            self.look.impossible(reservation, f"`{self.where}`: more memory is reserved than mem_limit allows")
        swappiness, percent = self.find("mem_swappiness")
        if swappiness is not None and percent > 100:
            self.look.impossible(swappiness, f"`{self.where}.mem_swappiness` is a percentage, found {percent}")

    def processors(self) -> None:
        cpus = self.find("deploy.resources.limits.cpus", "cpus")[0]
        for key in ("cpu_quota", "cpu_period"):
            node = self.find(key)[0]
            if cpus is not None and node is not None:
                self.look.impossible(node, f"`{self.where}`: cpus and {key} exclude each other", "keep one of them")
        self.between("cpu_period", *_PERIODS_US, " microseconds")
        self.between("cpu_quota", _QUOTA_MIN_US, None, " microseconds")
        self.between("cpu_shares", *_SHARES)

    def real_time(self) -> None:
        node, runtime = self.find("cpu_rt_runtime")
        period = self.find("cpu_rt_period")[1] or 1_000_000
        if node is not None and runtime > period:
            self.look.impossible(
                node, f"`{self.where}`: cpu_rt_runtime is more than its period of {period} microseconds"
            )

    def disks(self) -> None:
        self.between("blkio_config.weight", *_WEIGHTS)

    def texts(self) -> None:
        rules = self.service.items.get("device_cgroup_rules")
        for index, rule in enumerate(rules.items if isinstance(rules, Sequence) else ()):
            if not _DEVICE_RULE.fullmatch(text := str(rule.plain())) and "$" not in text:
                message = f"`{self.where}.device_cgroup_rules[{index}]`: `{text}` is not a device rule"
                self.look.impossible(rule, message, 'write type, numbers and access: "c 10:200 rwm"')
        for key, pattern, what in (
            ("cpuset", _CPUSET, "a list of processors such as 0-3 or 0,2"),
            ("cgroup_parent", _GROUP, "the path of a cgroup such as /batch"),
        ):
            node = self.service.items.get(key)
            text = str(node.plain()) if node is not None else ""
            if node is not None and text and not pattern.fullmatch(text) and "$" not in text:
                self.look.impossible(node, f"`{self.where}.{key}` must be {what}, found `{text}`")

    def ulimits(self) -> None:
        node = self.service.items.get("ulimits")
        for name, limit in node.items.items() if isinstance(node, Mapping) else ():
            place = f"`{self.where}.ulimits.{name}`"
            assert isinstance(node, Mapping)
            if name not in _ULIMITS:
                helps = did_you_mean(name, _ULIMITS) or [f"there are {', '.join(_ULIMITS)}"]
                self.look.impossible(node.keys[name], f"{place}: the kernel has no such limit", *helps)
            elif isinstance(limit, Mapping):
                soft, hard = (_number(limit.items[key]) if key in limit.items else 0 for key in ("soft", "hard"))
                if hard > 0 and (soft > hard or soft < 0):
                    self.look.impossible(limit, f"{place}: the soft limit is above the hard one")


def _number(node: Node) -> int:
    """0 for what is no number, such as a variable that is kept."""
    try:
        value = float(str(node.plain()))
        return int(value) or int(value > 0)  # a fraction of a processor is something
    except (ValueError, OverflowError):
        return 0
