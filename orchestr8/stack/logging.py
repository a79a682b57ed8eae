"""`logging:`: who keeps the program's output, and what each driver of ours may be told.

Options are the driver's own, so they are looked at when a verb acts, as Docker does; `config` takes whatever is there.
"""

from __future__ import annotations

import re

from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.records import Named, Record, now
from orchestr8.stack.suggest import did_you_mean
from orchestr8.stack.types import AsText, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from orchestr8.stack.support import SupportLook

_SIZE: Final = (r"0*[1-9]\d*(\.\d+)?\s*[kmgt]?i?b?|\d*\.\d*[1-9]\d*\s*[kmgt]i?b?", "a size such as 10m")
_COUNT: Final = (r"0*[1-9]\d*", "a number of files, at least 1")
_FLAG: Final = ("1|0|t|f|T|F|true|false|True|False|TRUE|FALSE", "true or false")
_FILES: Final = {"max-size": _SIZE, "max-file": _COUNT, "compress": _FLAG}
_KNOWN: Final = {
    "local": _FILES,
    "json-file": _FILES | {"max-size": (f"-1|{_SIZE[0]}", _SIZE[1])},
    "none": {},
}
DRIVERS: Final = tuple(_KNOWN)

# Of Docker's drivers, in any of ours: what comes of it here.
_TOLD: Final = {
    **dict.fromkeys(("labels", "labels-regex", "env", "env-regex", "tag"),
                    "elsewhere it adds these to every record; here a log holds time, stream and text"),
    **dict.fromkeys(("mode", "max-buffer-size"), "a container never waits for its log here"),
}  # fmt: skip


class Logging(Record):
    """Options belong to their driver: another driver's are not mixed in."""

    def merge(self, base: Node, over: Node) -> Node:
        drivers = {each.items["driver"].plain() for each in (base, over)
                   if isinstance(each, Mapping) and "driver" in each.items}  # fmt: skip
        return over if len(drivers) > 1 else super().merge(base, over)

    def support(self, node: Node, where: str, look: SupportLook) -> None:
        if not isinstance(node, Mapping):
            return
        named = node.items.get("driver")
        driver = (str(named.plain() or "") if named is not None else "") or DRIVERS[0]
        if driver not in _KNOWN:
            reason = f"logs are kept by the engine; drivers here are {', '.join(DRIVERS)}"
            look.no_effect(node.keys["driver"], f"{where}.driver", reason)
            return
        options = node.items.get("options")
        if isinstance(options, Mapping):
            for name, value in options.items.items():
                self._option(driver, name, value, options.keys[name], look, f"{where}.options.{name}")
            _check_together(options, look, f"{where}.options")

    def _option(self, driver: str, name: str, value: Node, key: Node, look: SupportLook, place: str) -> None:
        known = _KNOWN[driver]
        if name in known:
            pattern, what = known[name]
            if not re.fullmatch(pattern, str(value.plain()), re.IGNORECASE if what == _SIZE[1] else 0):
                look.impossible(value, f"`{place}` must be {what}, found {str(value.plain())!r}")
        elif name in _TOLD and known:
            look.no_effect(key, place, _TOLD[name])
        elif known:
            helps = did_you_mean(name, known) or [f"options of `{driver}` are {', '.join(known)}"]
            look.impossible(key, f"`{place}`: the logging driver `{driver}` has no such option", *helps)
        else:
            look.no_effect(key, place, "nothing is kept, so there is nothing to say about how")


def _check_together(options: Mapping, look: SupportLook, where: str) -> None:
    """One file is never a rotated one, so there is nothing to compress."""
    values = {name: str(value.plain()) for name, value in options.items.items()}
    if values.get("compress", "").lower() in ("1", "t", "true") and (values.get("max-file") or "").lstrip("0") == "1":
        look.impossible(
            options.keys["compress"], f"`{where}`: `compress` needs a `max-file` of 2 or more",
            "rotated files are compressed, the one that is written to is not",
        )  # fmt: skip


LOGGING: Final = Logging(
    "the logging", {"driver": now(Text()), "options": now(Named("a mapping of options", AsText(refused=(bool,))))}
)
