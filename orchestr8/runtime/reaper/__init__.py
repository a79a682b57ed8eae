"""The program that PID 1 turns into when everything is set up: 567 bytes of machine code in a sealed memfd.

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
            "4889e3bf7e000000488b430880386f0f8542010000b89d000000bf0f000000488d35020200000f05b89d000000bf01000000be09"
            "0000000f05b80e00000031ff488d35d901000031d241ba080000000f05833b027520488b73104531e40fb60684c00f8485000000"
            "456be40a458d6404d048ffc6ebe7b838000000bf1100000031f631d24531d24531c00f0585c00f885f0100000f84c40000004189"
            "c4b803000000bf030000000f058b0b488d34cb488d5610488b024885c074094889d64883c208ebef488b3e31c048c7c1ffffffff"
            "f2ae4889f9488b7b104829f9f3aa4489e7be12000000b83e0000000f054883ec10b880000000488d3d2301000031f631d241ba08"
            "0000000f0583f811741285c07edf89c64489e7b83e0000000f05ebd1b83d000000bfffffffff4889e6ba010000004531d20f0544"
            "39e0740685c07fe0ebaf8b3c2489f883e77f75050fb6fceb0681c780000000b8e70000000f05b880000000488d3dae00000031f6"
            "31d241ba080000000f0583f8fc74e3b8700000000f054c8b6b1049ffc5410fb6450084c0741c3c747402ebeeb81000000031ffbe"
            "0e54000031d20f0585c074daeb45b848000000bf03000000be02000000ba010000000f056a00b80e000000bf020000004889e631"
            "d241ba080000000f058b0b488b7b18488d7320488d54cb10b83b0000000f05f7d850b801000000bf030000004889e6ba04000000"
            "0f05bf7e000000e943ffffff0f1f4000000002000000000007fafbbfffffffff6f72636865737472382d696e697400"
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
