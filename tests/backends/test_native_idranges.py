"""Ranges of ids for containers with a user namespace of their own."""

import pytest

from orchestr8.backends.native.idranges import COUNT, allot, subordinate
from orchestr8.errors import Conflict

FIRST = 524288


def test_the_lowest_free_range_is_taken() -> None:
    assert allot(set()) == FIRST
    assert allot({0, FIRST, FIRST + 2 * COUNT}) == FIRST + COUNT


def test_what_users_may_hand_out_is_nobody_elses() -> None:
    assert allot(set(), [range(FIRST + 5, FIRST + 6)]) == FIRST + COUNT
    assert allot(set(), [range(FIRST - 100, FIRST), range(FIRST + COUNT, FIRST + 2 * COUNT)]) == FIRST


def test_when_all_are_taken_it_is_told() -> None:
    with pytest.raises(Conflict, match="no range of user ids is free") as caught:
        allot(set(), [range(2**32)])
    assert caught.value.code == "O8-603"


def test_lines_of_subuid() -> None:
    assert subordinate("ann:100000:65536\n# no\n\nbob:x:1\nmax:300000:65536:more\n") == [range(100000, 165536)]
