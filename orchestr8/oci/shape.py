"""What each key of OCI's documents holds, checked before anything is made of it: a value of another kind is one error with its place.

As in the Go types of other runtimes null is as good as nothing, and keys that are not known here are left alone.
"""

from typing import Any, Final

from orchestr8.errors import InvalidInput


class Names:
    """An object whose keys are names."""

    def __init__(self, of: Any) -> None:
        self.of = of


# A shape is `str` or `bool`; a range, for integers; a list of one shape; or an object's keys with theirs, `!` for those that must
# be there.
_NUMBER: Final = range(-(1 << 63), 1 << 64)
_ID: Final = range(1 << 32)
_HOOK: Final = {"path!": str, "args": [str], "env": [str], "timeout": range(1 << 31)}
_MAPPINGS: Final = [{"containerID!": _ID, "hostID!": _ID, "size!": range(1, 1 << 32)}]
_RATES: Final = [{"major!": _NUMBER, "minor!": _NUMBER, "rate": _NUMBER}]
_SECCOMP: Final = {
    "defaultAction!": str, "defaultErrnoRet": _NUMBER, "architectures": [str], "flags": [str], "listenerPath": str,
    "syscalls": [
        {
            "names!": [str], "action!": str, "errnoRet": _NUMBER,
            "args": [{"index!": _NUMBER, "value!": _NUMBER, "valueTwo": _NUMBER, "op!": str}],
        }
    ],
}  # fmt: skip

PROCESS: Final = {
    "args": [str], "cwd!": str, "env": [str], "terminal": bool, "noNewPrivileges": bool, "oomScoreAdj": range(-1000, 1001),
    "consoleSize": {"height": range(1 << 16), "width": range(1 << 16)},
    "user": {"uid": _ID, "gid": _ID, "additionalGids": [_ID], "umask": _ID},
    "rlimits": [{"type!": str, "hard!": _NUMBER, "soft!": _NUMBER}],
    "capabilities": {kind: [str] for kind in ("bounding", "effective", "permitted", "inheritable", "ambient")},
}  # fmt: skip
RESOURCES: Final = {
    "devices": [{"allow!": bool, "type": str, "major": _NUMBER, "minor": _NUMBER, "access": str}],
    "memory": {
        **dict.fromkeys(("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness"), _NUMBER),
        "disableOOMKiller": bool,
    },
    "cpu": {
        **dict.fromkeys(("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod", "idle"), _NUMBER),
        "cpus": str, "mems": str,
    },
    "pids": {"limit": _NUMBER},
    "blockIO": {
        "weight": _NUMBER, "leafWeight": _NUMBER,
        "weightDevice": [{"major!": _NUMBER, "minor!": _NUMBER, "weight": _NUMBER, "leafWeight": _NUMBER}],
        **{f"throttle{way}{what}Device": _RATES for way in ("Read", "Write") for what in ("Bps", "IOPS")},
    },
    "network": {"classID": _NUMBER},
}  # fmt: skip
CONFIG: Final = {
    "ociVersion!": str, "hostname": str, "domainname": str, "annotations": Names(str),
    "root!": {"path!": str, "readonly": bool},
    "process!": PROCESS,
    "mounts": [
        {"destination!": str, "type": str, "source": str, "options": [str], "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS}
    ],
    "hooks": Names([_HOOK]),
    "linux": {
        "namespaces": [{"type!": str, "path": str}], "uidMappings": _MAPPINGS, "gidMappings": _MAPPINGS,
        "devices": [
            {"type!": str, "path!": str, "major!": range(1 << 12), "minor!": range(1 << 20), "fileMode": _ID, "uid": _ID, "gid": _ID}
        ],
        "cgroupsPath": str, "rootfsPropagation": str, "sysctl": Names(str), "maskedPaths": [str], "readonlyPaths": [str],
        "resources": RESOURCES, "seccomp": _SECCOMP,
    },
}  # fmt: skip


def checked(value: Any, shape: Any, where: str = "") -> Any:
    """The value without its nulls. Raises InvalidInput."""
    if isinstance(shape, dict):
        return _object(value, shape, where)
    if isinstance(shape, list):
        if type(value) is not list:
            raise _wrong(where, "a list")
        return [checked(each, shape[0], f"{where}[{number}]") for number, each in enumerate(value)]
    if isinstance(shape, range):
        if type(value) is not int or value not in shape:
            raise _wrong(
                where, f"an integer from {shape.start} to {shape.stop - 1}" if shape != _NUMBER else "an integer"
            )
    elif isinstance(shape, Names):
        if type(value) is not dict:
            raise _wrong(where, "an object")
        return {key: checked(each, shape.of, f"{where}.{key}") for key, each in value.items() if each is not None}
    elif type(value) is not shape:
        raise _wrong(where, "a text" if shape is str else "true or false")
    return value


def _object(value: Any, shape: dict[str, Any], where: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise _wrong(where, "an object")
    found = {key: each for key, each in value.items() if each is not None}
    for name, kind in shape.items():
        key = name.removesuffix("!")
        place = f"{where}.{key}" if where else key
        if key in found:
            found[key] = checked(found[key], kind, place)
        elif key != name:
            raise InvalidInput(f"{place} is missing")
    return found


def _wrong(where: str, kind: str) -> InvalidInput:
    return InvalidInput(f"{where or 'it'} must be {kind}")
