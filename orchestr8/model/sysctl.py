"""Names of kernel parameters, sysctl(8), and of which of them each namespace has its own value. Light: shims load it."""

_IPC = frozenset(
    f"kernel/{name}"
    for name in (
        *("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"),
    )
)  # fmt: skip


def sysctl_path(name: str) -> str:
    """Its file below /proc/sys; "" for what cannot be a name.

    A name that has a slash before any dot may have dots in its parts: net/ipv4/conf/eth0.1/forwarding.
    """
    first = next((mark for mark in name if mark in "./"), "")
    path = name if first == "/" else name.translate({ord("."): "/", ord("/"): "."})
    return "" if any(part in {"", ".", ".."} for part in path.split("/")) else path


def namespace_of(name: str) -> str:
    """Of "ipc" or "network" the namespace that a parameter belongs to; "" for one that all of the machine shares."""
    path = sysctl_path(name)
    if path in _IPC or path.startswith("fs/mqueue/"):
        return "ipc"
    return "network" if path.startswith("net/") else ""
