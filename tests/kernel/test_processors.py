import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from orchestr8.kernel import processors

MORE = pytest.mark.skipif(
    len(processors._ALL) < 2 or os.sched_getaffinity(0) != processors._ALL,
    reason="needs two processors, and to be allowed all that there can be",
)


def seen(program: str) -> list[list[int]]:
    """What a program of its own prints, whose own processors are this one's to say."""
    before = "import json, os\nfrom orchestr8.kernel import processors\nfound = []\n"
    look = "def look():\n    found.append(sorted(os.sched_getaffinity(0)))\n"
    run = subprocess.run(
        [sys.executable, "-c", f"{before}{look}{program}\nprint(json.dumps(found))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return list(json.loads(run.stdout))


@MORE
def test_a_process_stays_where_it_is_and_then_goes_anywhere_again() -> None:
    everywhere = sorted(os.sched_getaffinity(0))
    before, there, after = seen("look()\nprocessors.stay()\nlook()\nprocessors.roam()\nlook()")
    assert before == after == everywhere
    assert len(there) == 1


@MORE
def test_who_is_made_meanwhile_begins_there_and_goes_by_itself() -> None:
    child = "    os.close(reader)\n    look()\n    processors.roam()\n    look()\n    os.write(writer, json.dumps(found).encode())\n    os._exit(0)\n"
    program = f"processors.stay()\nlook()\nreader, writer = os.pipe()\nif os.fork() == 0:\n{child}os.close(writer)\nfound = json.loads(os.read(reader, 4096))"
    maker, child_first, child_then = seen(program)
    assert child_first == maker
    assert child_then == sorted(os.sched_getaffinity(0))


@MORE
def test_it_avoids_one_until_it_goes_anywhere_again() -> None:
    everywhere = os.sched_getaffinity(0)
    avoided = max(everywhere)
    there, after = seen(f"processors.avoid({avoided})\nlook()\nprocessors.roam()\nlook()")
    assert there == sorted(everywhere - {avoided})
    assert after == sorted(everywhere)


@MORE
@pytest.mark.parametrize(
    ("moved", "kept"),
    [
        ("processors.move(child, 0)", lambda number: number == 0),
        ("processors.move_off(child, 0)", lambda number: number != 0),
    ],
)
def test_who_expects_it_is_moved_and_goes_on_anywhere_when_it_says_so(moved: str, kept: Callable[[int], bool]) -> None:
    child = "    reader, writer = ours\n    os.read(reader, 1)\n    look()\n    processors.expect(movable=movable)\n    processors.roam()\n    look()\n    os.write(writer, json.dumps(found).encode())\n    os._exit(0)\n"
    program = (
        "there, back = os.pipe(), os.pipe()\nours = there[0], back[1]\nmovable = processors.roams()\nchild = os.fork()\n"
        f"if child == 0:\n{child}"
        f"{moved}\nos.write(there[1], b'.')\nfound = json.loads(os.read(back[0], 4096))"
    )
    everywhere = sorted(os.sched_getaffinity(0))
    there, after = seen(program)
    assert there == [number for number in everywhere if kept(number)]
    assert after == everywhere


@MORE
def test_a_move_is_taken_back() -> None:
    child = "child = os.fork()\nif child == 0:\n    signal.pause()\n"
    program = f"import signal\n{child}processors.move(child, 0)\nfound.append(sorted(os.sched_getaffinity(child)))\nprocessors.let_roam(child)\nfound.append(sorted(os.sched_getaffinity(child)))\nos.kill(child, signal.SIGKILL)"
    assert seen(program) == [[0], sorted(os.sched_getaffinity(0))]


@MORE
def test_who_goes_anywhere_and_expects_to_be_moved_goes_anywhere_after_that_too() -> None:
    program = (
        "processors.stay()\nprocessors.roam(expecting=True)\nlook()\n"
        "os.sched_setaffinity(0, {0})\nprocessors.roam()\nlook()\nos.sched_setaffinity(0, {0})\nprocessors.roam()\nlook()"
    )
    everywhere = sorted(os.sched_getaffinity(0))
    assert seen(program) == [everywhere, everywhere, [0]]


@pytest.mark.skipif({0, 1} != processors._ALL or os.sched_getaffinity(0) != {0, 1}, reason="needs two processors")
def test_of_two_a_thread_joins_the_one_that_it_is_asked_to() -> None:
    turn = (
        "here = processors.here()\nos.sched_setaffinity(0, {1 - here})\nos.sched_setaffinity(0, {0, 1})\n"
        "processors.join(here)\nlook()\njoined += processors.here() == here"
    )
    program = f"joined = 0\nfor _ in range(20):\n{textwrap.indent(turn, '    ')}\nfound.append([joined])"
    *allowed, (joined,) = seen(program)
    assert allowed == [[0, 1]] * 20
    assert joined > 15, "but for those that the kernel has moved on in between"


@MORE
def test_where_somebody_has_chosen_nothing_is_changed() -> None:
    one = min(os.sched_getaffinity(0))
    calls = (
        "stay()",
        f"avoid({one + 1})",
        f"join({one + 1})",
        "expect(movable=processors.roams())",
        "roam()",
    )
    steps = "".join(f"processors.{call}\nlook()\n" for call in calls)
    program = f"os.sched_setaffinity(0, {{{one}}})\n{steps}found.append([processors.here()])"
    assert seen(program) == [[one]] * len(calls) + [[-1]]
