"""`up` and what containers need beside themselves: networks, volumes, labels; and what is left over."""

import dataclasses
from typing import Any

import pytest

from orchestr8.errors import Conflict, InvalidInput
from orchestr8.model.ids import ContainerName, NetworkName, VolumeName
from orchestr8.model.observed import Snapshot
from orchestr8.plan.desired import build_desired
from orchestr8.plan.verbs import UpOptions, plan_up
from tests.plan.snapshots import changed, snapshot_of
from tests.worlds import check, desired, document, name, names, needs, service

EMPTY = Snapshot()
ONE_SHOT = "service_completed_successfully"


# --- networks and volumes -----------------------------------------------------------------------------------------


def net(subnet: str = "", **changes: Any) -> dict[str, Any]:
    return {"name": "shop_back", **({"ipam": {"config": [{"subnet": subnet}]}} if subnet else {}), **changes}


def with_network(content: dict[str, Any], **services: Any) -> Any:
    return build_desired(document(services, networks={"default": {"name": "shop_default"}, "back": content}))


def test_a_changed_subnet_stops_who_is_on_it_and_starts_them_again() -> None:
    services = {
        "api": service(depends_on=needs("db"), networks={"back": None}),
        "db": service(networks={"back": None}),
        "web": service(),
    }
    before = with_network(net("10.9.0.0/24"), **services)
    after = with_network(net("10.9.1.0/24"), **services)
    why = "network shop_back: subnet changed: 10.9.0.0/24 -> 10.9.1.0/24"
    assert plan_up(after, snapshot_of(before)).render() == (
        f"1. StopContainer shop-api-1 -- {why}\n"
        f"2. StopContainer shop-db-1 after 1 -- {why}\n"
        "3. RemoveNetwork shop_back after 1, 2 -- subnet changed: 10.9.0.0/24 -> 10.9.1.0/24\n"
        "4. CreateNetwork shop_back after 3 -- subnet changed: 10.9.0.0/24 -> 10.9.1.0/24\n"
        f"5. StartContainer shop-db-1 after 2, 4 -- {why}\n"
        f"6. StartContainer shop-api-1 after 1, 4, 5 -- {why}"
    )


def test_a_network_without_a_subnet_of_its_own_keeps_the_one_it_got() -> None:
    shop = with_network(net(), web=service(networks={"back": None}))
    assert plan_up(shop, snapshot_of(shop)).empty


def test_a_network_is_not_replaced_under_a_running_one_off() -> None:
    before = with_network(net("10.9.0.0/24"), web=service(networks={"back": None}))
    after = with_network(net("10.9.1.0/24"), web=service(networks={"back": None}))
    seen = changed(snapshot_of(before), {name("web"): {"oneoff": True, "number": 0}})
    with pytest.raises(Conflict, match="shop-web-1 runs on it"):
        plan_up(after, seen)


def test_networks_and_volumes_that_no_selected_service_uses_are_not_made() -> None:
    shop = build_desired(
        document(
            {"web": service(networks={"back": None}), "mail": service()},
            networks={"default": {"name": "shop_default"}, "back": net(), "spare": {"name": "shop_spare"}},
            volumes={"data": {"name": "shop_data"}},
        )
    )
    plan = plan_up(shop, EMPTY, UpOptions(services=names("web")))
    assert plan.render().splitlines()[0] == "1. CreateNetwork shop_back -- not found"
    assert len([step for step in plan.steps if "Network" in str(step) or "Volume" in str(step)]) == 1


def test_a_missing_external_network_is_refused_before_anything_starts() -> None:
    shop = with_network({"name": "shared", "external": True}, web=service(networks={"back": None}))
    with pytest.raises(InvalidInput, match="network shared declared as external, but could not be found"):
        plan_up(shop, EMPTY)
    plan = plan_up(shop, Snapshot(foreign_networks=frozenset({NetworkName("shared")})))
    assert "Network" not in plan.render()


def test_a_network_of_another_stack_is_not_taken_over() -> None:
    shop = desired(web=service())
    with pytest.raises(Conflict, match="network shop_default belongs to another stack"):
        plan_up(shop, Snapshot(foreign_networks=frozenset({NetworkName("shop_default")})))


def test_a_network_is_not_replaced_under_another_stacks_feet() -> None:
    before, after = ({"name": "shop_back", "ipam": {"config": [{"subnet": f"10.9.{n}.0/24"}]}} for n in (1, 2))
    seen = dataclasses.replace(
        snapshot_of(with_network(before, web=service(networks={"back": None}))),
        network_guests={NetworkName("shop_back"): (ContainerName("other-client-1"),)},
    )
    with pytest.raises(
        Conflict, match="network shop_back must be replaced, but other-client-1 of another stack runs on it"
    ):
        plan_up(with_network(after, web=service(networks={"back": None})), seen)


def volumes_of(content: dict[str, Any]) -> Any:
    mount = {"type": "volume", "source": "data", "target": "/data"}
    return build_desired(document({"web": service(volumes=[mount])}, volumes={"data": content}))


def test_a_named_volume_is_made_before_the_container() -> None:
    assert plan_up(volumes_of({"name": "shop_data"}), EMPTY).render() == (
        "1. CreateNetwork shop_default -- not found\n"
        "2. CreateVolume shop_data -- not found\n"
        "3. CreateContainer shop-web-1 after 1, 2 -- not found\n"
        "4. StartContainer shop-web-1 after 3 -- not running"
    )


def test_a_missing_external_volume_is_refused_before_anything_starts() -> None:
    shop = volumes_of({"name": "pool", "external": True})
    with pytest.raises(InvalidInput, match='external volume "pool" not found'):
        plan_up(shop, EMPTY)
    assert "Volume" not in plan_up(shop, Snapshot(foreign_volumes=frozenset({VolumeName("pool")}))).render()


def test_a_volume_of_another_stack_is_used_with_a_warning() -> None:
    plan = plan_up(volumes_of({"name": "shop_data"}), Snapshot(foreign_volumes=frozenset({VolumeName("shop_data")})))
    assert "Volume" not in plan.render()
    assert plan.warnings == [
        (
            'volume "shop_data" already exists but was created by another stack; '
            "set `external: true` under volumes.data to say that this is meant"
        )
    ]


# --- orphans ------------------------------------------------------------------------------------------------------


def test_orphans_are_told_and_kept() -> None:
    plan = plan_up(desired(web=service()), snapshot_of(desired(web=service(), old=service())))
    assert plan.empty
    assert plan.warnings == [
        (
            "Found orphan containers (shop-old-1) for this project. "
            "If their services were removed or renamed, clean up with --remove-orphans"
        )
    ]


def test_orphans_are_removed_on_request() -> None:
    seen = snapshot_of(desired(web=service(), old=service()))
    plan = plan_up(desired(web=service()), seen, UpOptions(remove_orphans=True))
    assert plan.render() == (
        "1. StopContainer shop-old-1 -- its service is not in the stack file\n"
        "2. RemoveContainer shop-old-1 after 1 -- its service is not in the stack file"
    )
    assert plan.warnings == []


def test_what_another_directory_brought_up_is_never_an_orphan() -> None:
    elsewhere = document({"old": service()})
    elsewhere["x-orchestr8"]["working_dir"] = "/srv/other"
    plan = plan_up(desired(), snapshot_of(build_desired(elsewhere)), UpOptions(remove_orphans=True))
    assert plan.empty
    assert plan.warnings == [
        "A stack of the same name, from /srv/other, runs beside this one (shop-old-1); give one of the two another name"
    ]


def test_services_whose_profile_is_off_are_no_orphans() -> None:
    content = document({"web": service()})
    content["x-orchestr8"]["disabled_services"] = ["debug"]
    plan = plan_up(build_desired(content), snapshot_of(desired(web=service(), debug=service())))
    assert (plan.empty, plan.warnings) == (True, [])


def test_labels_are_composes_and_the_users() -> None:
    shop = desired(
        web=service(labels={"mine": "yes"}, depends_on=needs(db="service_healthy")), db=service(healthcheck=check())
    )
    create = next(step.action for step in plan_up(shop, EMPTY).steps if "CreateContainer shop-web-1" in str(step))
    labels = dict(create.labels)  # type: ignore[union-attr]
    config_hash = labels.pop("com.docker.compose.config-hash")
    assert config_hash.startswith("1:")
    assert labels == {
        "mine": "yes",
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.depends_on": "db:service_healthy:false",
        "com.docker.compose.image": "rootfs:/",
        "com.docker.compose.project.working_dir": "/srv/shop",
        "com.docker.compose.project.config_files": "/srv/shop/stack.yml",
    }
