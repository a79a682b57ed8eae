"""What of a user namespace can be said without one: ids, options, layers."""

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.runtime.userns import HOST, Ids, ids_of, split_overlay
from orchestr8.storage.overlay import OverlayMount

OWN = Ids.from_base(100_000, 65_536, fd=9)


def test_ids_outside() -> None:
    assert [OWN.uid(number) for number in (0, 5, 65_535, 65_536)] == [100_000, 100_005, 165_535, 65_534]
    assert HOST.gid(5) == 5


def test_users_and_groups_in_options_are_the_containers() -> None:
    options = [("gid", "5"), ("mode", "0620"), ("newinstance", None)]
    assert OWN.options("devpts", options) == [("gid", "100005"), ("mode", "0620"), ("newinstance", None)]
    assert HOST.options("devpts", options) == options
    assert OWN.options("proc", [("gid", "5")]) == [("gid", "5")]


def test_a_document_without_mappings_has_the_hosts_ids() -> None:
    mapping = [{"containerID": 0, "hostID": 7, "size": 2}]
    assert ids_of({"linux": {"uidMappings": mapping, "gidMappings": mapping}}, 4) == Ids.from_base(7, 2, 4)
    assert ids_of({"linux": {}}, 4) == HOST


paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1).map(
    lambda text: f"/{text}"
)


@given(st.lists(paths, min_size=1, max_size=4), paths, paths)
def test_layers_are_found_again_whatever_they_are_called(lower: list[str], upper: str, work: str) -> None:
    data = OverlayMount(lowerdirs=tuple(lower), upperdir=upper, workdir=work).data()
    assert split_overlay(data) == (lower, upper, work)
