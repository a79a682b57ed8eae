"""Ranges of user and group ids for containers with a user namespace of their own: each has 65,536 that nobody else has. Pure.

They are taken from where systemd keeps ids for containers (systemd.io/UIDS-GIDS), 524,288 to 1,879,048,191, but for
what /etc/subuid and /etc/subgid give to users.
"""

from collections.abc import Collection, Iterable
from typing import Final

from orchestr8.errors import Conflict

COUNT: Final = 1 << 16
_FIRST: Final = 0x80000
_LAST: Final = 0x6FFF0000


def allot(taken: Collection[int], given_away: Iterable[range] = ()) -> int:
    """The first id of the lowest free range. Raises Conflict when all are taken."""
    away = list(given_away)
    for base in range(_FIRST, _LAST + 1, COUNT):
        if base not in taken and not any(each.start < base + COUNT and base < each.stop for each in away):
            return base
    raise Conflict("no range of user ids is free for another container", code="O8-603")


def subordinate(text: str) -> list[range]:
    """What a text of /etc/subuid gives away: `user:first:count` a line (subuid(5)); lines of another form are nobody's."""
    found = []
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if first.isascii() and first.isdigit() and count.isascii() and count.isdigit():
            found.append(range(int(first), int(first) + int(count)))
    return found
