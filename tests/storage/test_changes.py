"""What is told of two trees, which here are mappings in memory."""

import stat
from typing import Any

import pytest

from orchestr8.storage.changes import Comparison, differs
from orchestr8.storage.layers import Entry

GONE: Any = "whiteout"


class Node:
    def __init__(
        self, *, kind: int = stat.S_IFREG, opaque: bool = False, capability: bytes = b"", **fields: int
    ) -> None:
        mode = fields.pop("mode", 0o755 if kind == stat.S_IFDIR else 0o644)
        values = {
            "uid": 0,
            "gid": 0,
            "rdev": 0,
            "size": 1,
            "mtime_ns": 7_000_000_001,
            "ctime_ns": 9,
            "links": 1,
            **fields,
        }
        self.entry = Entry(mode=kind | mode, identity=(1, id(self)), parts=(0,), **values)
        self.opaque = opaque
        self.capability = capability
        self.held: dict[str, Any] = {}


def folder(held: dict[str, Any] | None = None, **fields: Any) -> Node:
    node = Node(kind=stat.S_IFDIR, **fields)
    node.held = held or {}
    return node


class Held:
    """A `changes.Place`."""

    def __init__(self, top: Node) -> None:
        self.way = [("", top)]
        self.vanished: set[str] = set()

    @property
    def here(self) -> dict[str, Any]:
        return self.way[-1][1].held

    def names(self) -> list[str]:
        return sorted(self.here)

    def look(self, name: str) -> Entry | None:
        node = self.here.get(name)
        return None if node is None or node is GONE or name in self.vanished else node.entry

    def whiteout(self, name: str) -> bool:
        return self.here.get(name) is GONE

    def opaque(self, name: str) -> bool:
        return bool(self.here[name].opaque)

    def attribute(self, name: str, entry: Entry, attribute: str) -> bytes | None:
        assert attribute == "security.capability"
        return self.here[name].capability or None

    def attributes(self, name: str, entry: Entry) -> dict[str, bytes]:
        return {}

    def enter(self, name: str, entry: Entry) -> bool:
        self.way.append((name, self.here[name]))
        return True

    def leave(self) -> None:
        self.way.pop()

    def path(self, name: str = "") -> str:
        names = [each for each, _ in self.way[1:]]
        return "/" + "/".join([*names, name] if name else names)


def told(upper: dict[str, Any], base: dict[str, Any], *own: str) -> list[str]:
    places = Held(folder(upper)), Held(folder(base))
    found = [f"{each.kind} {each.path}" for each in Comparison(*places, own).run()]
    assert [len(each.way) for each in places] == [1, 1], "they stand where they began"
    return found


def test_what_is_new_is_added_with_all_that_is_in_it() -> None:
    assert told({"new": folder({"b": Node(), "a": folder({"x": Node()})})}, {}) == [
        "A /new",
        "A /new/a",
        "A /new/a/x",
        "A /new/b",
    ]


def test_the_way_to_a_change_is_told_before_it_and_once() -> None:
    base = {"etc": folder({"a": Node(), "deep": folder({"b": Node(), "c": Node()})})}
    upper = {"etc": folder({"deep": folder({"b": Node(size=2), "c": GONE})})}
    assert told(upper, base) == ["C /etc", "C /etc/deep", "C /etc/deep/b", "D /etc/deep/c"]


def test_what_was_copied_up_and_is_as_it_was_is_no_change() -> None:
    assert told({"etc": folder({"same": Node()})}, {"etc": folder({"same": Node()})}) == []


def test_a_whiteout_of_nothing_is_nothing() -> None:
    assert told({"x": GONE, "new": folder({"y": GONE})}, {}) == ["A /new"]


def test_a_directory_made_anew_has_lost_what_it_has_not() -> None:
    base = {"d": folder({"kept": Node(), "lost": Node(), "sub": folder({"x": Node()})})}
    upper = {"d": folder({"kept": Node(), "more": Node()}, opaque=True)}
    assert told(upper, base) == ["C /d", "D /d/lost", "A /d/more", "D /d/sub"]
    assert told({"d": folder({"kept": Node()})}, base) == [], "which hides nothing"


def test_another_kind_of_file_is_a_change_and_what_is_below_it_is_new() -> None:
    assert told({"x": folder({"y": Node()})}, {"x": Node()}) == ["C /x", "A /x/y"]
    assert told({"x": Node()}, {"x": folder({"y": Node()})}) == ["C /x"]


def test_names_are_in_the_order_of_their_bytes_below_their_directory() -> None:
    names = {"a": folder({"z": Node()}), "a-b": Node(), "B": Node(), "\udcff": Node(), "é": Node(), "\n": Node()}
    assert [each[3:] for each in told(names, {})] == ["\n", "B", "a", "a/z", "a-b", "é", "\udcff"]


@pytest.mark.parametrize(
    "change", [{"mode": 0o600}, {"uid": 5}, {"gid": 5}, {"size": 9}, {"mtime_ns": 8}, {"capability": b"x"}]
)
def test_what_makes_a_file_another(change: dict[str, Any]) -> None:
    assert told({"x": Node(**change)}, {"x": Node()}) == ["C /x"]


@pytest.mark.parametrize(("change", "other"), [({"mode": 0o700}, True), ({"uid": 1}, True), ({"size": 9}, False)])
def test_size_and_time_of_a_directory_say_nothing(change: dict[str, Any], *, other: bool) -> None:
    assert told({"d": folder(**change, mtime_ns=9)}, {"d": folder()}) == (["C /d"] if other else [])


def test_a_time_of_whole_seconds_is_that_of_the_same_second() -> None:
    new, old = Node(mtime_ns=7_000_000_001).entry, Node(mtime_ns=7_000_000_000).entry
    assert not differs(new, old)
    assert differs(new, Node(mtime_ns=7_000_000_002).entry)
    assert not differs(new, Node(mtime_ns=-1).entry), "a cover has none"


def test_what_the_runtime_mounts_on_does_not_show_nor_the_way_to_it() -> None:
    upper = {
        "etc": folder({"hosts": Node(), "mine": Node()}),
        "run": folder({"systemd": folder({"resolv.conf": Node()})}),
        "srv": folder({"place": folder(), "x": Node()}),
    }
    base = {"etc": folder()}
    assert told(upper, base, "/etc/hosts", "/run/systemd/resolv.conf", "/srv/place") == [
        "C /etc",
        "A /etc/mine",
        "A /srv",
        "A /srv/x",
    ]


def test_what_is_gone_since_it_was_listed_is_not_there() -> None:
    upper = Held(folder({"x": Node(), "y": Node()}))
    upper.vanished = {"x"}
    found = [each.path for each in Comparison(upper, Held(folder({"x": Node()}))).run()]
    assert found == ["/y"]


def test_a_tree_may_be_deeper_than_python_recurses() -> None:
    deep = folder({"x": Node()})
    for _ in range(3000):
        deep = folder({"d": deep})
    found = list(Comparison(Held(folder({"top": deep})), Held(folder({"top": folder()}))).run())
    assert (len(found), found[0].path, found[-1].path[-4:]) == (3002, "/top", "/d/x")
