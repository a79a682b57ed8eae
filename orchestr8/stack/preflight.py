"""What this machine's files say of a stack, before anything runs: bind sources that are not there."""

import os

from orchestr8.stack.nodes import Mapping, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.source import exists, names_in
from orchestr8.stack.suggest import closest


def check_bind_sources(services: dict[str, Mapping], problems: Problems) -> None:
    """Warn of each missing one. With `create_host_path`, which the short form implies, a directory will be made."""
    for service in services.values():
        mounts = service.items.get("volumes")
        for mount in mounts.items if isinstance(mounts, Sequence) else ():
            if isinstance(mount, Mapping) and mount.items["type"].plain() == "bind":
                _check(mount, problems)


def _check(mount: Mapping, problems: Problems) -> None:
    source, options = mount.items.get("source"), mount.items.get("bind")
    if not isinstance(source, Scalar) or not isinstance(options, Mapping):
        return
    path = str(source.plain())
    if not path.startswith("/") or exists(path):
        return
    creates = options.items["create_host_path"].plain() is True
    directory, name = os.path.split(path)
    near = closest(name, names_in(directory))
    notes = ["a directory will be made there"] if creates else ["nothing will be made there: create_host_path is false"]
    if creates and "." in name.lstrip("."):
        notes.append(f"`{name}` looks like the name of a file")
    helps = [f"did you mean {os.path.join(directory, near)}?"] if near else []
    problems.warn("O8-402", f"bind source does not exist: {path}", source, notes=notes, helps=helps)
