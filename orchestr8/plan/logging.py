"""What becomes of a service's output, from its canonical document. `stack` has said what is wrong with the options."""

from collections.abc import Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model import receivers
from orchestr8.model.specs import LogDriver, LogSpec
from orchestr8.plan.values import size_bytes

_RECEIVERS: Final = {LogDriver.SYSLOG.value: LogDriver.SYSLOG, LogDriver.JOURNALD.value: LogDriver.JOURNALD}
_CACHE: Final = "cache-"
_CACHE_BYTES: Final = 20 << 20  # of a file, and how many: Docker's (moby, daemon/logger/loggerutils/cache)
_CACHE_FILES: Final = 5
# What says how we send, not what is sent or where to.
_OURS: Final = ("mode", "max-buffer-size")


def log_spec(content: Mapping[str, Any], where: str) -> LogSpec:
    """Docker's `json-file` is our own format with that driver's options; it does not compress unless told to, `local`
    does. A driver that is not ours leaves everything as it is by default. Raises InvalidInput for unusable options.
    """
    driver, options = content.get("driver") or "local", content.get("options") or {}
    where = f"{where}.options"
    if driver == "none":
        return LogSpec(driver=LogDriver.NONE)
    if driver in _RECEIVERS:
        return _receiver_spec(_RECEIVERS[driver], {name: str(value) for name, value in options.items()}, where)
    if driver not in ("local", "json-file"):
        return LogSpec()
    return _files(LogSpec(compress=driver == "local"), options, where)


def _files(usual: LogSpec, options: Mapping[str, Any], where: str, prefix: str = "") -> LogSpec:
    """`usual` with what the options say of our files."""
    size, count, compress = (f"{prefix}{name}" for name in ("max-size", "max-file", "compress"))
    max_files = _count(options[count], f"{where}.{count}") if count in options else usual.max_files
    return LogSpec(
        driver=usual.driver,
        max_bytes=size_bytes(options.get(size, usual.max_bytes), f"{where}.{size}"),
        max_files=max_files,
        compress=_flag(options.get(compress, usual.compress), f"{where}.{compress}"),
    )


def _receiver_spec(driver: LogDriver, options: Mapping[str, str], where: str) -> LogSpec:
    for found in receivers.mistakes(driver.value, options):
        raise InvalidInput(f"{where}.{found.option} {found.what}", code="O8-305")
    usual = LogSpec(driver=driver, max_bytes=_CACHE_BYTES, max_files=_CACHE_FILES)
    files = _files(usual, options, where, _CACHE)
    return LogSpec(
        driver=driver,
        max_bytes=files.max_bytes,
        max_files=files.max_files,
        compress=files.compress,
        copied=not _flag(options.get("cache-disabled", "false"), f"{where}.cache-disabled"),
        queue_bytes=size_bytes(options.get("max-buffer-size", usual.queue_bytes), f"{where}.max-buffer-size"),
        options=tuple(
            sorted((name, text) for name, text in options.items() if not name.startswith(_CACHE) and name not in _OURS)
        ),
    )


def _count(value: Any, where: str) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) < 1:
        raise InvalidInput(f"{where}: {text!r} is not a number of files, at least 1", code="O8-305")
    return int(text)


def _flag(value: Any, where: str) -> bool:
    try:
        return receivers.flag(str(value))
    except ValueError as error:
        raise InvalidInput(f"{where}: {str(value)!r} is neither true nor false", code="O8-305") from error
