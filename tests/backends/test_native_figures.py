"""How the kernel's texts are read, without a kernel that writes them."""

from orchestr8.backends.native.figures import parse_traffic
from orchestr8.model.figures import Traffic
from orchestr8.runtime.blockio import parse_io

NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
  eth0:    1432      18    1    2    3     4          5         6      126       3    7    8    9    10      11         12
eth1:2:1 1 0 0 0 0 0 0 2 2 0 0 0 0 0 0
"""


def test_each_interface_but_loopback_is_told() -> None:
    assert parse_traffic(NET_DEV) == {
        "eth0": Traffic(
            received_bytes=1432, received_packets=18, received_errors=1, received_dropped=2,
            sent_bytes=126, sent_packets=3, sent_errors=7, sent_dropped=8,
        ),
        "eth1:2": Traffic(received_bytes=1, received_packets=1, sent_bytes=2, sent_packets=2),
    }  # fmt: skip


def test_a_text_that_was_cut_off_tells_what_is_whole() -> None:
    assert list(parse_traffic(NET_DEV[: NET_DEV.index("eth1") + 12])) == ["eth0"]
    assert parse_traffic("") == {}


def test_what_a_process_read_and_wrote() -> None:
    text = "rchar: 6976\nwchar: 0\nsyscr: 10\nsyscw: 0\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"
    assert parse_io(text) == (4096, 8192)
    assert parse_io("") == (0, 0)
