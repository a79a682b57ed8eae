"""`ps`, `top`, `inspect` and `events` against an engine that answers as a test tells it to: what is asked, what is shown."""

import json
import os

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine, container

pytestmark = pytest.mark.usefixtures("shop")


def test_ps_is_a_table(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [
        container(),
        container("db", ports=[], status="Up 3 minutes (healthy)"),
    ]
    assert cli("ps") == (
        0,
        (
            "NAME         IMAGE      COMMAND                  SERVICE   CREATED         STATUS                   PORTS\n"
            'shop-db-1    rootfs:/   "/bin/sh -c while tr…"   db        3 minutes ago   Up 3 minutes (healthy)\n'
            'shop-web-1   rootfs:/   "/bin/sh -c while tr…"   web       3 minutes ago   Up 3 minutes             '
            "0.0.0.0:8080->80/tcp\n"
        ),
        "",
    )
    assert engine.calls[0].query == {}


def test_ps_all_asks_for_those_that_do_not_run_too(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/other/containers"] = []
    code, out, _ = cli("-p", "other", "ps", "-a")
    assert (code, out) == (0, "NAME   IMAGE   COMMAND   SERVICE   CREATED   STATUS   PORTS\n")
    assert engine.calls[0].query == {"all": ["1"]}


def test_ps_json_is_a_line_for_each_container_with_composes_fields(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container(created_at=0, state="exited", exit_code=3)]
    code, out, _ = cli("ps", "--format", "json", "web")
    assert code == 0
    assert engine.calls[0].query == {"service": ["web"]}
    [line] = out.splitlines()
    found = json.loads(line)
    assert found.pop("RunningFor").endswith(" years ago")
    assert found == {
        "Command": '"/bin/sh -c while tr…"', "CreatedAt": "1970-01-01 00:00:00 +0000 UTC", "ExitCode": 3, "Health": "",
        "ID": "000000000001", "Image": "rootfs:/", "Labels": "a=1,b=2", "Name": "shop-web-1", "Names": "shop-web-1",
        "Networks": "shop_default", "Ports": "0.0.0.0:8080->80/tcp", "Project": "shop",
        "Publishers": [{"URL": "0.0.0.0", "TargetPort": 80, "PublishedPort": 8080, "Protocol": "tcp"}],
        "Service": "web", "State": "exited", "Status": "Up 3 minutes",
    }  # fmt: skip


def test_ps_quiet_prints_ids(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container(number=2), container(number=1)]
    assert cli("ps", "-q") == (0, "000000000001\n000000000002\n", "")


def test_ps_knows_a_service_that_is_not_up_from_one_that_does_not_exist(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = []
    assert cli("ps", "-q", "db", "mail") == (0, "", "")
    code, _, err = cli("ps", "wbe")
    assert code == 1
    assert err.splitlines() == ["error[O8-404]: no such service: wbe", "  = help: did you mean `web`?"]
    assert cli("ps", "cache")[2].splitlines()[1] == "  = help: there is: db, mail, web"


def test_top_is_a_table_of_all_containers_without_what_terminals_obey(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [
        container("web", id="a1"), container("db", id="a2", state="exited"), container("run", number=0, id="a3", oneoff=True),
    ]  # fmt: skip
    for number in (1, 3):
        engine.routes[f"GET /containers/a{number}/top"] = {
            "Titles": ["UID", "PID", "CMD"],
            "Processes": [["root", str(number), "a\x1b[31m b"]],
        }
    code, out, _ = cli("top")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["SERVICE", "#", "UID", "PID", "CMD"],
        ["run", "shop-run-0", "root", "3", "a", "[31m", "b"],
        ["web", "1", "root", "1", "a", "[31m", "b"],
    ]


def test_inspect_shows_documents_or_one_value_of_each(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = [container("web", id="a1"), container("web", number=2, id="a2")]
    for number in (1, 2):
        engine.routes[f"GET /containers/a{number}/json"] = {"Name": f"/shop-web-{number}", "State": {"Pid": number}}
    engine.routes["GET /containers/b1/json"] = lambda call: call.answer({"message": "No such container: b1"}, 404)
    code, out, _ = cli("inspect", "web")
    assert (code, [each["State"]["Pid"] for each in json.loads(out)]) == (0, [1, 2])
    assert cli("inspect") == (0, out, "")
    assert cli("inspect", "-f", "{{.State.Pid}}", "web") == (0, "1\n2\n", "")
    assert cli("inspect", "-f", ".Name", "a2") == (0, "/shop-web-2\n", "")
    assert cli("inspect", "-f", "{{json .State}}", "a2") == (0, '{"Pid": 2}\n', "")
    assert cli("inspect", "-f", "{{json .Name}}", "a2") == (0, '"/shop-web-2"\n', "")
    assert cli("inspect", "-f", "{{.Name}}: {{ .State.Pid }}!", "web") == (0, "/shop-web-1: 1!\n/shop-web-2: 2!\n", "")
    assert cli("inspect", "-f", ".Name  .State.Pid", "a2") == (0, "/shop-web-2 2\n", "")
    for wrong in ("Name", "", "{{.Name}} {{.State.Pid", "{{.Name}} {{if .State}}x{{end}}", ".Name State"):
        code, _, err = cli("inspect", "-f", wrong, "a1")
        assert (code, "is not the path of a value" in err) == (2, True), wrong
    code, out, err = cli("inspect", "-f", ".State.Pdi", "a1")
    assert (code, out, err.splitlines()[1:]) == (1, "", ["  = help: it has: Pid"])
    assert cli("inspect", "-f", "{{range .State}}", "a1")[0] == 2
    code, _, err = cli("inspect", "b1")
    assert (code, "No such container: b1" in err) == (1, True)


EVENT = {
    "kind": "die", "stack": "shop", "service": "web", "container": "shop-web-1", "id": "0123456789ab",
    "at": 1767182400.25, "attributes": {"exitCode": "3", "image": "rootfs:/"},
}  # fmt: skip


def test_events_are_shown_as_compose_shows_them(cli: Cli, engine: FakeEngine) -> None:
    def happen(call: Call) -> None:
        call.line(**EVENT)
        call.line(missed=True)
        call.line(**{**EVENT, "service": "db"})
        call.end()

    engine.routes["GET /events"] = happen
    engine.routes["GET /stacks/shop/containers"] = [container("web")]
    code, out, err = cli("events", "--json", "--since", "1767182400", "--until", "1767182401", "web")
    assert code == 0
    assert json.loads(out) == {
        "action": "die", "attributes": {"exitCode": "3", "image": "rootfs:/", "name": "shop-web-1"}, "id": "0123456789ab",
        "service": "web", "time": "2025-12-31T12:00:00.250000Z", "type": "container",
    }  # fmt: skip
    assert err == "this was read too slowly: some events are not shown\n"
    assert engine.called("GET /events").query == {
        "stack": ["shop"], "since": ["1767182400.000000"], "until": ["1767182401.000000"],
    }  # fmt: skip
    code, out, _ = cli("events", "--until", "1767182401")
    assert [line.split(" ", 2)[2] for line in out.splitlines()] == [
        "container die 0123456789ab (exitCode=3, image=rootfs:/, name=shop-web-1)"
    ] * 2
    assert cli("events", "--since", "yester-day")[0] == 2


def test_events_of_an_engine_that_ends_are_over(cli: Cli, engine: FakeEngine) -> None:
    def end(call: Call) -> None:
        os.rename(engine.path, f"{engine.path}.gone")
        engine.path += ".gone"  # where the fixture ends it
        call.line(**EVENT)

    engine.routes["GET /events"] = end
    code, out, err = cli("events")
    assert (code, out.count("die")) == (1, 1)
    assert "the engine ended; containers go on without it" in err
