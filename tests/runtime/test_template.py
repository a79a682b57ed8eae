"""Memory on a file, and pages that are shared again: in processes of their own, for the memory that is moved is theirs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from orchestr8.runtime import template

SOURCE: Final = Path(template.__file__).parent / "x86_64.S"
PACKAGE_PARENT: Final = str(Path(__file__).parent.parent.parent)
pytestmark = pytest.mark.skipif(os.uname().machine not in template._CODE, reason="no code for this machine")
PREPARED: Final = f"""
import gc, os, signal, sys
sys.path.append({PACKAGE_PARENT!r})
from orchestr8.runtime.template import make_template
values = [str(number) * 3 for number in range(200_000)]
gc.collect(); gc.freeze()
def private_kib():
    with open('/proc/self/smaps_rollup') as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith('Private_Dirty'))
def take_after_child(made, deed):
    "Seal the file with the pages of a child that has done something and rests."
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        deed()
        os.write(writer, b'.')
        signal.pause()
    os.read(reader, 1)
    made.take_after(pid)
    os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
    os.close(reader); os.close(writer)
    made.seal()
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PREPARED + code], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_bytes_are_what_the_source_says(tmp_path: Path) -> None:
    if shutil.which("as") is None:
        pytest.skip("needs an assembler for x86_64 (binutils)")
    built = tmp_path / "template.o"
    subprocess.run(["as", "-o", built, SOURCE], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", built, tmp_path / "code"], check=True)
    assert (tmp_path / "code").read_bytes() == template._CODE["x86_64"]


def test_a_process_does_not_notice_and_cannot_change_the_file() -> None:
    assert (
        run("""
before = hash(tuple(values))
fds = os.listdir('/proc/self/fd')
made = make_template()
assert made is not None
made.seal()
assert hash(tuple(values)) == before and len({*values}) == 200_000
assert os.listdir('/proc/self/fd') == fds
values[:] = [value + '!' for value in values]      # its own copy from here on
assert values[-1] == '199999' * 3 + '!'
maps = [line for line in open('/proc/self/maps') if 'orchestr8-heap' in line]
assert {line.split()[1] for line in maps} == {'rw-p', 'r--s'}, maps
fd = os.open('/proc/self/map_files/' + '-'.join(part.lstrip('0') for part in maps[0].split()[0].split('-')), os.O_RDONLY)
try:
    os.write(os.open(f'/proc/self/fd/{fd}', os.O_RDWR), b'x')
except PermissionError:
    print('sealed')
""")
        == "sealed\n"
    )


def test_what_is_alike_again_is_shared_again_and_what_is_not_stays() -> None:
    """Sorting touches every reference count and leaves it as it was; a child's own value must survive."""
    before, touched, after = map(
        int,
        run("""
made = make_template()
if os.fork() == 0:
    kept = [object() for _ in range(1000)]
    before = private_kib()
    ordered = sorted(values, key=len)
    same = ordered is values
    del ordered
    touched = private_kib()
    made.share_again()
    print(before, touched, private_kib())
    assert len({*map(id, kept)}) == 1000 and values[777] == '777' * 3
    sys.stdout.flush()
    os._exit(0)
assert os.wait()[1] == 0
""").split(),
    )
    assert touched > before + 8_000, "reference counts were written all over"
    assert after - before < (touched - before) / 3


def test_what_a_child_had_at_rest_is_what_the_others_share() -> None:
    """A tenth of all values is another one, and stays so: a page of each that only a file like that can have for them all."""
    before, after, values = (
        run("""
made = make_template()
fds = os.listdir('/proc/self/fd')
def change():
    for number in range(0, 200_000, 10):
        values[number] = values[number + 1]
def changed():
    return all(values[number] is values[number + 1] for number in range(0, 200_000, 10))
take_after_child(made, change)
assert len(os.listdir('/proc/self/fd')) == len(fds) - 1, "of the file, which is sealed"
assert not changed() and values[:2] == ['000', '111'], 'this process keeps what it has'
made.share_again()
assert not changed() and values[-1] == '199999' * 3
if os.fork() == 0:
    change()
    before = private_kib()
    made.share_again()
    print(before, private_kib(), changed(), values[199_990])
    sys.stdout.flush()
    os._exit(0)
assert os.wait()[1] == 0
assert not changed()
print(len({*values}))
""")
        .replace("\n", " ")
        .split(" ", 2)
    )
    assert values == "True 199991199991199991 200000 "
    assert int(after) < int(before) / 4


def test_objects_that_come_later_lie_side_by_side() -> None:
    script = """
made = {number: bytes(number % 400) for number in range(100_000)}
for number in range(0, 100_000, 3):
    del made[number]               # a hole in every page
FILL
template = make_template()
template.seal()
if os.fork() == 0:
    before = private_kib()
    kept = [bytes(number % 400) for number in range(3000)]
    print(private_kib() - before)
    sys.stdout.flush()
    os._exit(0)
assert os.wait()[1] == 0
"""
    with_holes = int(run(script.replace("FILL", "")))
    without = int(
        run(script.replace("FILL", "from orchestr8.runtime.template.holes import fill_holes; held = fill_holes()"))
    )
    assert without < with_holes / 2


@pytest.mark.parametrize("older", ["", "ahead._TOGETHER = False"])
def test_what_the_first_has_written_the_next_copies_before_it_writes(older: str) -> None:
    """A page fault for each page, or next to none."""
    first, next_one, other = (
        run(f"""
import resource
from orchestr8.runtime.template import ahead
made = make_template()
made.seal()
{older}
def faults_of(write, prepare=lambda: None):
    reader, writer = os.pipe()
    if os.fork() == 0:
        prepare()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        write()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        made.learn_what_shims_write()
        os.write(writer, str(after - before).encode())
        os._exit(0)
    assert os.wait()[1] == 0
    return os.read(reader, 64).decode()
def write():
    return len([value for value in values[:50_000]])
print(faults_of(write), faults_of(write, made.copy_ahead_what_shims_write), faults_of(write, made.copy_ahead_what_pid_1_writes))
""")
    ).split()
    assert int(first) > 500
    assert int(next_one) < int(first) / 5
    assert int(other) > int(first) * 0.9, "nobody has said anything of those"


def test_shims_say_more_each_time_and_of_pid_1_the_first_says_all() -> None:
    assert (
        run("""
made = make_template()
made.seal()
def child(*deeds):
    if os.fork() == 0:
        for deed in deeds:
            deed()
        os._exit(0)
    assert os.wait()[1] == 0
    return made._of_shims.known, made._of_pid_1.known
def pages(ahead):
    found = [ahead._RUN.unpack_from(made._of_shims.memory, 8 + number * 16) for number in range(made._of_shims.known)]
    return {page for start, size in found for page in range(start, start + size, 4096)}
from orchestr8.runtime.template import ahead
write = lambda part: [value for value in part]
child(lambda: write(values[:20_000]), made.learn_what_shims_write)
first = pages(ahead)
child(lambda: write(values[-20_000:]), made.learn_what_shims_write)
second = pages(ahead)
print(len(first) > 100, first < second, len(second - first) > 100)
none, known = made._of_pid_1.known, child(made.learn_what_pid_1_writes)[1]
print(none, known > 0, child(lambda: write(values), made.learn_what_pid_1_writes)[1] == known)
""")
        == "True True True\n0 True True\n"
    )


def test_memory_that_a_child_has_in_the_place_of_the_file_is_not_taken() -> None:
    """As an allocator may, which gives pages back and gets others at the same place."""
    assert (
        run("""
import ctypes
made = make_template()
start, size, offset = made._regions[-1]
page = ctypes.string_at(made._original + offset + size - 4096, 4096)  # what this process has there may change
library = ctypes.CDLL(None)
library.mmap.argtypes = (ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
def replace():
    library.mmap(start + size - 4096, 4096, 3, 0x32, -1, 0)  # private, anonymous, fixed
    ctypes.memset(start + size - 4096, 7, 4096)
take_after_child(made, replace)
print(ctypes.string_at(made._original + offset + size - 4096, 4096) == page)
""")
        == "True\n"
    )


def test_a_machine_without_code_keeps_its_memory_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "_CODE", {})
    assert template.make_template() is None


def test_what_is_given_back_while_it_is_looked_at_is_looked_at_again() -> None:
    """As the C library may, with the end of the heap."""
    assert (
        run("""
import mmap
from orchestr8.runtime import template
found, calls = template._regions, []
def regions(maps):
    now = found(maps)
    calls.append(len(now))
    given_back = template.Region(now[-1].start + (1 << 40), mmap.PAGESIZE, now[-1].offset + now[-1].size)
    return now if len(calls) > 2 else (*now, given_back)
template._regions = regions
made = make_template()
made.seal()
print(len(calls), made is not None, len({*values}))
calls.clear()
template._TRIES = 2
try:
    make_template()
except OSError as error:
    print(error.strerror)
""")
        == "3 True 200000\nBad address\n"
    )


def test_a_file_that_cannot_be_written_is_an_error_that_moves_nothing() -> None:
    assert (
        run("""
from orchestr8.runtime import template
reading = os.open('/dev/null', os.O_RDONLY)
print(template._run(template._CODE['x86_64'], template._regions(open('/proc/self/maps', 'rb').read()), reading))
assert not [line for line in open('/proc/self/maps') if 'orchestr8-heap' in line or '/dev/null' in line]
""")
        == "-9\n"
    )


def test_a_proc_that_hides_the_page_map_is_told_once_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    made = template.Template((template.Region(0, 4096, 0),), 0)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        made.share_again()
    made.share_again()
    assert capsys.readouterr().err.count("memory is not shared again: [Errno 13] Permission denied") == 1
