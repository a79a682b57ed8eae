"""The forkserver's heap as a sealed file that all shims map, so that pages which are alike again can be shared again.

Every object that a forked Python looks at has its reference count written, which makes the page a private copy; and
when the shim has settled the count is often what it was. An anonymous page cannot be given back for the original. A
private copy of a file's page can (madvise(2), MADV_DONTNEED), and so the forkserver's memory is moved onto a file once
it is frozen. Most of what a shim writes is the same in each: the file is not what the forkserver has, but what one of
them had that rested (`Template.take_after`).

Moving memory from under a running interpreter takes code that is no part of it: 140 bytes, x86_64.S
beside this file. Where there is none for the machine, shims just stay larger.
"""

import array
import contextlib
import ctypes
import errno
import mmap
import os
import sys
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from orchestr8.kernel.code import PAGE, load, unload
from orchestr8.kernel.descriptors import read_whole
from orchestr8.kernel.libc import check
from orchestr8.kernel.memfd import seal_data
from orchestr8.runtime.template.ahead import Ahead, Run, populate

_CODE: Final = {
    "x86_64": bytes.fromhex(
        "4189d031c04989f95648832c2401783457498b39498b51084d8b511057564889fe4489c7b8120000000f055e5f4885c07e4b4801c74901"
        "c24829c275df5f4983c118ebc54889342448832c2401782a574c8b4f10488b7708488b3fba0300000041ba12000000b8090000000f0548"
        "39f8750b5f4883c718ebcf5f31c0c35f5f4885c0750748c7c0fbffffffc3"
    ),
}
_NAME: Final = "orchestr8-heap"
_LEAST: Final = 1 << 20  # bytes; what is smaller may be the C library's own: thread state, a chunk that grows by mremap
_TRIES: Final = 5
_PRESENT: Final = 1 << 63  # values: Documentation/admin-guide/mm/pagemap.rst
_OF_FILE: Final = 1 << 61
_EXCLUSIVE: Final = 1 << 56  # no other process has it
_PROT_READ: Final = 1  # values: <linux/mman.h>
_MAP_SHARED: Final = 1
_MADV_DONTNEED: Final = 4

# PyDLL: the interpreter's lock lies in a page that may be given back, so it must not be let go of around the call.
# Prototypes of their own: plain numbers are converted without an object of ctypes for each.
_library: Final[Any] = ctypes.PyDLL(None, use_errno=True)
_mmap: Final[Any] = _library.mmap
_mmap.restype = ctypes.c_ssize_t
_mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_memcmp: Final[Any] = _library.memcmp
_memcmp.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t)
_madvise: Final[Any] = _library.madvise
_madvise.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int)


class Region(NamedTuple):
    start: int
    size: int
    offset: int  # in the file

    def has(self, address: int) -> bool:
        return self.start <= address < self.start + self.size


class Template:
    """Memory on a file: `original` is where the whole file can be read, to compare. `fd`: the file's, which `seal` closes."""

    def __init__(self, regions: tuple[Region, ...], original: int, fd: int = -1) -> None:
        self._regions = regions
        self._original = original
        self._fd = fd
        # What shims write and what PID 1 does. A PID 1 that others may come to rule has no part in it: see `keep`.
        self._of_shims, self._of_pid_1 = Ahead(), Ahead()

    def share_again(self) -> None:
        """Give back, for the file's, each page of this process that is to the letter what the file has.

        Where that cannot be (a /proc that hides it) it is said once and not tried again: containers hang on who calls.
        """
        try:
            self._share_again()
        except OSError as error:
            print(f"memory is not shared again: {error}", file=sys.stderr, flush=True)
            self._regions = ()

    def seal(self) -> None:
        """From now on nobody can write to the file: not before that may a process be forked whose program is another's."""
        fd, self._fd = self._fd, -1
        try:
            seal_data(fd)
        finally:
            os.close(fd)

    def take_after(self, pid: int) -> None:
        """Have the file be what a child has of it, as far as that wrote there: what others come to have like it they can give
        back. Only before it is sealed, and while no other process has anything of it.

        This process keeps what it has: of these pages it first makes copies of its own. Where it cannot, nothing is taken.
        """
        mapped = _mapped(pid)
        runs = [run for run in self.private(pid) if any(low <= run.start and sum(run) <= high for low, high in mapped)]
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not all(map(populate, runs)):
                return
            for start, size in runs:
                offset = next(each.offset + start - each.start for each in self._regions if each.has(start))
                for at in range(0, size, PAGE):
                    os.pwrite(self._fd, os.pread(memory, PAGE, start + at), offset + at)
        finally:
            os.close(memory)

    def private(self, pid: int | str = "self") -> tuple[Run, ...]:
        """What that process alone has of it for itself, having written there. What its parent has written is the two's."""
        found: list[Run] = []
        pagemap = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for start, size, _ in self._regions:
                entries = memoryview(os.pread(pagemap, size // PAGE * 8, start // PAGE * 8)).cast("Q")
                for number, entry in enumerate(entries):
                    if entry & _EXCLUSIVE and not entry & _OF_FILE:
                        page = start + number * PAGE
                        if found and sum(found[-1]) == page:
                            found[-1] = Run(found[-1].start, found[-1].size + PAGE)
                        else:
                            found.append(Run(page, PAGE))
        finally:
            os.close(pagemap)
        return tuple(found)

    def keep(self) -> None:
        """Of a shim: what it forks may come to be ruled by others, and has no part in what is learnt."""
        for each in (self._of_shims, self._of_pid_1):
            each.memory.madvise(mmap.MADV_DONTFORK)

    @contextlib.contextmanager
    def given(self) -> Iterator[None]:
        """Of a shim: who is cloned meanwhile is a cradle."""
        self._of_pid_1.memory.madvise(mmap.MADV_DOFORK)
        try:
            yield
        finally:
            self.keep()

    def learn_what_shims_write(self) -> None:
        """For the next ones, by one that has yet to give back what it has written since it last did so."""
        with contextlib.suppress(OSError):
            self._of_shims.learn(self.private())

    def learn_what_pid_1_writes(self) -> None:
        """The same, by the first whose set-up is done. Where that one may not look any more, the next is asked."""
        if not self._of_pid_1.known:
            with contextlib.suppress(OSError):
                self._of_pid_1.learn(self.private())

    def copy_ahead_what_shims_write(self) -> None:
        self._of_shims.copy()

    def copy_ahead_what_pid_1_writes(self) -> None:
        self._of_pid_1.copy()

    def _share_again(self) -> None:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for start, size, offset in self._regions:
                _share_region(pagemap, start, size, self._original + offset)
                check(_madvise(self._original + offset, size, _MADV_DONTNEED), "madvise")  # looked at, and done with
        finally:
            os.close(pagemap)


def _share_region(pagemap: int, start: int, size: int, original: int) -> None:
    compare, give_back = _memcmp, _madvise  # counted before the first comparison, and so not changed after it
    entries = memoryview(os.pread(pagemap, size // PAGE * 8, start // PAGE * 8)).cast("Q")
    for number, entry in enumerate(entries):
        if entry & _PRESENT and not entry & _OF_FILE:
            page = number * PAGE
            if compare(start + page, original + page, PAGE) == 0 and give_back(start + page, PAGE, _MADV_DONTNEED):
                check(-1, "madvise")


def make_template() -> Template | None:
    """Move the large writable mappings of the calling process, which has one thread, onto a file that is yet to be sealed.

    None where there is no code for this machine, or nothing to move. Raises OSError when memory is short; nothing is
    moved then, or all that is moved reads as before.
    """
    code = _CODE.get(os.uname().machine)
    if code is None:
        return None
    for _ in range(_TRIES - 1):
        try:
            return _move(code)
        except OSError as error:
            if error.errno != errno.EFAULT:
                raise
    return _move(code)


def _move(code: bytes) -> Template | None:
    """EFAULT: the C library has given back some of what was there to be moved, and nothing is."""
    regions = _regions(read_whole("/proc/self/maps"))
    if not regions:
        return None
    fd = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        end = regions[-1].offset + regions[-1].size
        os.ftruncate(fd, end)
        moved = _run(code, regions, fd)
        if moved < 0:
            raise OSError(-moved, os.strerror(-moved))
        original = _map_to_read(fd, end)
    except BaseException:
        with contextlib.suppress(OSError):  # memory may lie on it already, and goes on lying there
            seal_data(fd)
        os.close(fd)
        raise
    return Template(regions, original, fd)


def _mapped(pid: int) -> list[tuple[int, int]]:
    """Where that process has the file: its allocators may have put other memory in the place of some of it."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
        lines = [line.split(maxsplit=5) for line in maps]
    spans = [each[0].split("-") for each in lines if len(each) == 6 and each[5].startswith(f"/memfd:{_NAME} ")]
    return [(int(low, 16), int(high, 16)) for low, high in spans]


def _map_to_read(fd: int, size: int) -> int:
    """By a descriptor that cannot write: no memory of this mapping can ever be made writable, or sealing would fail."""
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        address: int = _mmap(0, size, _PROT_READ, _MAP_SHARED, reader, 0)
        check(-1 if address == -1 else 0, "mmap", "the heap's template")
        return address
    finally:
        os.close(reader)


def _regions(maps: bytes) -> tuple[Region, ...]:
    """Interpreter data, C heap and Python's arenas, as proc_pid_maps(5) lists them."""
    found: list[Region] = []
    offset = 0
    for line in os.fsdecode(maps).splitlines():
        span, permissions, *_ = line.split(maxsplit=2)
        first, _, last = span.partition("-")
        start, size = int(first, 16), int(last, 16) - int(first, 16)
        if permissions == "rw-p" and size >= _LEAST and not line.endswith("[stack]"):
            found.append(Region(start, size, offset))
            offset += size
    return tuple(found)


def _run(code: bytes, regions: tuple[Region, ...], fd: int) -> int:
    """Call the machine code: 0, or a negative errno."""
    place = load(code)
    table = array.array("q", [number for region in regions for number in region])
    table_address, _ = table.buffer_info()
    try:
        move = ctypes.PYFUNCTYPE(ctypes.c_long, ctypes.c_size_t, ctypes.c_long, ctypes.c_int)(place)
        return int(move(table_address, len(regions), fd))
    finally:
        unload(place)
