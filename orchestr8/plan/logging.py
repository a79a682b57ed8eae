"""What becomes of a service's output, from its canonical document. `stack` has said what is wrong with the options."""

from collections.abc import Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import LogDriver, LogSpec
from orchestr8.plan.values import size_bytes

_TRUE: Final = frozenset(("1", "t", "true"))
_FALSE: Final = frozenset(("0", "f", "false"))


def log_spec(content: Mapping[str, Any], where: str) -> LogSpec:
    """Docker's `json-file` is our own format with that driver's options; it does not compress unless told to, `local`
    does. A driver that is not ours leaves everything as it is by default. Raises InvalidInput for unusable options.
    """
    driver, options = content.get("driver") or "local", content.get("options") or {}
    if driver == "none":
        return LogSpec(driver=LogDriver.NONE)
    if driver not in ("local", "json-file"):
        return LogSpec()
    usual = LogSpec(compress=driver == "local")
    max_files = usual.max_files
    if "max-file" in options:
        max_files = _count(options["max-file"], f"{where}.options.max-file")
    return LogSpec(
        max_bytes=size_bytes(options.get("max-size", usual.max_bytes), f"{where}.options.max-size"),
        max_files=max_files,
        compress=_flag(options.get("compress", usual.compress), f"{where}.options.compress"),
    )


def _count(value: Any, where: str) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"{where}: {text!r} is not a number of files, at least 1", code="O8-305")
    return int(text)


def _flag(value: Any, where: str) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise InvalidInput(f"{where}: {text!r} is neither true nor false", code="O8-305")
    return text in _TRUE
