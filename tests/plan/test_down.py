import dataclasses
from typing import Any

import pytest

from orchestr8.errors import NotFound
from orchestr8.model.actions import RemoveContainer, RemoveNetwork, RemoveVolume, StopContainer
from orchestr8.model.ids import NetworkName, VolumeName
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.plan.desired import build_desired
from orchestr8.plan.verbs import DownOptions, plan_down
from tests.plan.snapshots import changed, snapshot_of
from tests.worlds import desired, document, name, names, needs, service

SHOP = desired(web=service(depends_on=needs("api")), api=service(depends_on=needs("db")), db=service())


def one_off_beside(snapshot: Snapshot, state: ContainerState = ContainerState.RUNNING) -> Snapshot:
    run = dataclasses.replace(
        snapshot.containers[name("web")], name=name("web-run"), number=0, oneoff=True, state=state
    )
    specs = {**snapshot.specs, run.name: snapshot.specs[name("web")]}
    return dataclasses.replace(snapshot, containers={**snapshot.containers, run.name: run}, specs=specs)


def test_everything_goes_in_reverse_order_and_the_network_last() -> None:
    assert plan_down(SHOP, snapshot_of(SHOP)).render() == (
        "1. StopContainer shop-web-1 -- stack goes down\n"
        "2. StopContainer shop-api-1 after 1 -- stack goes down\n"
        "3. StopContainer shop-db-1 after 2 -- stack goes down\n"
        "4. RemoveContainer shop-web-1 after 1 -- stack goes down\n"
        "5. RemoveContainer shop-api-1 after 2 -- stack goes down\n"
        "6. RemoveContainer shop-db-1 after 3 -- stack goes down\n"
        "7. RemoveNetwork shop_default after 4, 5, 6 -- stack goes down"
    )


def test_without_a_document_the_labels_give_the_order() -> None:
    assert plan_down(None, snapshot_of(SHOP)).render() == plan_down(SHOP, snapshot_of(SHOP)).render()


def test_unrelated_services_stop_side_by_side() -> None:
    shop = desired(a=service(), b=service(), c=service())
    stops = [step for step in plan_down(shop, snapshot_of(shop)).steps if isinstance(step.action, StopContainer)]
    assert [step.after for step in stops] == [(), (), ()]


def test_nothing_is_left_to_do_the_second_time() -> None:
    assert plan_down(SHOP, Snapshot()).render() == "nothing to do"
    assert plan_down(None, Snapshot()).empty


def test_what_does_not_run_is_removed_without_a_stop() -> None:
    shop = desired(web=service())
    seen = snapshot_of(shop, {"web": {"state": ContainerState.EXITED, "exit_code": 0}})
    assert plan_down(shop, seen).render() == (
        "1. RemoveContainer shop-web-1 -- stack goes down\n2. RemoveNetwork shop_default after 1 -- stack goes down"
    )


def test_the_time_out_reaches_every_stop() -> None:
    plan = plan_down(SHOP, snapshot_of(SHOP), DownOptions(timeout_s=1.5))
    assert {step.action.timeout_s for step in plan.steps if isinstance(step.action, StopContainer)} == {1.5}


def with_volume() -> Any:
    mount = {"type": "volume", "source": "data", "target": "/data"}
    return build_desired(
        document({"db": service(volumes=[mount]), "web": service()}, volumes={"data": {"name": "shop_data"}})
    )


def test_volumes_are_kept() -> None:
    shop = with_volume()
    assert "Volume" not in plan_down(shop, snapshot_of(shop)).render()


def test_volumes_go_on_request_after_those_who_mount_them() -> None:
    shop = with_volume()
    plan = plan_down(shop, snapshot_of(shop), DownOptions(volumes=True))
    assert plan.render().splitlines()[-2:] == [
        "5. RemoveNetwork shop_default after 3, 4 -- stack goes down",
        "6. RemoveVolume shop_data after 4 -- --volumes",
    ]
    assert all(step.action.volumes for step in plan.steps if isinstance(step.action, RemoveContainer))


def test_external_volumes_and_networks_are_nobodys_to_remove() -> None:
    shop = build_desired(
        document({"web": service(networks={"shared": None})}, networks={"shared": {"name": "shared", "external": True}})
    )
    seen = Snapshot(foreign_networks=frozenset(each.name for each in shop.networks.values()))
    assert plan_down(shop, seen).empty


def test_what_other_stacks_use_stays() -> None:
    shop = with_volume()
    guest = (name("client"),)
    seen = dataclasses.replace(
        snapshot_of(shop),
        network_guests={NetworkName("shop_default"): guest},
        volume_guests={VolumeName("shop_data"): guest},
    )
    plan = plan_down(shop, seen, DownOptions(volumes=True))
    assert not [step for step in plan.steps if isinstance(step.action, RemoveNetwork | RemoveVolume)]
    assert plan.warnings == [
        "network shop_default is still in use by shop-client-1 and stays",
        "volume shop_data is still in use by shop-client-1 and stays",
    ]


def test_services_that_the_file_lost_go_too() -> None:
    plan = plan_down(desired(web=service()), snapshot_of(desired(web=service(), old=service())))
    assert "RemoveContainer shop-old-1" in plan.render()


def test_what_another_directory_brought_up_stays_with_its_network() -> None:
    elsewhere = document({"other": service()})
    elsewhere["x-orchestr8"]["working_dir"] = "/srv/other"
    seen = snapshot_of(build_desired(elsewhere))
    plan = plan_down(desired(web=service()), seen)
    assert plan.empty
    assert plan.warnings == [
        "shop-other-1 was brought up from /srv/other and stays; --remove-orphans removes it too",
        "network shop_default is still in use by shop-other-1 and stays",
    ]
    assert (
        "RemoveContainer shop-other-1"
        in plan_down(desired(web=service()), seen, DownOptions(remove_orphans=True)).render()
    )
    assert "RemoveContainer shop-other-1" in plan_down(None, seen).render()


def test_a_running_one_off_stays_with_its_network() -> None:
    shop = desired(web=service())
    plan = plan_down(shop, one_off_beside(snapshot_of(shop)))
    assert plan.render() == (
        "1. StopContainer shop-web-1 -- stack goes down\n2. RemoveContainer shop-web-1 after 1 -- stack goes down"
    )
    assert plan.warnings == [
        "shop-web-run-1 still runs and stays: `orchestr8 stop NAME` ends one, --remove-orphans all of them",
        "network shop_default is still in use by shop-web-run-1 and stays",
    ]


def test_a_running_one_off_goes_on_request() -> None:
    shop = desired(web=service())
    plan = plan_down(shop, one_off_beside(snapshot_of(shop)), DownOptions(remove_orphans=True))
    assert plan.render() == (
        "1. StopContainer shop-web-run-1 -- stack goes down\n"
        "2. StopContainer shop-web-1 -- stack goes down\n"
        "3. RemoveContainer shop-web-run-1 after 1 -- stack goes down\n"
        "4. RemoveContainer shop-web-1 after 2 -- stack goes down\n"
        "5. RemoveNetwork shop_default after 3, 4 -- stack goes down"
    )
    assert plan.warnings == []


def test_a_finished_one_off_goes_with_the_stack() -> None:
    shop = desired(web=service())
    seen = one_off_beside(snapshot_of(shop), ContainerState.EXITED)
    assert "RemoveContainer shop-web-run-1" in plan_down(shop, seen).render()


def test_named_services_go_alone() -> None:
    plan = plan_down(SHOP, snapshot_of(SHOP), DownOptions(services=names("api")))
    assert plan.render() == (
        "1. StopContainer shop-api-1 -- stack goes down\n2. RemoveContainer shop-api-1 after 1 -- stack goes down"
    )


def test_an_unknown_service_is_not_found() -> None:
    with pytest.raises(NotFound, match="no such service: nobody"):
        plan_down(SHOP, snapshot_of(SHOP), DownOptions(services=names("nobody")))


def test_a_stack_that_is_half_gone_is_finished() -> None:
    seen = changed(snapshot_of(SHOP), {name("db"): {"state": ContainerState.CREATED}}, remove=[name("web")])
    assert plan_down(SHOP, seen).render() == (
        "1. StopContainer shop-api-1 -- stack goes down\n"
        "2. RemoveContainer shop-api-1 after 1 -- stack goes down\n"
        "3. RemoveContainer shop-db-1 -- stack goes down\n"
        "4. RemoveNetwork shop_default after 2, 3 -- stack goes down"
    )
