"""Images of Debian's packages, in .cache/images of this checkout: `python -m e2e.programs.images [NAME …]`, all unless named.

Each is what mmdebstrap makes of Debian 12: the essential packages, one program with what it depends on, and the user
that it runs as. What is made already is kept until its recipe here changes. Needs root, mmdebstrap and Debian's mirror.
"""

import concurrent.futures
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

IMAGES: Final = Path(__file__).parent.parent.parent / ".cache" / "images"
TIME_LIMIT_S: Final = 300  # for one image
SUITE: Final = "bookworm"
AT_ONCE: Final = 2

# Nothing that a container reads: a third of the time, and half of the room.
_WITHOUT: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    packages: tuple[str, ...]
    user: str = ""  # a system user of this name is added; "": the packages bring theirs
    before: tuple[str, ...] = ()  # commands for the shell before the packages come, with the tree as $1


RECIPES: Final = {
    "redis": Recipe(packages=("redis-server",)),
    "nginx": Recipe(packages=("nginx-light", "curl")),
    # Its cluster is made by the container that first has the volume, not once for all in the image.
    "postgres": Recipe(
        packages=("postgresql",),
        before=(
            'mkdir -p "$1/etc/postgresql-common"',
            'echo "create_main_cluster = false" >"$1/etc/postgresql-common/createcluster.conf"',
        ),
    ),
    # Its packages fail where there is no folder for their pages of the manual.
    "java": Recipe(
        packages=("openjdk-17-jdk-headless", "curl"), user="java", before=('mkdir -p "$1/usr/share/man/man1"',)
    ),
    # No program of a stack: podman and dockerd, which are given our OCI runtime (`e2e.oci_callers`).
    "callers": Recipe(packages=("podman", "docker.io", "runc", "catatonit", "mount", "python3")),
    "node": Recipe(packages=("nodejs", "curl"), user="node"),
}


class ImageError(Exception):
    """An image could not be made; the text is what mmdebstrap said last."""


def is_made(name: str, images: Path = IMAGES) -> bool:
    """Whether the image is there, and made by the recipe as it is now."""
    try:
        return _note(name, images).read_text(encoding="utf-8") == _words(name)
    except FileNotFoundError:
        return False


def make(name: str, images: Path = IMAGES) -> None:
    """Make the image `images`/`name`, in the place of an older one. Raises ImageError."""
    images.mkdir(parents=True, exist_ok=True)
    part = images / f"{name}.part"
    _note(name, images).unlink(missing_ok=True)
    for tree in (part, images / name):
        if tree.exists():
            shutil.rmtree(tree)
    command = ["mmdebstrap", *_options(RECIPES[name]), SUITE, str(part)]
    try:
        result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    except FileNotFoundError as error:
        raise ImageError("mmdebstrap is not installed: `make programs` installs it") from error
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"{name} was not made within {TIME_LIMIT_S} s") from error
    if result.returncode:
        raise ImageError(f"{name}: `{' '.join(command)}` failed:\n" + "\n".join(result.stderr.splitlines()[-20:]))
    os.rename(part, images / name)
    _note(name, images).write_text(_words(name), encoding="utf-8")


def make_missing(names: Sequence[str]) -> list[str]:
    """Make what is not made yet, some at once. Returns a complaint for each that could not be made."""
    complaints = []
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        making = {name: pool.submit(make, name) for name in names if not is_made(name)}
        for name, future in making.items():
            try:
                future.result()
                print(f"images: {name} is made")
            except ImageError as error:
                complaints.append(f"images: {error}")
    return complaints


def _options(recipe: Recipe) -> list[str]:
    packages, hooks = recipe.packages, [f"--essential-hook={command}" for command in recipe.before]
    if recipe.user:
        packages += ("passwd",)
        hooks += [f'--customize-hook=chroot "$1" useradd --system --user-group {recipe.user}']
    return [
        "--mode=root",
        "--variant=essential",
        "--dpkgopt=force-confold",  # what `before` wrote stays
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT),
        f"--include={','.join(packages)}",
        *hooks,
    ]


def _note(name: str, images: Path) -> Path:
    return images / f"{name}.recipe"


def _words(name: str) -> str:
    return "\n".join([SUITE, *_options(RECIPES[name])]) + "\n"


def main(arguments: Sequence[str]) -> int:
    unknown = sorted(set(arguments) - set(RECIPES))
    if unknown:
        print(f"images: no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}", file=sys.stderr)
        return 2
    complaints = make_missing(arguments or list(RECIPES))
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
