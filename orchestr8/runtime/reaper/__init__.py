"""The program that PID 1 turns into when everything is set up: 551 bytes of machine code in a sealed memfd.

A forked Python that only waits costs 1.2 MiB of its own in each container (every object it touches is a page that the
kernel copies); this costs a few pages, keeps nothing that could be of interest, and is never what the kernel's OOM
killer takes first. Source: x86_64.S beside this file. Where there is no such code for the machine, or it cannot be
executed, PID 1 stays the Python process and does the same (`runtime.init`).
"""

import os
import struct
from typing import Final

from orchestr8.kernel.memfd import sealed

_CODE: Final = {
    "x86_64": (
        62,  # EM_X86_64
        bytes.fromhex(
            "4889e3b89d000000bf0f000000488d35040200000f05b89d000000bf01000000be090000000f05b80e00000031ff488d35db0100"
            "0031d241ba080000000f05833b027520488b73104531e40fb60684c00f8485000000456be40a458d6404d048ffc6ebe7b8380000"
            "00bf1100000031f631d24531d24531c00f0585c00f885f0100000f84c40000004189c4b803000000bf030000000f058b0b488d34"
            "cb488d5610488b024885c074094889d64883c208ebef488b3e31c048c7c1fffffffff2ae4889f9488b7b104829f9f3aa4489e7be"
            "12000000b83e0000000f054883ec10b880000000488d3d2501000031f631d241ba080000000f0583f811741285c07edf89c64489"
            "e7b83e0000000f05ebd1b83d000000bfffffffff4889e6ba010000004531d20f054439e0740685c07fe0ebaf8b3c2489f883e77f"
            "75050fb6fceb0681c780000000b8e70000000f05b880000000488d3db000000031f631d241ba080000000f0583f8fc74e3b87000"
            "00000f054c8b6b1049ffc5410fb6450084c0741c3c747402ebeeb81000000031ffbe0e54000031d20f0585c074daeb45b8480000"
            "00bf03000000be02000000ba010000000f056a00b80e000000bf020000004889e631d241ba080000000f058b0b488b7b18488d73"
            "20488d54cb10b83b0000000f05f7d850b801000000bf030000004889e6ba040000000f05bf7e000000e943ffffff660f1f440000"
            "000002000000000007fafbbfffffffff6f72636865737472382d696e697400"
        ),
    ),
}
_BASE: Final = 0x400000
_HEADERS_SIZE: Final = 64 + 2 * 56  # ELF header, two program headers (elf(5))


def image(machine: str) -> bytes:
    """The executable for `machine`, as `uname -m` calls it; b"" when there is none."""
    if machine not in _CODE:
        return b""
    number, code = _CODE[machine]
    size = _HEADERS_SIZE + len(code)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)  # 64-bit, little-endian, version 1, System V
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", identity, 2, number, 1, _BASE + _HEADERS_SIZE, 64, 0, 0, 64, 56, 2, 64, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 0x5, 0, _BASE, _BASE, size, size, 0x1000)  # PT_LOAD, read and execute
    stack = struct.pack("<IIQQQQQQ", 0x6474E551, 0x6, 0, 0, 0, 0, 0, 16)  # PT_GNU_STACK, not executable
    return header + load + stack + code


def open_image() -> int:
    """A descriptor to execute, which nobody can write to; -1 when this machine has no such program."""
    content = image(os.uname().machine)
    return sealed("orchestr8-init", content) if content else -1
