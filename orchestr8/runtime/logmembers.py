"""A rotated log, gzip'ed so that reading begins anywhere: one gzip member for each MiB of text, with its length in front.

Any gunzip reads it. The lengths stand in a subfield of each member's header (RFC 1952, 2.3.1.1: FEXTRA), so finding a
place costs one small read a member, and reading there inflates one member: `logarchive`. Who compresses what, and when,
is `logpacker`'s business; this is all of it that shims hold.
"""

import os
import struct
import zlib
from typing import Final

SUFFIX: Final = ".gz"
MEMBER_BYTES: Final = 1024 * 1024
_LEVEL: Final = 1  # an access log to a fifth of its size, at 150 MB/s; level 6 saves a tenth of that, at 60 MB/s
# ID1 ID2, CM, FLG, MTIME, XFL, OS; XLEN; SI1 SI2, LEN; our data: bytes of the member, bytes of its text
HEAD: Final = struct.Struct("<2sBBIBBH2sHII")
FIXED: Final = (b"\x1f\x8b", 8, 4, 0, 4, 3, 12, b"o8", 8)
TAIL: Final = struct.Struct("<II")  # CRC-32, ISIZE


def compress(source: int, target: int) -> None:
    """All of the file `source` into `target`, and onto the disk. Memory: one member. Raises OSError, as on a full disk."""
    offset = 0
    while text := os.pread(source, MEMBER_BYTES, offset):
        offset += len(text)
        packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = packer.compress(text) + packer.flush()
        size = HEAD.size + len(body) + TAIL.size
        member = memoryview(
            HEAD.pack(*FIXED, size, len(text)) + body + TAIL.pack(zlib.crc32(text), len(text) & 0xFFFFFFFF)
        )
        while member:
            member = member[os.write(target, member) :]
    os.fdatasync(target)
