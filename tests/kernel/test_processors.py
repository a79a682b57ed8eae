import json
import os
import subprocess
import sys

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
def test_where_somebody_has_chosen_nothing_is_changed() -> None:
    one = min(os.sched_getaffinity(0))
    program = f"os.sched_setaffinity(0, {{{one}}})\nlook()\nprocessors.stay()\nlook()\nprocessors.roam()\nlook()"
    assert seen(program) == [[one]] * 3
