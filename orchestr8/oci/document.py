"""An OCI config.json as this runtime takes it: checked, and in the few shapes that `runtime` knows.

What concerns isolation and cannot be done is refused here, before anything is made. Nothing is looked up in the container.
Specification: github.com/opencontainers/runtime-spec, config.md and config-linux.md.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput, NotFound, Unsupported
from orchestr8.kernel import capabilities, rlimit
from orchestr8.kernel.device_rules import DEFAULT_DEVICES, oci_devices
from orchestr8.kernel.namespaces import CloneFlag
from orchestr8.model.sysctl import namespace_of
from orchestr8.oci import shape

Document = dict[str, Any]
Warn = Callable[[str], None]

NAMESPACES: Final = {
    "pid": CloneFlag.NEWPID,
    "network": CloneFlag.NEWNET,
    "mount": CloneFlag.NEWNS,
    "ipc": CloneFlag.NEWIPC,
    "uts": CloneFlag.NEWUTS,
    "time": CloneFlag.NEWTIME,
    "cgroup": CloneFlag.NEWCGROUP,
    "user": CloneFlag.NEWUSER,
}
HOOKS: Final = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
COPY_UP: Final = "orchestr8-copy-up"  # key of a mount: a tmpfs that begins with what lies below it
ID_MAP: Final = "orchestr8-id-map"  # of a mount: "idmap" or "ridmap", with whatever is mounted below; "": neither
_TMPCOPYUP: Final = "tmpcopyup"
_OWN: Final = "org.orchestr8."  # annotations by which our engine tells our runtime more: not for a stranger to write
_BINDS: Final = {"bind", "rbind"}
_CGROUPS: Final = {"cgroup", "cgroup2"}
_PROPAGATIONS: Final = {"", "private", "rprivate", "slave", "rslave"}
_REFUSED_OPTIONS: Final = {"copy-symlink"}
_ID_MAPS: Final = ("ridmap", "idmap")
# Of file systems; a bind says it to its source. The root is cut off from the host's mounts, and they with it.
_SAID_ALREADY: Final = {"rprivate", "private", "rslave", "slave", "async", "relatime", "norelatime", "loud"}
_REFUSED: Final = {
    "process": ("apparmorProfile", "selinuxLabel", "scheduler", "ioPriority", "execCPUAffinity"),
    "linux": ("mountLabel", "intelRdt", "personality", "timeOffsets", "netDevices", "memoryPolicy"),
    "resources": ("hugepageLimits", "rdma", "unified"),
}


def read(bundle: str, warn: Warn) -> Document:
    """The bundle's config.json, settled. Raises InvalidInput, NotFound, Unsupported."""
    return _settled(_config(bundle), bundle, warn)


def wants_terminal(bundle: str) -> bool:
    return bool(_config(bundle)["process"].get("terminal"))


def _config(bundle: str) -> Document:
    return read_json(os.path.join(bundle, "config.json"), shape.CONFIG)


def read_json(path: str, kind: Mapping[str, Any]) -> Document:
    """An object of this shape. Raises InvalidInput, NotFound."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}") from error
    try:
        checked: Document = shape.checked(found, kind)
    except InvalidInput as error:
        raise InvalidInput(f"{path} is not an OCI document: {error.message}") from error
    return checked


def _settled(found: Document, bundle: str, warn: Warn) -> Document:
    linux: Document = found.setdefault("linux", {}) or {}
    found["linux"] = linux
    if found.get("vm") or found.get("windows") or found.get("solaris"):
        raise Unsupported("only Linux containers are supported")
    refuse(linux, "linux")
    refuse(linux.get("resources") or {}, "resources")
    if ((linux.get("resources") or {}).get("network") or {}).get("classID"):
        raise Unsupported("linux.resources.network is not supported")
    if (linux.get("rootfsPropagation") or "") not in _PROPAGATIONS:
        raise Unsupported(
            f"linux.rootfsPropagation {linux['rootfsPropagation']} is not supported", helps=["private, slave"]
        )
    if (linux.get("seccomp") or {}).get("listenerPath"):
        raise Unsupported("linux.seccomp.listenerPath: notifications are not supported")
    linux["sysctl"] = linux.get("sysctl") or {}
    for key in ("devices", "maskedPaths", "readonlyPaths", "namespaces"):
        linux[key] = list(linux.get(key) or ())
    found["annotations"] = {
        key: value for key, value in (found.get("annotations") or {}).items() if not key.startswith(_OWN)
    }
    found["root"]["path"] = os.path.realpath(os.path.join(bundle, found["root"]["path"]))
    if not os.path.isdir(found["root"]["path"]):
        raise NotFound(f"root.path {found['root']['path']} is not a directory")
    found["mounts"] = [_mount(dict(each), bundle) for each in found.get("mounts") or ()]
    found["process"] = process(found["process"], warn)
    found["hooks"] = {kind: list((found.get("hooks") or {}).get(kind) or ()) for kind in HOOKS}
    _check_namespaces(found)
    _check_devices(linux)
    linux["resources"] = resources(linux.get("resources") or {})
    return found


def refuse(part: Mapping[str, Any], name: str) -> None:
    """What this part of a document must not ask for."""
    for key in _REFUSED[name]:
        if part.get(key):
            raise Unsupported(f"{name}.{key} is not supported")


def process(found: Document, warn: Warn) -> Document:
    """OCI's `process`, with what may be left out. Capabilities are those that this process itself can give."""
    refuse(found, "process")
    if not found.get("args"):
        raise InvalidInput("process.args must not be empty")
    if not str(found["cwd"]).startswith("/"):
        raise InvalidInput("process.cwd must be an absolute path")
    if any(text.startswith("=") or not text for text in found.get("env") or ()):
        raise InvalidInput("process.env: a variable has no name")
    user = dict(found.get("user") or {})
    user.setdefault("uid", 0)
    user.setdefault("gid", 0)
    for each in found.get("rlimits") or ():
        if each["type"] not in rlimit.NUMBERS:
            raise InvalidInput(f"process.rlimits: there is no {each['type']}")
    return {
        **found,
        "user": user,
        "env": list(found.get("env") or ()),
        "rlimits": list(found.get("rlimits") or ()),
        "terminal": bool(found.get("terminal")),
        "capabilities": _capabilities(found.get("capabilities") or {}, warn),
    }


def _capabilities(sets: Mapping[str, list[str]], warn: Warn) -> dict[str, list[str]]:
    """Those that can be had; others are told and left out (config.md, "Linux Process").

    Ambient ones are those that are permitted and inheritable, too (capabilities(7)): documents that say otherwise are common,
    since `runc spec` wrote such for years.
    """
    available = set(capabilities.names_of(capabilities.read().permitted))
    asked = {kind: sets[kind] for kind in capabilities.CapabilitySets._fields if kind in sets}
    found = {kind: [each for each in names if each in available] for kind, names in asked.items()}
    lost = {each for names in asked.values() for each in names} - available
    if lost:
        warn(f"capabilities that are unknown or not to be had are left out: {', '.join(sorted(lost))}")
    if ambient := found.get("ambient"):
        can_be = {*found.get("permitted", ())}.intersection(found.get("inheritable", ()))
        found["ambient"] = [each for each in ambient if each in can_be]
        if len(found["ambient"]) < len(ambient):
            warn("capabilities are left out of process.capabilities.ambient that are not permitted and inheritable")
    return found


def resources(found: Document) -> Document:
    """Beside what the document says of devices stand those without which no program runs, as with runc (specconv)."""
    rules = oci_devices(DEFAULT_DEVICES)
    given = found.get("devices") or rules[:1]
    return {**found, "devices": [*given, *rules[1:]]}


def _mount(entry: Document, bundle: str) -> Document:
    options = list(entry.get("options") or ())
    refused = [each for each in options if each in _REFUSED_OPTIONS or each.startswith(("idmap=", "ridmap="))]
    if refused:
        raise Unsupported(f"mount {entry['destination']}: option {refused[0]} is not supported")
    mapped = next((each for each in _ID_MAPS if each in options), "")
    if bool(entry.get("uidMappings")) != bool(entry.get("gidMappings")):
        raise InvalidInput(f"mount {entry['destination']}: uidMappings and gidMappings go together")
    if entry.get("uidMappings"):
        mapped = mapped or "idmap"
    kind = entry.get("type") or ""
    if kind in {"bind", "rbind", "none", ""} or _BINDS.intersection(options):
        kind = "bind"
        entry["source"] = os.path.join(bundle, entry["source"])
    else:
        options = [each for each in options if each not in _SAID_ALREADY]
    if mapped and kind != "bind":
        raise Unsupported(f"mount {entry['destination']}: ids are mapped of what is bound only")
    copies = _TMPCOPYUP in options
    if copies and kind != "tmpfs":
        raise Unsupported(f"mount {entry['destination']}: option {_TMPCOPYUP} is for a tmpfs")
    kept = [each for each in options if each != _TMPCOPYUP and each not in _ID_MAPS]
    kind = "cgroup" if kind in _CGROUPS else kind
    return {**entry, "type": kind, "options": kept, COPY_UP: copies, ID_MAP: mapped}


def fresh(document: Document) -> list[str]:
    """Kinds of the namespaces that are made for it."""
    return [each["type"] for each in document["linux"]["namespaces"] if not each.get("path")]


def joined(document: Document) -> Iterator[tuple[str, str]]:
    """Kind and path of each that is there already."""
    return ((each["type"], each["path"]) for each in document["linux"]["namespaces"] if each.get("path"))


def has(document: Document, kind: str) -> bool:
    """Whether it has a namespace of this kind that is not its caller's."""
    return any(each["type"] == kind for each in document["linux"]["namespaces"])


def _check_namespaces(found: Document) -> None:
    kinds = [each["type"] for each in found["linux"]["namespaces"]]
    for kind in kinds:
        if kind not in NAMESPACES:
            raise InvalidInput(f"linux.namespaces: there is no {kind}")
        if kinds.count(kind) > 1:
            raise InvalidInput(f"linux.namespaces: {kind} is there twice")
    if "mount" not in kinds or any(kind == "mount" for kind, _ in joined(found)):
        raise Unsupported("a container needs a mount namespace of its own")
    _check_users(found["linux"], kinds, dict(joined(found)))
    for key in ("hostname", "domainname"):
        if found.get(key) and "uts" not in kinds:
            raise InvalidInput(f"{key} would be the machine's: there is no uts namespace")
    wall: Callable[[str], bool] = kinds.__contains__
    for name in found["linux"]["sysctl"]:
        namespace = namespace_of(name)
        if namespace and wall(namespace):
            continue
        if name in {"kernel.domainname", "kernel.hostname"} and wall("uts"):
            continue
        raise InvalidInput(f"linux.sysctl {name} would be set for the whole machine")


def _check_users(linux: Document, kinds: list[str], there: Mapping[str, str]) -> None:
    if "user" not in kinds:
        if linux.get("uidMappings") or linux.get("gidMappings"):
            raise InvalidInput("linux.uidMappings and gidMappings are for a user namespace, and there is none")
        return
    if "user" in there:
        return  # whatever it maps
    for key in ("uidMappings", "gidMappings"):
        if not any(each["containerID"] == 0 for each in linux.get(key) or ()):
            raise InvalidInput(f"linux.{key} must have a user namespace's 0: its root builds the container")


def _check_devices(linux: Document) -> None:
    for device in linux["devices"]:
        if device["type"] not in {"c", "u", "b"}:
            raise Unsupported(f"device {device['path']} of type {device['type']} is not supported")
        device["type"] = "c" if device["type"] == "u" else device["type"]
        for key, usual in (("fileMode", 0o666), ("uid", 0), ("gid", 0)):
            device[key] = usual if device.get(key) is None else device[key]
