"""SIGKILL of the engine within create, start, stop and remove: see `crash_steps`, which can go through all lines."""

import pytest

from tests.requires import requires
from tests.system.crash_steps import go_through

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft", "program:ip", "program:busybox")]


@pytest.mark.parametrize(
    ("verb", "first", "stride"),
    [("create", 5, 41), ("start", 11, 67), ("start", 44, 67), ("stop", 3, 23), ("remove", 7, 31)],
)
def test_what_an_engine_was_killed_over_is_finished_by_the_next(verb: str, first: int, stride: int) -> None:
    assert go_through(verb, first, stride) > 1
