"""What the shim hears of a PID 1 that is being set up."""

import socket

from orchestr8.kernel import sockets
from orchestr8.runtime.launch import Launch


def test_what_pid_1_said_is_heard_though_it_ended_without_taking_its_network() -> None:
    launch = Launch.__new__(Launch)
    launch._sync, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with launch._sync:
        sockets.send_packet(theirs, b'{"text": "no such source", "exit_code": 128}')
        launch.give_network(launch._sync.fileno())
        theirs.close()
        assert launch._next_packet() == (b'{"text": "no such source", "exit_code": 128}', [])
        assert launch._next_packet() == (b"", [])
