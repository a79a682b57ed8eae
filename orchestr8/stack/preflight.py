"""What this machine says of a stack, before anything runs: bind sources and images that are not there."""

import os
import stat
from collections.abc import Callable, Collection, Iterable

from orchestr8.stack.images import IMAGE_HELPS, ROOTFS, full_name, tags_help
from orchestr8.stack.nodes import Mapping, Scalar, Sequence
from orchestr8.stack.problems import Problems
from orchestr8.stack.source import exists, names_in
from orchestr8.stack.suggest import closest

# Full names and ids of the images that were made here; None: this user may not see them.
Stored = Callable[[], Collection[str] | None]


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


def unseen() -> None:
    return None


def check_images(services: Iterable[Mapping], problems: Problems, stored: Stored = unseen) -> None:
    """Tell of each image that the engine has not, and of directories that are not there.

    `stored` is asked when there is an image that it may have. For who only asks. Who acts has it from the engine, which
    sees what this user may not, and needs images for new containers alone.
    """
    asked: list[Collection[str] | None] = []
    for service in services:
        node = service.items.get("image")
        image = str(node.plain()) if isinstance(node, Scalar) else ""
        if not node or not image.strip():
            continue
        if not image.startswith(ROOTFS):
            asked = asked or [stored()]
            known = asked[0]
            if known is None:
                found = (
                    "there are no registries yet; `orchestr8 up` will refuse it unless `orchestr8 commit` has made it"
                )
            elif image in known or full_name(image) in known:
                continue
            else:
                found = (
                    "none of this name was made here, and there are no registries yet; `orchestr8 up` will refuse it"
                )
            helps = [*tags_help(image, known or ()), *IMAGE_HELPS]
            problems.warn("O8-501", f"image {image}: {found}", node, helps=helps)
        elif _is_missing(path := image.removeprefix(ROOTFS)):
            directory, name = os.path.split(path.rstrip("/"))
            near = closest(name, names_in(directory))
            helps = [f"did you mean {ROOTFS}{os.path.join(directory, near)}?"] if near else []
            problems.error("O8-502", f"image {image}: there is no directory {path}", node, helps=helps)


def _is_missing(path: str) -> bool:
    """Beyond doubt: what this user may not see, the engine may."""
    try:
        return path.startswith("/") and not stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
