"""The engine's own table in the engine's namespace: what should stand in it, and keeping it so.

Changes are queued from the event loop and applied in the network thread: whoever comes first takes everything that
waits into one transaction. When the kernel disagrees with what is known here (somebody flushed the rules, an engine
died half-way), the table is written anew as a whole.
"""

import collections
from dataclasses import dataclass, field
from typing import Any

from orchestr8.network.firewall import neighbours, rules
from orchestr8.network.firewall.nft import Nft, NftError
from orchestr8.network.firewall.rules import Elements


@dataclass(slots=True)
class Change:
    """Something to add and something to remove; `error` tells, after `apply`, why it was not done."""

    add: Elements = field(default_factory=Elements)
    remove: Elements = field(default_factory=Elements)
    error: NftError | None = None


class HostFirewall:
    """`queue` may be called from any thread; everything else belongs to the network thread, in the engine's namespace.

    The context stays open: freeing one after elements were deleted waits for the kernel to dispose of them (10 ms).
    """

    def __init__(self, table: str, bridge_prefix: str) -> None:
        self._table = table
        self._bridge_prefix = bridge_prefix
        self._context: Nft | None = None
        self._known = Elements()
        self._settled = False  # before that, what stands in the kernel may be a live container's, not yet adopted
        self._dropped = Elements()  # what was removed before that
        self._queue: collections.deque[Change] = collections.deque()

    @property
    def _nft(self) -> Nft:
        if self._context is None:
            raise RuntimeError("the firewall was not installed")
        return self._context

    def install(self) -> None:
        """Make the table, or adopt the one that is there with its elements, and see to the neighbours."""
        if self._context is None:
            self._context = Nft()
        try:
            self._nft.run(rules.base(self._table))
        except NftError:
            # Made by a version whose sets had other types. Its elements come back as containers are adopted.
            self._nft.run(rules.remove_table(self._table))
            self._nft.run(rules.base(self._table))
        self.check_neighbours()

    def close(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def queue(self, change: Change) -> None:
        """To be done by the next `apply`."""
        self._queue.append(change)

    def apply(self) -> None:
        """Do all that is queued; each change is told its error, for its owner to raise."""
        changes: list[Change] = []
        while self._queue:
            changes.append(self._queue.popleft())
        if not changes:
            return
        before = self._known.copy()
        for change in changes:
            self._remember(change)
        text = "".join(
            rules.change("delete", self._table, change.remove) + rules.change("add", self._table, change.add)
            for change in changes
        )
        try:
            self._nft.run(text)
        except NftError:
            try:
                self._rewrite()
            except NftError as error:
                for change in changes:
                    change.error = error
                    before.subtract(change.remove)
                self._known = before  # what its owner is told was not added must not come with the next rewriting

    def settle(self) -> None:
        """From now on nothing stands in the table but what is known here."""
        self._settled = True
        self._dropped = Elements()
        self._rewrite()

    def repair(self) -> None:
        """Put back what somebody else took away."""
        objects = self._nft.ask(f"list table ip {self._table}")
        standing = rules.parse_elements(objects)
        whole = sum("rule" in each for each in objects) == rules.RULES
        if not (whole and standing.contains(self._known)):
            self._rewrite()
        self.check_neighbours()

    def remove(self) -> None:
        self._nft.run(rules.remove_table(self._table))
        commands = neighbours.withdraw(self._neighbours(), self._bridge_prefix)
        if commands:
            self._nft.run(commands)

    def check_neighbours(self) -> None:
        """Put our pair of rules where it is needed now, and take it from where it is not."""
        commands = neighbours.correct(self._neighbours(), self._bridge_prefix)
        if commands:
            self._nft.run(commands)

    def _neighbours(self) -> list[dict[str, Any]]:
        return [
            each for chain in neighbours.CHAINS for each in self._nft.ask(f"list chain ip {neighbours.TABLE} {chain}")
        ]

    def _remember(self, change: Change) -> None:
        self._known.subtract(change.remove)
        self._known.update(change.add)
        if not self._settled:
            self._dropped.subtract(change.add)
            self._dropped.update(change.remove)

    def _rewrite(self) -> None:
        wanted = Elements()
        if not self._settled:
            wanted.update(rules.parse_elements(self._nft.ask(f"list table ip {self._table}")))
            wanted.subtract(self._dropped)
        wanted.update(self._known)
        self._nft.run(rules.remove_table(self._table) + rules.rewrite(self._table, wanted))
