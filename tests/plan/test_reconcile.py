from orchestr8.model.actions import StartContainer
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.plan.restart import due_after_engine_start
from orchestr8.plan.verbs import plan_reconcile
from tests.plan.snapshots import changed, snapshot_of
from tests.worlds import check, desired, name, names, needs, service

EXITED = {"state": ContainerState.EXITED, "exit_code": 1, "health": None}
SHOP = desired(
    web=service(restart="always", depends_on=needs(db="service_healthy")),
    db=service(restart="unless-stopped", healthcheck=check()),
    job=service(),
)


def test_what_is_due_starts_by_policy() -> None:
    plan = plan_reconcile(None, snapshot_of(SHOP, {"web": EXITED, "job": EXITED}), due={name("web")})
    assert plan.render() == "1. StartContainer shop-web-1 -- exited with code 1"
    assert plan.steps[0].action == StartContainer(name=name("web"), by_policy=True)


def test_what_is_due_at_once_keeps_its_order() -> None:
    seen = snapshot_of(SHOP, {"web": EXITED, "db": EXITED, "job": EXITED})
    assert plan_reconcile(None, seen, due=due_after_engine_start(seen)).render() == (
        "1. StartContainer shop-db-1 -- exited with code 1\n"
        "2. WaitFor db service_healthy after 1 -- needed by web\n"
        "3. StartContainer shop-web-1 after 2 -- exited with code 1"
    )


def test_a_policy_does_not_ask_for_dependencies_that_it_does_not_start() -> None:
    seen = snapshot_of(SHOP, {"web": EXITED, "db": {**EXITED, "stopped_by_user": True}})
    assert (
        plan_reconcile(None, seen, due={name("web")}).render() == "1. StartContainer shop-web-1 -- exited with code 1"
    )
    again = plan_reconcile(SHOP, seen, due={name("web")}, stopped=names("db"))
    assert again.render() == "1. StartContainer shop-web-1 -- exited with code 1"


def test_what_runs_or_is_gone_is_not_started() -> None:
    assert plan_reconcile(None, snapshot_of(SHOP), due={name("web"), name("gone")}).empty


def test_an_interrupted_up_is_finished() -> None:
    seen = changed(snapshot_of(SHOP, {"db": {"state": ContainerState.CREATED, "health": None}}), remove=[name("web")])
    assert plan_reconcile(SHOP, seen).render() == (
        "1. StartContainer shop-db-1 -- not started yet\n"
        "2. CreateContainer shop-web-1 -- not found\n"
        "3. WaitFor db service_healthy after 1 -- needed by web\n"
        "4. StartContainer shop-web-1 after 2, 3 -- not running"
    )


def test_a_finished_one_shot_is_not_run_again() -> None:
    assert plan_reconcile(SHOP, snapshot_of(SHOP, {"job": {**EXITED, "exit_code": 0}})).empty


def test_an_interrupted_replacement_is_finished() -> None:
    before, after = desired(web=service(user="1")), desired(web=service(user="2"))
    stopped = snapshot_of(before, {"web": {**EXITED, "exit_code": 143}})
    assert [str(step.action) for step in plan_reconcile(after, stopped).steps] == [
        "RemoveContainer shop-web-1",
        "CreateContainer shop-web-1",
        "StartContainer shop-web-1",
    ]


def test_what_the_user_stopped_stays_so() -> None:
    seen = changed(snapshot_of(SHOP), remove=[name("job")])
    assert plan_reconcile(SHOP, seen, stopped=names("job")).empty


def test_services_that_were_never_asked_for_are_not_made() -> None:
    plan = plan_reconcile(SHOP, Snapshot(), services=names("job"))
    assert [str(step.action) for step in plan.steps] == [
        "CreateNetwork shop_default",
        "CreateContainer shop-job-1",
        "StartContainer shop-job-1",
    ]


def test_a_failed_start_is_not_tried_for_ever() -> None:
    seen = snapshot_of(SHOP, {"web": {"state": ContainerState.CREATED, "error": "port taken"}})
    assert plan_reconcile(SHOP, seen).empty


def test_after_a_reboot_always_starts_again_even_what_the_user_stopped() -> None:
    stopped = {**EXITED, "stopped_by_user": True}
    seen = snapshot_of(SHOP, {"web": stopped, "db": stopped, "job": stopped})
    due = due_after_engine_start(seen)
    assert due == {name("web")}
    assert plan_reconcile(SHOP, seen, due=due, stopped=names("web", "db")).render() == (
        "1. StartContainer shop-web-1 -- exited with code 1"
    )
