"""Packets with descriptors over SOCK_SEQPACKET (unix(7), SCM_RIGHTS). What a packet says is runtime.messages' business."""

import array
import os
import socket
from collections.abc import Sequence
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel.descriptors import write_whole

MAX_PACKET: Final = 64 * 1024  # what is larger goes as a memfd: a socket's buffer is small, and its size the machine's
MAX_PAYLOAD: Final = 16 * 1024 * 1024
MAX_FDS: Final = 253  # SCM_MAX_FD
_IN_MEMFD: Final = b"\0memfd"
_FD_SIZE: Final = array.array("i").itemsize


def send_packet(sock: socket.socket, payload: bytes, fds: Sequence[int] = ()) -> None:
    """Send one packet; the descriptors are duplicated by the kernel, the caller's stay open."""
    if len(payload) <= MAX_PACKET and payload != _IN_MEMFD:
        _send(sock, payload, fds)
        return
    memfd = os.memfd_create("packet", os.MFD_CLOEXEC)
    try:
        write_whole(memfd, payload)
        _send(sock, _IN_MEMFD, [memfd, *fds])
    finally:
        os.close(memfd)


def _send(sock: socket.socket, payload: bytes, fds: Sequence[int]) -> None:
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([payload], ancillary)


def receive_packet(sock: socket.socket) -> tuple[bytes, list[int]]:
    """One packet and its descriptors, close-on-exec and the caller's to close; b"" at the end of the stream."""
    payload, fds = _receive(sock)
    if payload != _IN_MEMFD or not fds:
        return payload, fds
    memfd = fds.pop(0)
    try:
        size = os.fstat(memfd).st_size
        if size > MAX_PAYLOAD:
            close_all(fds)
            raise OperationFailed(f"a packet of {size} bytes: more than {MAX_PAYLOAD}", code="O8-901")
        return os.pread(memfd, size, 0), fds
    finally:
        os.close(memfd)


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    payload, ancillary, flags, _ = sock.recvmsg(
        MAX_PACKET, socket.CMSG_SPACE(MAX_FDS * _FD_SIZE), socket.MSG_CMSG_CLOEXEC
    )
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(data[: len(data) - len(data) % _FD_SIZE])
            fds.extend(numbers)
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(fds)
        raise OperationFailed(f"a packet of over {MAX_PACKET} bytes or {MAX_FDS} descriptors was cut", code="O8-901")
    return payload, fds


def close_all(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
