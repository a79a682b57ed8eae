"""`volumes_from`: who lends, who borrows, and what becomes of both."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.model.actions import CreateContainer
from orchestr8.model.ids import ContainerName
from orchestr8.model.lending import anonymous_volume, with_loans
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import ContainerSpec, Desired, LoanSpec, MountKind, MountSpec
from orchestr8.plan.desired import build_desired
from orchestr8.plan.options import UpOptions
from orchestr8.plan.verbs import plan_up
from tests.plan.snapshots import snapshot_of

DB: list[Any] = [
    {"type": "volume", "source": "data", "target": "/data"},
    {"type": "volume", "target": "/scratch"},
    {"type": "bind", "source": "/etc", "target": "/conf"},
    {"type": "tmpfs", "target": "/tmp"},
]


def desired(**services: dict[str, Any]) -> Desired:
    made = {name: {"image": "rootfs:/", **each} for name, each in services.items()}
    return build_desired({"name": "shop", "services": made, "networks": {"default": None}, "volumes": {"data": None}})


def volume(source: str, target: str, **more: Any) -> MountSpec:
    return MountSpec(kind=MountKind.VOLUME, source=source, target=target, nocopy=True, **more)


def test_binds_and_volumes_are_borrowed_and_ones_own_come_first() -> None:
    found = desired(
        db={"volumes": DB},
        web={"volumes_from": ["db"], "volumes": [{"type": "bind", "source": "/srv", "target": "/conf"}]},
    )
    web = found.services["web"]  # type: ignore[index]
    assert web.container.mounts == (
        MountSpec(kind=MountKind.BIND, source="/srv", target="/conf"),
        volume("shop_data", "/data"),
        volume(anonymous_volume(ContainerName("shop-db-1"), "/scratch"), "/scratch"),
    )
    assert web.lenders == ("db",)


def test_what_is_lent_read_only_is_so_and_is_lent_on() -> None:
    found = desired(
        a={"volumes_from": ["b:rw", "container:far:ro"]},
        b={"volumes_from": ["c:ro", "container:other"]},
        c={"volumes": DB[:1]},
    )
    a = found.services["a"].container  # type: ignore[index]
    assert a.mounts == (volume("shop_data", "/data", read_only=True),)
    assert a.volumes_from == (
        LoanSpec(container=ContainerName("far"), read_only=True),
        LoanSpec(container=ContainerName("other")),
    )


def test_a_lender_that_changes_changes_its_borrowers() -> None:
    before = desired(db={"volumes": DB[:1]}, web={"volumes_from": ["db"]})
    after = desired(db={"volumes": DB}, web={"volumes_from": ["db"]})
    assert before.services["web"].config_hash != after.services["web"].config_hash  # type: ignore[index]


@pytest.mark.parametrize("text", ["", ":ro", "db:", "db:x", "db:ro:x", "container:", "container:x:y"])
def test_what_names_nobody_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"services\.web\.volumes_from"):
        desired(db={}, web={"volumes_from": [text]})


def test_who_borrows_is_made_after_its_lender_and_anew_when_the_volumes_are() -> None:
    found = desired(db={"volumes": DB}, web={"volumes_from": ["db"]})
    steps = {str(step.action): step for step in plan_up(found, Snapshot()).steps}
    assert steps["CreateContainer shop-db-1"].number in steps["CreateContainer shop-web-1"].after
    snapshot = snapshot_of(found)
    for renew, made in ((False, {"shop-db-1"}), (True, {"shop-db-1", "shop-web-1"})):
        changed = desired(db={"volumes": DB, "hostname": "other"}, web={"volumes_from": ["db"]})
        created = {
            step.action.name: step.reason
            for step in plan_up(changed, snapshot, UpOptions(renew_anon_volumes=renew)).steps
            if isinstance(step.action, CreateContainer)
        }
        assert created.keys() == made
    assert created[ContainerName("shop-web-1")] == "the volumes that it has from db are made anew"


def test_a_container_outside_of_the_stack_lends_when_the_borrower_is_created() -> None:
    other = ContainerName("other-db-1")
    spec = ContainerSpec(
        image="rootfs:/", volumes_from=(LoanSpec(container=other, read_only=True),),
        mounts=(MountSpec(kind=MountKind.BIND, source="/own", target="/a"),),
    )  # fmt: skip
    lender = ContainerSpec(image="rootfs:/", mounts=(
        MountSpec(kind=MountKind.BIND, source="/theirs", target="/a"),
        MountSpec(kind=MountKind.VOLUME, target="/b"),
    ))  # fmt: skip
    found = with_loans(spec, {other: lender})
    assert found == spec, "what is borrowed is no setting"
    assert found.mounted == (spec.mounts[0], volume(anonymous_volume(other, "/b"), "/b", read_only=True))
    with pytest.raises(NotFound, match="no such container: other-db-1"):
        with_loans(spec, {})
