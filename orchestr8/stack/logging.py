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
_TRUE: Final = ("1", "t", "true")
_FILES: Final = {"max-size": _SIZE, "max-file": _COUNT, "compress": _FLAG}
_KNOWN: Final = {
    "local": _FILES,
    "json-file": _FILES | {"max-size": (f"-1|{_SIZE[0]}", _SIZE[1])},
    "none": {},
}
_CACHE: Final = {f"cache-{name}": known for name, known in _FILES.items()}
_SENT: Final = _CACHE | {
    "cache-disabled": _FLAG,
    "mode": ("blocking|non-blocking", "blocking or non-blocking"),
    "max-buffer-size": _SIZE,
}
_RECEIVERS: Final = ("syslog", "journald")  # `model.receivers` knows their own options
DRIVERS: Final = (*_KNOWN, *_RECEIVERS)
# Docker's further ones
_ELSEWHERE: Final = ("gelf", "fluentd", "awslogs", "splunk", "etwlogs", "gcplogs", "logentries")

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
        if driver not in DRIVERS:
            meant = () if driver in _ELSEWHERE else did_you_mean(driver, (*DRIVERS, *_ELSEWHERE))
            if meant and named is not None:  # where docker has none of that name, it creates no container either
                look.impossible(named, f"`{where}.driver`: there is no logging driver `{driver}`", *meant)
                return
            reason = f"logs are kept by the engine; drivers here are {', '.join(DRIVERS)}"
            look.no_effect(node.keys["driver"], f"{where}.driver", reason)
            return
        options = node.items.get("options")
        if isinstance(options, Mapping) and driver in _RECEIVERS:
            _check_receiver(driver, options, look, f"{where}.options")
        elif isinstance(options, Mapping):
            for name, value in options.items.items():
                self._option(driver, name, value, options.keys[name], look, f"{where}.options.{name}")
            _check_together(options, look, f"{where}.options")

    def _option(self, driver: str, name: str, value: Node, key: Node, look: SupportLook, place: str) -> None:
        known = _KNOWN[driver]
        if name in known:
            _check(known[name], value, look, place)
        elif name in _TOLD and known:
            look.no_effect(key, place, _TOLD[name])
        elif known:
            helps = did_you_mean(name, known) or [f"options of `{driver}` are {', '.join(known)}"]
            look.impossible(key, f"`{place}`: the logging driver `{driver}` has no such option", *helps)
        else:
            look.no_effect(key, place, "nothing is kept, so there is nothing to say about how")


def _check(known: tuple[str, str], value: Node, look: SupportLook, place: str) -> None:
    pattern, what = known
    if not re.fullmatch(pattern, str(value.plain()), re.IGNORECASE if what == _SIZE[1] else 0):
        look.impossible(value, f"`{place}` must be {what}, found {str(value.plain())!r}")


def _check_receiver(driver: str, options: Mapping, look: SupportLook, where: str) -> None:
    """What the drivers have in common is looked at here, their own options and what goes together by `model.receivers`."""
    from orchestr8.model import receivers  # few stacks have any

    texts = {name: str(value.plain()) for name, value in options.items.items()}
    for found in receivers.mistakes(driver, texts):
        key, place = options.keys[found.option], f"`{where}.{found.option}`"
        if found.option not in receivers.CHECKS[driver]:
            known = (*receivers.CHECKS[driver], *_SENT)
            helps = did_you_mean(found.option, known) or [f"options of `{driver}` are {', '.join(known)}"]
            look.impossible(key, f"{place}: the logging driver `{driver}` has no such option", *helps)
        else:
            look.impossible(key if found.missing else options.items[found.option], f"{place} {found.what}")
    for name, known in _SENT.items():
        if name in texts:
            _check(known, options.items[name], look, f"{where}.{name}")
    _check_together(options, look, where, "cache-")
    without_copy = texts.get("cache-disabled", "").lower() in _TRUE
    unseen = not receivers.shows_attributes(driver, texts)
    for name, text in texts.items():
        if name == "mode" and text == "blocking":
            look.no_effect(options.keys[name], f"{where}.{name}", _TOLD[name])
        elif name in _CACHE and without_copy:
            look.no_effect(options.keys[name], f"{where}.{name}", "`cache-disabled` keeps no files of it here")
        elif unseen and name in ("labels", "labels-regex", "env", "env-regex"):
            reason = "syslog has no fields of a container's own; a `tag` shows one: {{(.ExtraAttributes nil).NAME}}"
            look.no_effect(options.keys[name], f"{where}.{name}", reason)


def _check_together(options: Mapping, look: SupportLook, where: str, prefix: str = "") -> None:
    """One file is never a rotated one, so there is nothing to compress."""
    values = {name: str(value.plain()) for name, value in options.items.items()}
    compress, count = f"{prefix}compress", f"{prefix}max-file"
    if values.get(compress, "").lower() in _TRUE and (values.get(count) or "").lstrip("0") == "1":
        look.impossible(
            options.keys[compress], f"`{where}`: `{compress}` needs a `{count}` of 2 or more",
            "rotated files are compressed, the one that is written to is not",
        )  # fmt: skip


LOGGING: Final = Logging(
    "the logging", {"driver": now(Text()), "options": now(Named("a mapping of options", AsText(refused=(bool,))))}
)
