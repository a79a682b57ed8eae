"""Host ports: reserved by a listening socket, so that "already in use" is true and nobody else gets the port later.

The socket is never read: packets are sent to the container by `firewall.rules` before they reach it. Should those
rules be gone for a moment, a filter on the socket drops what would else be accepted and never answered. The sockets
are the shim's to hold; this module makes them, in the engine's network namespace.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from orchestr8.errors import Conflict, InvalidInput, OperationFailed, Orchestr8Error, Unsupported
from orchestr8.model.observed import BoundPort
from orchestr8.network.requests import Published, PublishRequest

SO_ATTACH_FILTER: Final = 26  # <asm-generic/socket.h>
BPF_RET: Final = 0x06  # <linux/bpf_common.h>; with constant 0: take nothing of the packet
DROP_ALL: Final = struct.pack("=HBBI", BPF_RET, 0, 0, 0)  # struct sock_filter
TCP_LISTEN: Final = "0A"  # a state in /proc/net/tcp
HOLDERS_SHOWN: Final = 3
PORTS_MAX: Final = 240  # a message of the kernel's carries 253 descriptors (SCM_MAX_FD), some of which are no ports


def check_requests(requests: Sequence[PublishRequest]) -> None:
    """Say what is not possible before anything is reserved."""
    if len(requests) > PORTS_MAX:
        raise Unsupported(f"one container cannot publish {len(requests)} ports: {PORTS_MAX} at most", code="O8-701")
    for request in requests:
        if request.protocol != "tcp":
            raise Unsupported(
                f"port {request.target}/{request.protocol} cannot be published yet",
                code="O8-701",
                helps=["only TCP ports can"],
            )
        try:
            socket.inet_pton(socket.AF_INET, request.host_ip)
        except OSError as error:
            raise Unsupported(
                f"a port cannot be published at `{request.host_ip}` yet",
                code="O8-701",
                helps=["give an IPv4 address, as in 127.0.0.1:8080:80"],
            ) from error


def reserve(requests: Sequence[PublishRequest]) -> Published:
    """All of them or none. The fds are the caller's."""
    with ExitStack() as undo:
        sockets = []
        ports = []
        for request in requests:
            held = undo.enter_context(_reserve(request))
            sockets.append(held)
            ports.append(
                BoundPort(
                    host_ip=request.host_ip,
                    published=held.getsockname()[1],
                    target=request.target,
                    protocol=request.protocol,
                )
            )
        undo.pop_all()
    return Published(ports=tuple(ports), fds=tuple(each.detach() for each in sockets))


def _reserve(request: PublishRequest) -> socket.socket:
    """A socket on the wanted port, on the first free one of a range, or (port 0) on one that the kernel chooses."""
    first = request.published_first
    last = max(first, request.published_last)
    for port in range(first, last + 1):
        try:
            return _listen(request.host_ip, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == last:
                raise _reason(request, first, last, error) from error
    raise InvalidInput(f"{first}-{last} is not a range of ports")


def _listen(host_ip: str, port: int) -> socket.socket:
    with ExitStack() as undo:
        held = undo.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are in nobody's way
        _drop_all(held)
        held.bind((host_ip, port))
        held.listen(1)
        undo.pop_all()
    return held


def _drop_all(held: socket.socket) -> None:
    program = ctypes.create_string_buffer(DROP_ALL, len(DROP_ALL))
    # struct sock_fprog: the number of instructions, and where they are
    held.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))


def _reason(request: PublishRequest, first: int, last: int, error: OSError) -> Orchestr8Error:
    place = f"{request.host_ip}:{first}" + (f"-{last}" if last != first else "")
    if error.errno == errno.EADDRINUSE:
        which = f"port {place} is already in use" if last == first else f"all of the ports {place} are already in use"
        notes = port_holders(request.host_ip, first) if last == first else []
        helps = ["publish it on another host port, or stop what holds it"]
        return Conflict(which, code="O8-401", notes=notes, helps=helps)
    if error.errno == errno.EADDRNOTAVAIL:
        return InvalidInput(
            f"port {place} cannot be published: this machine has no address {request.host_ip}", code="O8-401"
        )
    if error.errno == errno.EACCES:
        return OperationFailed(
            f"port {place} cannot be published: this engine may not bind low ports",
            code="O8-401",
            helps=["publish it on a higher port, or lower net.ipv4.ip_unprivileged_port_start"],
        )
    return OperationFailed(f"port {place} cannot be published: {error.strerror}", code="O8-401")


def port_holders(host_ip: str, port: int, proc: str = "/proc") -> list[str]:
    """Who listens on the port, as far as /proc tells: "nginx (process 4711) holds it at 0.0.0.0"."""
    listeners: dict[str, str] = {}
    for family in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):  # a kernel without IPv6
            listeners |= listening_sockets(_read(f"{proc}/thread-self/net/{family}"), port)
    in_the_way = {
        inode: address
        for inode, address in listeners.items()
        if host_ip == "0.0.0.0" or address in ("0.0.0.0", "::", host_ip)
    }
    return [
        f"{name} (process {pid}) holds it at {in_the_way[inode]}" for pid, name, inode in _owners(in_the_way, proc)
    ][:HOLDERS_SHOWN]


def listening_sockets(table: str, port: int) -> dict[str, str]:
    """Inode to address of the sockets that listen on `port`, from the text of /proc/net/tcp or tcp6."""
    found = {}
    for line in table.splitlines()[1:]:
        _slot, local, _remote, state, *rest = line.split()
        address, _, number = local.partition(":")
        if state == TCP_LISTEN and int(number, 16) == port:
            # words of 32 bits, each printed as this processor's number
            packed = b"".join(
                struct.pack("=I", int(address[place : place + 8], 16)) for place in range(0, len(address), 8)
            )
            family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
            found[rest[5]] = socket.inet_ntop(family, packed)
    return found


def _owners(inodes: Container[str], proc: str) -> Iterator[tuple[int, str, str]]:
    """Process, its name, and the inode, of each process that has one of these sockets open."""
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        with suppress(OSError):  # it ended meanwhile, or is not ours to look into
            for inode in sorted(_socket_inodes(f"{proc}/{pid}/fd")):
                if inode in inodes:
                    yield pid, _read(f"{proc}/{pid}/comm").strip(), inode


def _socket_inodes(fds: str) -> set[str]:
    found = set()
    for fd in os.listdir(fds):
        with suppress(OSError):  # closed meanwhile
            link = os.readlink(f"{fds}/{fd}")
            if link.startswith("socket:["):
                found.add(link[len("socket:[") : -1])
    return found


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
