"""What a shim puts into the queue of its sender, and what it hears from it: a packet each (SOCK_SEQPACKET)."""

import struct
from typing import Final

HEADER: Final = struct.Struct("<BQ")  # of a packet for the sender: kind, time in ns
RUN_END: Final = 0  # what has no newline by now will have none
STDOUT: Final = 1  # as in `streams`
STDERR: Final = 2
GAP: Final = 3  # a byte: of which streams (1 | 2); then a line of ours, in the place of what they have lost
PIECE_BYTES: Final = 32 * 1024  # of output in one packet
MAX_PACKET: Final = HEADER.size + PIECE_BYTES

# From the sender.
REACHED: Final = b"reached"
UNREACHED: Final = b"unreached "  # and why
LOST: Final = b"lost "  # lines, bytes, why
MAX_NEWS: Final = 4096
