"""What is told of as many files as a container likes to have."""

import pytest

from orchestr8.model.told import Told


@pytest.mark.parametrize(
    ("count", "last"),
    [(0, ()), (1, ("0",)), (10, ("9",)), (11, ("and 1 more like these",)), (10**5, ("and 99990 more like these",))],
)
def test_the_first_are_kept_and_the_others_counted(count: int, last: tuple[str, ...]) -> None:
    told = Told()
    for number in range(count):
        told.tell(str(number))
    sentences = told.sentences()
    assert sentences[:10] == tuple(str(number) for number in range(min(count, 10)))
    assert (sentences[-1:], len(sentences)) == (last, min(count, 11))
