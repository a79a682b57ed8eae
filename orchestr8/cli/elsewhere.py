"""Commands and flags that docker and compose have and this program does not: what does it here, or what to do until there is one.

Data only, and only the error of an unknown word needs it.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import Final

_NO_REGISTRY: Final = (
    "there are no registries yet: `image: rootfs:DIR` runs a directory, and `orchestr8 commit` makes images"
)
_IN_ROOT: Final = "images that `orchestr8 commit` made lie in images/ of the engine's root, an OCI image layout: skopeo reads it there"
_NO_REMOVAL: Final = (
    "single images cannot be removed yet; all of them: `orchestr8 down` of the stacks that use them, `orchestr8 engine stop`, "
    "then delete images/, layers/ and bases/ of the engine's root"
)

# By other means, each of them a command line or two.
DONE_BY: Final = {
    **dict.fromkeys(("compose", "docker"), "leave that word out: orchestr8 up"),
    "convert": "orchestr8 config",
    "create": "orchestr8 up -d creates and starts",
    "viz": "orchestr8 graph",
    "scale": "orchestr8 up -d --scale SERVICE=N",
    "update": "change the service's limits in the stack file, then: orchestr8 up -d",
    "info": "orchestr8 engine status says what runs, orchestr8 doctor what this machine can do",
    "system": "orchestr8 engine status says what runs, orchestr8 doctor what this machine can do",
    "daemon": "orchestr8 engine start; every command that needs the engine starts it",
    "rm": "orchestr8 down removes the stack's containers; orchestr8 up -d --scale SERVICE=0 those of one service",
    "prune": "orchestr8 down -v removes a stack with its volumes; orchestr8 up -d --remove-orphans what the file no longer has",
    "volume": "orchestr8 config --volumes names the stack's volumes; orchestr8 down -v removes them",
    "volumes": "orchestr8 config --volumes names the stack's volumes; orchestr8 down -v removes them",
    "network": "orchestr8 config --networks names the stack's networks",
    "networks": "orchestr8 config --networks names the stack's networks",
    "container": "leave that word out: orchestr8 ps, orchestr8 inspect CONTAINER",
    "rename": "`container_name:` in the stack file names a container",
    "save": f"{_IN_ROOT}; orchestr8 export writes a container's files as a tar archive",
}
NOT_YET: Final = {
    "ls": "orchestr8 engine status counts stacks; orchestr8 -p NAME ps shows the containers of one",
    "images": f"orchestr8 config --images names those of the stack; {_IN_ROOT}",
    "image": f"orchestr8 config --images names those of the stack; {_IN_ROOT}",
    "history": _IN_ROOT,
    "rmi": _NO_REMOVAL,
    "tag": "orchestr8 commit SERVICE NAME:TAG names what it makes",
    "load": "unpack its files, and run them: `image: rootfs:DIR`",
    "import": "unpack its files, and run them: `image: rootfs:DIR`",
    "build": "orchestr8 commit makes an image of a container; `image: rootfs:DIR` runs a tree made by debootstrap, for example",
    "watch": "orchestr8 cp brings files into containers; orchestr8 up -d applies what has changed in the stack file",
    **dict.fromkeys(("pull", "push", "login", "logout", "search", "publish"), _NO_REGISTRY),
}
SAME_AS: Final = {"list": "ls", "builder": "build", "buildx": "build"}

_PS_LINES: Final = "orchestr8 ps --format json has an object a line, for jq and the like"
FLAGS: Final = {
    **dict.fromkeys(("--build", "--no-build"), NOT_YET["build"]),
    **dict.fromkeys(("--pull", "--quiet-pull"), _NO_REGISTRY),
    **dict.fromkeys(("--filter", "--status"), _PS_LINES),
    **dict.fromkeys(
        ("--abort-on-container-exit", "--abort-on-container-failure", "--exit-code-from"),
        "orchestr8 up -d, then: orchestr8 wait --down-project SERVICE exits with its code",
    ),
    "--rmi": _NO_REMOVAL,
    "--no-start": DONE_BY["create"],
    "--services": "orchestr8 config --services names them",
    "--watch": NOT_YET["watch"],
}


def about(name: str) -> tuple[str, list[str]]:
    """The message for a command that is not there, and its helps; none for what the others have not either."""
    known = SAME_AS.get(name, name)
    if known in DONE_BY:
        return f"there is no command `{name}`", [DONE_BY[known]]
    if known in NOT_YET:
        return f"there is no command `{name}` yet", [NOT_YET[known]]
    return f"there is no command `{name}`", []
