"""What is said of containers that were made inside the engine."""

from bench import inside
from bench.processes import Sample


def a_round(*seconds: float, at_once: float) -> dict[str, object]:
    return {
        "one by one": {"create": list(seconds), "create and start": [2 * each for each in seconds]},
        "at once": at_once,
        "stop and remove at once": 2 * at_once,
        "restart": [each * 3 for each in seconds],
        "figures": [each * 5 for each in seconds],
        "without a network": list(seconds),
        "document": {},
    }


def test_rounds_are_merged_and_shown_beside_the_peer() -> None:
    found = inside.merged(
        [a_round(0.004, 0.005, at_once=0.2), a_round(0.006, at_once=0.4), a_round(0.007, at_once=0.3)]
    )
    assert inside.render(found, 10) == (
        "inside the engine, 10 containers, ms each\n"
        "  one by one, medians      create 5.5, create and start 11.0\n"
        "  side by side, all / n    at once 30.0, stop and remove at once 60.0\n"
        "  exit to exec again       16.5 ms (12-21)\n"
        "  figures of all           27.5 ms (20-35)\n"
    )
    assert inside.render_beside(found, "crun run", [Sample(0.02), Sample(0.022), Sample(0.04)]) == (
        "  without a network        ours 6 ms (4-7), crun run as a process 22 ms (20-40): 4.0x\n"
    )
