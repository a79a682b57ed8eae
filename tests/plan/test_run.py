import dataclasses

import pytest

from orchestr8.errors import NotFound
from orchestr8.model.actions import CreateContainer
from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.observed import Snapshot
from orchestr8.model.specs import Desired, RestartPolicy
from orchestr8.plan.run import one_off_spec
from orchestr8.plan.verbs import OneOff, plan_run
from tests.plan.snapshots import snapshot_of
from tests.worlds import check, desired, needs, service

RUN = ContainerName("shop-web-run-0123456789ab")
SHOP = desired(
    web=service(
        depends_on=needs(db="service_healthy"),
        restart="always",
        entrypoint=["/bin/serve"],
        environment={"A": "1", "B": None},
        ports=[{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}],
        networks={"default": {"aliases": ["www"]}},
    ),
    db=service(healthcheck=check()),
)


def created(shop: Desired, one_off: OneOff) -> CreateContainer:
    action = plan_run(shop, ServiceName("web"), one_off, snapshot_of(shop)).steps[-1].action
    assert isinstance(action, CreateContainer)
    return action


def test_what_the_service_needs_comes_first() -> None:
    assert plan_run(SHOP, ServiceName("web"), OneOff(name=RUN), Snapshot()).render() == (
        "1. CreateNetwork shop_default -- not found\n"
        "2. CreateContainer shop-db-1 after 1 -- not found\n"
        "3. StartContainer shop-db-1 after 2 -- not running\n"
        "4. WaitFor db service_healthy after 3 -- needed by web\n"
        "5. CreateContainer shop-web-run-0123456789ab after 1, 4 -- run requested"
    )


def test_without_dependencies_only_the_container_is_made() -> None:
    plan = plan_run(SHOP, ServiceName("web"), OneOff(name=RUN, no_deps=True), Snapshot())
    assert plan.render() == (
        "1. CreateNetwork shop_default -- not found\n"
        "2. CreateContainer shop-web-run-0123456789ab after 1 -- run requested"
    )


def test_a_one_off_is_marked_and_never_restarted() -> None:
    action = created(SHOP, OneOff(name=RUN, labels=(("mine", "yes"),)))
    assert (action.oneoff, action.number, action.name) == (True, 0, RUN)
    labels = dict(action.labels)
    assert labels["com.docker.compose.oneoff"] == "True"
    assert labels["com.docker.compose.container-number"] == "0"
    assert labels["mine"] == "yes"
    assert action.spec.restart == RestartPolicy()


def test_a_one_off_takes_no_port_and_no_alias_unless_asked_to() -> None:
    plain = created(SHOP, OneOff(name=RUN)).spec
    assert plain.ports == ()
    assert [each.aliases for each in plain.networks] == [()]
    full = created(SHOP, OneOff(name=RUN, service_ports=True, use_aliases=True)).spec
    assert [each.published_first for each in full.ports] == [8080]
    assert [each.aliases for each in full.networks] == [("web", "www")]


def test_the_command_line_beats_the_service() -> None:
    spec = created(
        SHOP,
        OneOff(name=RUN, command=("sh",), environment=(("B", "2"),), user="7", working_dir="/w", tty=True, stdin=True),
    ).spec
    assert (spec.entrypoint, spec.command) == (("/bin/serve",), ("sh",))
    assert (spec.environment, spec.unset_environment) == ((("A", "1"), ("B", "2")), ())
    assert (spec.user, spec.working_dir, spec.tty, spec.stdin_open) == ("7", "/w", True, True)


def test_an_entrypoint_of_ones_own_drops_the_command() -> None:
    spec = created(SHOP, OneOff(name=RUN, entrypoint=("sh",))).spec
    assert (spec.entrypoint, spec.command) == (("sh",), None)


def test_the_service_itself_is_neither_started_nor_needed() -> None:
    plan = plan_run(SHOP, ServiceName("web"), OneOff(name=RUN), snapshot_of(SHOP))
    assert plan.render() == f"1. CreateContainer {RUN} -- run requested"
    assert plan.unchanged == ["shop-db-1"]


def test_an_unknown_service_is_not_found() -> None:
    with pytest.raises(NotFound, match="no such service: nobody"):
        plan_run(SHOP, ServiceName("nobody"), OneOff(name=RUN), Snapshot())


def test_a_one_off_does_not_count_as_the_services_container() -> None:
    seen = snapshot_of(SHOP)
    beside = dataclasses.replace(seen.containers[ContainerName("shop-web-1")], name=RUN, oneoff=True, number=0)
    plan = plan_run(
        SHOP,
        ServiceName("web"),
        OneOff(name=ContainerName("x")),
        Snapshot(containers={**seen.containers, RUN: beside}, networks=seen.networks, specs=seen.specs),
    )
    assert plan.render() == "1. CreateContainer x -- run requested"


def test_a_command_of_its_own_stands_nowhere_in_the_files() -> None:
    spec = dataclasses.replace(
        SHOP.services[ServiceName("web")].container, origins=(("command", "s.yml:1"), ("image", "s.yml:2"))
    )
    assert one_off_spec(ServiceName("web"), spec, OneOff(name=RUN, command=("x",))).origins == (("image", "s.yml:2"),)
    assert one_off_spec(ServiceName("web"), spec, OneOff(name=RUN)).origins == spec.origins
