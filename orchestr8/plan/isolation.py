"""What a service's document says of rights, confinement and namespaces, as an IsolationSpec.

Only its shape is checked here: the document is validated. What a value means to the kernel is `runtime.confinement`'s.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import DeviceSpec, IsolationSpec

_OWN_IPC: Final = {"private", "shareable"}


def isolation(content: Mapping[str, Any], profiles: Mapping[str, Any]) -> IsolationSpec:
    """From the canonical form of one service. `profiles`: the seccomp profiles that the stack names, by their names."""
    options = [str(each) for each in content.get("security_opt") or ()]
    ipc = str(content.get("ipc") or "")
    return IsolationSpec(
        privileged=bool(content.get("privileged")),
        cap_add=_capabilities(content.get("cap_add")),
        cap_drop=_capabilities(content.get("cap_drop")),
        no_new_privileges=any(_is_on(each, "no-new-privileges") for each in options),
        seccomp=_seccomp(options, profiles),
        system_paths="unconfined" not in _values(options, "systempaths"),
        groups=tuple(str(each) for each in content.get("group_add") or ()),
        sysctls=tuple(sorted((str(key), str(value)) for key, value in (content.get("sysctls") or {}).items())),
        devices=tuple(
            DeviceSpec(
                source=str(each["source"]),
                target=str(each.get("target") or each["source"]),
                access=str(each.get("permissions") or "rwm"),
            )
            for each in content.get("devices") or ()
        ),
        domainname=str(content.get("domainname") or ""),
        pid=str(content.get("pid") or ""),
        ipc="" if ipc in _OWN_IPC else ipc,
        uts=str(content.get("uts") or ""),
        user_namespace=str(content.get("userns_mode") or "").partition(":")[0] in {"private", "auto"},
    )


def _capabilities(names: Any) -> tuple[str, ...]:
    """With their prefix, in capitals, each once: how they are written makes no other container."""
    written = [str(each).upper() for each in names or ()]
    return tuple(sorted({each if each == "ALL" or each.startswith("CAP_") else f"CAP_{each}" for each in written}))


def split_option(option: str) -> tuple[str, str]:
    """`seccomp=FILE`, or with the `:` that Docker took before."""
    key, found, value = option.partition("=")
    return (key, value) if found else (option.partition(":")[0], option.partition(":")[2])


def _values(options: list[str], key: str) -> list[str]:
    return [value for name, value in map(split_option, options) if name == key]


def _is_on(option: str, key: str) -> bool:
    name, value = split_option(option)
    return name == key and value in {"", "true"}


def _seccomp(options: list[str], profiles: Mapping[str, Any]) -> str:
    """The profile itself, since the engine reads no file of the caller's. The last one counts; "builtin" is ours."""
    names = _values(options, "seccomp")
    if not names or names[-1] == "builtin":
        return ""
    if names[-1] == "unconfined":
        return names[-1]
    if names[-1] not in profiles:
        raise InvalidInput(f"the seccomp profile {names[-1]} did not come with the stack", code="O8-614")
    return json.dumps(profiles[names[-1]], sort_keys=True, separators=(",", ":"))
