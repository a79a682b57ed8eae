from difflib import SequenceMatcher

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.suggest import CUTOFF, _swapped, closest, likeness


def test_a_close_name_is_suggested_in_its_own_writing() -> None:
    assert closest("enviroment", ["environment", "env_file"]) == "environment"
    assert closest("foobar", ["FOO_BAR", "OTHER"]) == "FOO_BAR"


def test_two_neighbours_exchanged_are_close_in_a_short_name_too() -> None:
    assert closest("wbe", ["web", "worker"]) == "web"
    assert closest("bd", ["db"]) == "db"


def test_what_is_not_close_is_not_suggested() -> None:
    assert closest("queue", ["web", "db"]) == ""
    assert closest("", ["web"]) == ""


WORDS = st.text(alphabet="abcde_", max_size=14)


@given(WORDS, WORDS)
def test_likeness_is_that_of_difflib(one: str, other: str) -> None:
    assert likeness(one, other) == SequenceMatcher(None, one, other, autojunk=False).ratio()


@given(WORDS, st.lists(WORDS, max_size=8, unique=True))
def test_what_is_suggested_is_among_what_difflib_likes_best(word: str, names: list[str]) -> None:
    found = closest(word, names)
    best = max((SequenceMatcher(None, name, word, autojunk=False).ratio() for name in names), default=0)
    if any(each in names for each in _swapped(word)):
        assert found in _swapped(word)
    elif best < CUTOFF:
        assert found == ""
    else:
        assert SequenceMatcher(None, found, word, autojunk=False).ratio() == best
