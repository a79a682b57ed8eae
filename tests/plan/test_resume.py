from orchestr8.model.actions import StartContainer, StopContainer
from orchestr8.model.observed import ContainerState, Snapshot
from orchestr8.plan.options import RestartOptions, StartOptions, StopOptions, Unfinished, UpOptions
from orchestr8.plan.plan import Plan
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


def test_after_a_crash_of_the_engine_alone_what_the_user_stopped_stays_so() -> None:
    stopped = {**EXITED, "stopped_by_user": True}
    seen = snapshot_of(SHOP, {"web": stopped, "db": EXITED})
    assert due_after_engine_start(seen, after_crash=True) == {name("db")}


# --- commands that no engine lived to finish ------------------------------------------------------------------------
# In these snapshots everything was created at 0 and started at 1. What a command did itself, it did after 10.

SINCE = 10.0
DONE = {"created_at": 11.0, "started_at": 12.0}


def unfinished(options: UpOptions | StartOptions | StopOptions | RestartOptions) -> Unfinished:
    return Unfinished(since=SINCE, options=options)


def actions(plan: Plan) -> list[str]:
    return [str(step.action) for step in plan.steps]


def test_a_forced_replacement_goes_on_with_those_that_are_still_the_old_ones() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service(), job=service())
    seen = snapshot_of(shop, {"db": DONE, "job": {**EXITED, **DONE}})
    assert plan_reconcile(shop, seen, unfinished=unfinished(UpOptions(force_recreate=True))).render() == (
        "1. StopContainer shop-web-1 -- --force-recreate\n"
        "2. RemoveContainer shop-web-1 after 1 -- --force-recreate\n"
        "3. CreateContainer shop-web-1 after 2 -- --force-recreate\n"
        "4. StartContainer shop-web-1 after 3 -- --force-recreate"
    )
    only_web = UpOptions(force_recreate=True, services=names("web"))
    assert "shop-job-1" not in plan_reconcile(shop, snapshot_of(shop), unfinished=unfinished(only_web)).render()


def test_an_up_starts_what_had_ended_before_it_but_nothing_that_it_ran_itself() -> None:
    shop = desired(web=service(), job=service())
    seen = snapshot_of(shop, {"web": EXITED, "job": {**EXITED, **DONE}})
    assert actions(plan_reconcile(shop, seen, unfinished=unfinished(UpOptions()))) == ["StartContainer shop-web-1"]
    assert plan_reconcile(shop, seen).empty, "that is their restart policy's"


def test_an_up_of_named_services_is_finished_for_them_and_what_they_need() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service(), job=service())
    seen = snapshot_of(shop, dict.fromkeys(("web", "db", "job"), EXITED))
    with_needs = unfinished(UpOptions(services=names("web")))
    assert actions(plan_reconcile(shop, seen, unfinished=with_needs)) == [
        "StartContainer shop-db-1",
        "StartContainer shop-web-1",
    ]
    alone = unfinished(UpOptions(services=names("web"), no_deps=True))
    assert actions(plan_reconcile(shop, seen, unfinished=alone)) == ["StartContainer shop-web-1"]


def test_an_up_that_was_to_recreate_nothing_recreates_nothing() -> None:
    before, after = desired(web=service(user="1")), desired(web=service(user="2"))
    assert plan_reconcile(after, snapshot_of(before), no_recreate=True).empty


def test_orphans_go_if_that_was_asked_for() -> None:
    seen = snapshot_of(desired(web=service(), old=service()))
    assert plan_reconcile(desired(web=service()), seen).empty
    left = plan_reconcile(desired(web=service()), seen, unfinished=unfinished(UpOptions(remove_orphans=True)))
    assert actions(left) == ["StopContainer shop-old-1", "RemoveContainer shop-old-1"]


def test_a_start_goes_on() -> None:
    seen = snapshot_of(SHOP, {"web": EXITED, "db": DONE, "job": {**EXITED, **DONE}})
    plan = plan_reconcile(SHOP, seen, unfinished=unfinished(StartOptions()))
    assert actions(plan) == ["StartContainer shop-web-1"]


def test_a_restart_goes_on_with_those_that_have_not_been_started_again() -> None:
    shop = desired(web=service(depends_on=needs("db")), db=service(), job=service())
    seen = snapshot_of(shop, {"web": {**EXITED, "exit_code": 143}, "job": DONE})
    assert plan_reconcile(shop, seen, unfinished=unfinished(RestartOptions())).render() == (
        "1. StopContainer shop-db-1 -- restart requested\n"
        "2. StartContainer shop-db-1 after 1 -- restart requested\n"
        "3. StartContainer shop-web-1 after 2 -- exited with code 143"
    )


def test_a_stop_goes_on_and_is_the_users() -> None:
    seen = snapshot_of(SHOP, {"web": {**EXITED, "stopped_by_user": True}})
    plan = plan_reconcile(
        SHOP,
        seen,
        stopped=names("web", "db"),
        unfinished=unfinished(StopOptions(services=names("web", "db"), timeout_s=3)),
    )
    assert [step.action for step in plan.steps] == [StopContainer(name=name("db"), timeout_s=3, by_user=True)]


def test_a_stop_that_was_begun_keeps_down_what_waits_for_its_policy() -> None:
    plan = plan_reconcile(
        SHOP,
        snapshot_of(SHOP, {"web": EXITED}),
        due={name("web")},
        unfinished=unfinished(StopOptions(services=names("web"), timeout_s=3)),
    )
    assert [step.action for step in plan.steps] == [StopContainer(name=name("web"), timeout_s=3, by_user=True)]


def test_what_the_file_has_lost_since_is_no_obstacle() -> None:
    plan = plan_reconcile(SHOP, snapshot_of(SHOP), unfinished=unfinished(StopOptions(services=names("gone"))))
    assert plan.empty


def test_after_a_reboot_always_starts_again_even_what_the_user_stopped() -> None:
    stopped = {**EXITED, "stopped_by_user": True}
    seen = snapshot_of(SHOP, {"web": stopped, "db": stopped, "job": stopped})
    due = due_after_engine_start(seen)
    assert due == {name("web")}
    assert plan_reconcile(SHOP, seen, due=due, stopped=names("web", "db")).render() == (
        "1. StartContainer shop-web-1 -- exited with code 1"
    )
