"""Fill the holes in a heap that is about to be frozen, so that what comes later lies side by side in pages of its own.

What an imported module and a rehearsal leave behind are free blocks in hundreds of pages. Each object that a shim makes
would go into one of them, and the page into the shim's own memory. Which block comes next is the allocators' affair:
CPython's gives those of pools in use before it begins a new one (Objects/obmalloc.c), the C library's (malloc(3)) those
that are free before it moves its top.
"""

from typing import Final

_POOL: Final = 1 << 14  # POOL_SIZE and POOL_OVERHEAD, Objects/obmalloc.c
_POOL_OVERHEAD: Final = 48
_STEP: Final = 16  # between the classes of sizes of either
_LARGEST_IN_POOL: Final = 512
_LARGEST: Final = 2048  # what is larger is rare
_HEADER: Final = b"".__sizeof__()  # of a bytes object, with the NUL at its end
_MOST_BYTES: Final = 1 << 20  # of a size; a bound for an allocator that does otherwise
_ABOVE_HOLES: Final = 100_000  # bytes: larger than holes, and not yet a mapping of its own (mallopt(3))


def fill_holes() -> list[bytes]:
    """What fills them, to be kept."""
    filling: list[bytes] = []
    for size in range(_STEP * 3, _LARGEST_IN_POOL + 1, _STEP):
        _fill_pools(size, filling)
    top = id(bytes(_ABOVE_HOLES))
    for size in range(_LARGEST, _LARGEST_IN_POOL, -_STEP):
        top = _fill_to_the_top(size, top, filling)
    return filling


def _fill_pools(size: int, filling: list[bytes]) -> None:
    """Until a pool is begun: its first two blocks in a row."""
    before = -1
    for _ in range(_MOST_BYTES // size):
        block = bytes(size - _HEADER)
        filling.append(block)
        address = id(block)
        if before % _POOL == _POOL_OVERHEAD and address == before + size:
            return
        before = address


def _fill_to_the_top(size: int, top: int, filling: list[bytes]) -> int:
    """Until a block lies above all others: where that is."""
    for _ in range(_MOST_BYTES // size):
        block = bytes(size - _HEADER)
        filling.append(block)
        if id(block) > top:
            return id(block)
    return top
