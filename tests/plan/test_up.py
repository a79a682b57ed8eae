import dataclasses
from typing import Any

import pytest

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.model.ids import ServiceName
from orchestr8.model.observed import BoundPort, ContainerState, Health, ObservedContainer, Snapshot
from orchestr8.plan.desired import build_desired
from orchestr8.plan.verbs import UpOptions, plan_up
from tests.plan.snapshots import changed, snapshot_of
from tests.worlds import check, desired, name, names, needs, service

EMPTY = Snapshot()
ONE_SHOT = "service_completed_successfully"


def test_a_fresh_stack_is_made_in_dependency_order() -> None:
    shop = desired(
        web=service(depends_on=needs("api")),
        api=service(depends_on=needs(db="service_healthy", migrate=ONE_SHOT)),
        db=service(healthcheck=check()),
        migrate=service(depends_on=needs(db="service_healthy")),
    )
    assert plan_up(shop, EMPTY).render() == (
        "1. CreateNetwork shop_default -- not found\n"
        "2. CreateContainer shop-db-1 after 1 -- not found\n"
        "3. StartContainer shop-db-1 after 2 -- not running\n"
        "4. CreateContainer shop-migrate-1 after 1 -- not found\n"
        "5. WaitFor db service_healthy after 3 -- needed by migrate, api\n"
        "6. StartContainer shop-migrate-1 after 4, 5 -- not running\n"
        "7. CreateContainer shop-api-1 after 1 -- not found\n"
        "8. WaitFor migrate service_completed_successfully after 6 -- needed by api\n"
        "9. StartContainer shop-api-1 after 5, 7, 8 -- not running\n"
        "10. CreateContainer shop-web-1 after 1 -- not found\n"
        "11. StartContainer shop-web-1 after 9, 10 -- not running"
    )


def test_nothing_is_planned_for_a_stack_that_is_as_it_should_be() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    plan = plan_up(shop, snapshot_of(shop))
    assert plan.empty
    assert plan.render() == "nothing to do"
    assert plan.unchanged == [name("db"), name("web")]


def test_named_services_come_with_what_they_need_and_nothing_else() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service(), mail=service())
    plan = plan_up(shop, EMPTY, UpOptions(services=names("web")))
    assert [step.action.__class__.__name__ for step in plan.steps] == [
        "CreateNetwork",
        "CreateContainer",
        "StartContainer",
        "CreateContainer",
        "StartContainer",
    ]
    assert "mail" not in plan.render()


def test_without_dependencies_nothing_is_waited_for() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    plan = plan_up(shop, EMPTY, UpOptions(services=names("web"), no_deps=True))
    assert plan.render() == (
        "1. CreateNetwork shop_default -- not found\n"
        "2. CreateContainer shop-web-1 after 1 -- not found\n"
        "3. StartContainer shop-web-1 after 2 -- not running"
    )


def test_an_unknown_service_is_not_found() -> None:
    with pytest.raises(NotFound, match="no such service: webb") as caught:
        plan_up(desired(web=service()), EMPTY, UpOptions(services=names("webb")))
    assert caught.value.helps == ["did you mean `web`?"]


def test_an_exited_container_is_started_again() -> None:
    shop = desired(web=service())
    seen = snapshot_of(shop, {"web": {"state": ContainerState.EXITED, "exit_code": 1}})
    assert plan_up(shop, seen).render() == "1. StartContainer shop-web-1 -- exited with code 1"


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"state": ContainerState.CREATED}, "not started yet"),
        ({"state": ContainerState.CREATED, "error": "port taken"}, "last start failed: port taken"),
        (
            {"state": ContainerState.EXITED, "exit_code": 137, "oom_killed": True, "memory_max_bytes": 64 << 20},
            "exited with code 137, out of memory: 64M limit",
        ),
        ({"state": ContainerState.EXITED, "exit_code": 1, "oom_killed": True}, "exited with code 1, out of memory"),
    ],
)
def test_the_reason_of_a_start_says_why_it_does_not_run(state: dict[str, Any], reason: str) -> None:
    shop = desired(web=service())
    assert plan_up(shop, snapshot_of(shop, {"web": state})).render() == f"1. StartContainer shop-web-1 -- {reason}"


# --- changed settings ---------------------------------------------------------------------------------------------


def test_a_changed_setting_is_told_with_both_values_and_a_secret_is_not() -> None:
    before = desired(web=service(environment={"DEBUG": "0", "KEY": "secret"}))
    after = desired(web=service(environment={"DEBUG": "1", "KEY": "other secret"}))
    reason = 'environment.DEBUG changed: "0" -> "1"; environment.KEY changed: (masked) -> (masked)'
    assert plan_up(after, snapshot_of(before)).render() == (
        f"1. StopContainer shop-web-1 -- {reason}\n"
        "2. RemoveContainer shop-web-1 after 1 -- as step 1\n"
        "3. CreateContainer shop-web-1 after 2 -- as step 1\n"
        "4. StartContainer shop-web-1 after 3 -- as step 1"
    )


def test_a_changed_setting_is_told_with_the_places_it_came_from() -> None:
    def shop(level: str, place: str) -> Any:
        services = {"web": service(environment={"LOG_LEVEL": level}, networks={"default": None})}
        document = {"name": "shop", "services": services, "networks": {"default": {"name": "shop_default"}}}
        return build_desired({**document, "x-orchestr8": {"origins": {"web": {"environment.LOG_LEVEL": place}}}})

    before, after = shop("info", "stack.yml:12"), shop("debug", "override.yml:3")
    assert plan_up(after, snapshot_of(before)).steps[0].reason == (
        'environment.LOG_LEVEL changed: "info" (stack.yml:12) -> "debug" (override.yml:3)'
    )
    assert plan_up(shop("info", "moved.yml:1"), snapshot_of(before)).steps == []


def test_a_changed_image_is_told_with_both_names() -> None:
    before, after = desired(web=service(image="rootfs:/a")), desired(web=service(image="rootfs:/b"))
    assert plan_up(after, snapshot_of(before)).steps[0].reason == 'image changed: "rootfs:/a" -> "rootfs:/b"'


def test_without_the_old_spec_a_change_is_known_by_its_hash() -> None:
    before, after = desired(web=service(user="1")), desired(web=service(user="2"))
    seen = dataclasses.replace(snapshot_of(before), specs={})
    assert plan_up(after, seen).steps[0].reason == "settings changed"


def test_a_hash_of_another_release_alone_recreates_nothing() -> None:
    shop = desired(web=service())
    assert plan_up(shop, snapshot_of(shop, {"web": {"config_hash": "0:abc"}})).empty


def test_no_recreate_keeps_what_is_out_of_date() -> None:
    before, after = desired(web=service(user="1")), desired(web=service(user="2"))
    assert plan_up(after, snapshot_of(before), UpOptions(no_recreate=True)).empty


def test_force_recreate_is_for_the_named_services_only() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service())
    plan = plan_up(shop, snapshot_of(shop), UpOptions(force_recreate=True, services=names("web")))
    assert plan.render() == (
        "1. StopContainer shop-web-1 -- --force-recreate\n"
        "2. RemoveContainer shop-web-1 after 1 -- --force-recreate\n"
        "3. CreateContainer shop-web-1 after 2 -- --force-recreate\n"
        "4. StartContainer shop-web-1 after 3 -- --force-recreate"
    )


def test_a_recreated_dependency_leaves_its_dependents_alone() -> None:
    before = desired(web=service(depends_on=needs("db")), db=service(user="1"))
    after = desired(web=service(depends_on=needs("db")), db=service(user="2"))
    plan = plan_up(after, snapshot_of(before))
    assert "web" not in plan.render()
    assert plan.unchanged == [name("web")]


def test_a_recreated_dependency_takes_along_who_asks_for_it() -> None:
    tied = {"condition": "service_healthy", "restart": True}
    services = {"web": service(depends_on=needs("api")), "api": service(depends_on=needs(db=tied))}
    before = desired(**services, db=service(healthcheck=check(), user="1"))
    after = desired(**services, db=service(healthcheck=check(), user="2"))
    assert plan_up(after, snapshot_of(before), UpOptions(services=names("db"))).render() == (
        "1. StopContainer shop-api-1 -- db is recreated\n"
        '2. StopContainer shop-db-1 after 1 -- user changed: "1" -> "2"\n'
        '3. RemoveContainer shop-db-1 after 2 -- user changed: "1" -> "2"\n'
        '4. CreateContainer shop-db-1 after 3 -- user changed: "1" -> "2"\n'
        '5. StartContainer shop-db-1 after 4 -- user changed: "1" -> "2"\n'
        "6. WaitFor db service_healthy after 5 -- needed by api\n"
        "7. StartContainer shop-api-1 after 1, 6 -- db is recreated"
    )


def test_dependents_stop_before_their_dependency_even_through_one_that_stays() -> None:
    def shop(user: str) -> Any:
        return desired(
            web=service(depends_on=needs("api"), user=user),
            api=service(depends_on=needs("db")),
            db=service(user=user),
        )

    plan = plan_up(shop("2"), snapshot_of(shop("1")))
    assert plan.render().splitlines()[:2] == [
        '1. StopContainer shop-web-1 -- user changed: "1" -> "2"',
        '2. StopContainer shop-db-1 after 1 -- user changed: "1" -> "2"',
    ]


def test_a_container_name_renames_the_container() -> None:
    before, after = desired(web=service()), desired(web=service(container_name="front"))
    assert plan_up(after, snapshot_of(before)).render() == (
        "1. StopContainer shop-web-1 -- container_name changed: shop-web-1 -> front\n"
        "2. RemoveContainer shop-web-1 after 1 -- container_name changed: shop-web-1 -> front\n"
        "3. CreateContainer front after 2 -- container_name changed: shop-web-1 -> front\n"
        "4. StartContainer front after 3 -- container_name changed: shop-web-1 -> front"
    )


def test_a_host_port_moves_after_its_holder_has_stopped() -> None:
    def port(number: int) -> list[dict[str, Any]]:
        return [{"mode": "ingress", "target": 80, "published": str(number), "protocol": "tcp"}]

    before = desired(a=service(ports=port(8080)), b=service(ports=port(9090)))
    after = desired(a=service(ports=port(9090)), b=service(ports=port(8080)))
    bound = {
        each: {"ports": (BoundPort(host_ip="0.0.0.0", published=number, target=80),)}
        for each, number in {"a": 8080, "b": 9090}.items()
    }
    assert plan_up(after, snapshot_of(before, bound)).render() == (
        "1. StopContainer shop-b-1 -- ports changed: 9090:80 -> 8080:80\n"
        "2. StopContainer shop-a-1 -- ports changed: 8080:80 -> 9090:80\n"
        "3. RemoveContainer shop-a-1 after 2 -- ports changed: 8080:80 -> 9090:80\n"
        "4. RemoveContainer shop-b-1 after 1 -- ports changed: 9090:80 -> 8080:80\n"
        "5. CreateContainer shop-a-1 after 3 -- ports changed: 8080:80 -> 9090:80\n"
        "6. StartContainer shop-a-1 after 4, 5 -- ports changed: 8080:80 -> 9090:80\n"
        "7. CreateContainer shop-b-1 after 4 -- ports changed: 9090:80 -> 8080:80\n"
        "8. StartContainer shop-b-1 after 3, 7 -- ports changed: 9090:80 -> 8080:80"
    )


def test_two_services_can_swap_their_names() -> None:
    before = desired(a=service(container_name="x"), b=service(container_name="y"))
    after = desired(a=service(container_name="y"), b=service(container_name="x"))
    actions = [f"{step.action} {step.after}" for step in plan_up(after, snapshot_of(before)).steps]
    assert actions == [
        "StopContainer y ()",
        "StopContainer x ()",
        "RemoveContainer x (2,)",
        "RemoveContainer y (1,)",
        "CreateContainer y (3, 4)",
        "StartContainer y (5,)",
        "CreateContainer x (3, 4)",
        "StartContainer x (7,)",
    ]


def test_an_orphans_name_is_free_once_it_is_removed() -> None:
    before, after = desired(old=service(container_name="x")), desired(web=service(container_name="x"))
    plan = plan_up(after, snapshot_of(before), UpOptions(remove_orphans=True))
    assert [f"{step.action} {step.after}" for step in plan.steps] == [
        "StopContainer x ()",
        "RemoveContainer x (1,)",
        "CreateContainer x (2,)",
        "StartContainer x (3,)",
    ]


def test_the_reason_of_a_wait_names_a_few_of_its_users() -> None:
    users = {f"s{number}": service(depends_on=needs(db="service_healthy")) for number in range(8)}
    plan = plan_up(desired(db=service(healthcheck=check()), **users), EMPTY)
    assert "needed by s0, s1, s2, s3, s4 and 3 more" in plan.render()


# --- replicas -----------------------------------------------------------------------------------------------------


def test_scaling_up_takes_the_lowest_free_numbers() -> None:
    seen = changed(snapshot_of(desired(web=service(scale=3))), remove=[name("web", 2)])
    plan = plan_up(desired(web=service(scale=4)), seen)
    assert plan.render() == (
        "1. CreateContainer shop-web-2 -- not found\n"
        "2. CreateContainer shop-web-4 -- not found\n"
        "3. StartContainer shop-web-2 after 1 -- not running\n"
        "4. StartContainer shop-web-4 after 2 -- not running"
    )


def test_scaling_down_removes_the_highest_numbers() -> None:
    plan = plan_up(desired(web=service(scale=1)), snapshot_of(desired(web=service(scale=3))))
    assert plan.render() == (
        "1. StopContainer shop-web-2 -- scaled to 1\n"
        "2. StopContainer shop-web-3 -- scaled to 1\n"
        "3. RemoveContainer shop-web-2 after 1 -- scaled to 1\n"
        "4. RemoveContainer shop-web-3 after 2 -- scaled to 1"
    )
    assert plan.unchanged == [name("web", 1)]


def test_scaling_down_removes_what_is_out_of_date_first() -> None:
    shop = desired(web=service(scale=2))
    old = desired(web=service(scale=2, user="1")).services[ServiceName("web")]
    seen = snapshot_of(shop)
    seen = changed(seen, {name("web", 1): {"config_hash": old.config_hash}}, specs={name("web", 1): old.container})
    plan = plan_up(desired(web=service(scale=1)), seen)
    assert "RemoveContainer shop-web-1" in plan.render()
    assert plan.unchanged == [name("web", 2)]


def test_a_service_scaled_to_nothing_is_waited_for_by_nobody() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(scale=0, healthcheck=check()))
    assert "WaitFor" not in plan_up(shop, EMPTY).render()


# --- waiting ------------------------------------------------------------------------------------------------------


def test_a_dependency_that_is_healthy_already_is_not_waited_for() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    seen = changed(snapshot_of(shop), remove=[name("web")])
    assert plan_up(shop, seen).render() == (
        "1. CreateContainer shop-web-1 -- not found\n2. StartContainer shop-web-1 after 1 -- not running"
    )


def test_a_dependency_that_is_still_starting_is_waited_for() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service(healthcheck=check()))
    seen = changed(snapshot_of(shop), {name("db"): {"health": Health.STARTING}}, remove=[name("web")])
    assert plan_up(shop, seen).render() == (
        "1. CreateContainer shop-web-1 -- not found\n"
        "2. WaitFor db service_healthy -- needed by web\n"
        "3. StartContainer shop-web-1 after 1, 2 -- not running"
    )


def test_an_optional_dependency_is_waited_for_even_if_it_only_has_to_start() -> None:
    optional = {"condition": "service_started", "required": False}
    shop = desired(web=service(depends_on=needs(cache=optional)), cache=service())
    (wait,) = [step for step in plan_up(shop, EMPTY).steps if "WaitFor" in str(step)]
    assert str(wait) == "5. WaitFor cache service_started after 3 -- needed by web"
    assert not wait.action.required  # type: ignore[union-attr]


def test_an_optional_dependency_that_is_not_in_the_document_is_left_out() -> None:
    optional = {"condition": "service_healthy", "required": False}
    plan = plan_up(desired(web=service(depends_on=needs(cache=optional))), EMPTY)
    assert "cache" not in plan.render()


def test_waiting_for_health_that_nobody_checks_is_refused_before_anything_starts() -> None:
    shop = desired(web=service(depends_on=needs(db="service_healthy")), db=service())
    with pytest.raises(InvalidInput, match="container shop-db-1 has no healthcheck configured"):
        plan_up(shop, EMPTY)


def test_wait_adds_what_each_service_has_to_reach() -> None:
    shop = desired(web=service(depends_on=needs(migrate=ONE_SHOT)), migrate=service(), db=service(healthcheck=check()))
    plan = plan_up(shop, EMPTY, UpOptions(wait=True, wait_timeout_s=3))
    assert [str(step) for step in plan.steps if "WaitFor" in str(step)] == [
        "7. WaitFor migrate service_completed_successfully after 5 -- needed by web",
        "9. WaitFor db service_healthy after 3 -- --wait",
        "10. WaitFor web service_started after 8 -- --wait",
    ]
    assert {step.action.timeout_s for step in plan.steps if "WaitFor" in str(step)} == {3}  # type: ignore[union-attr]


def test_wait_has_nothing_to_wait_for_when_all_is_well() -> None:
    shop = desired(web=service(), db=service(healthcheck=check()))
    assert plan_up(shop, snapshot_of(shop), UpOptions(wait=True)).empty


def test_create_only_starts_nothing() -> None:
    assert "Start" not in plan_up(desired(web=service()), EMPTY, UpOptions(start=False)).render()


def test_one_offs_are_no_replicas() -> None:
    shop = desired(web=service())
    one_off = dataclasses.replace(
        next(iter(snapshot_of(shop).containers.values())), name=name("web-run"), oneoff=True, number=0
    )
    seen: dict[Any, ObservedContainer] = {one_off.name: one_off}
    plan = plan_up(shop, dataclasses.replace(snapshot_of(shop), containers=seen))
    assert "CreateContainer shop-web-1" in plan.render()
