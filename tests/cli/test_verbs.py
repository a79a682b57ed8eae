"""What changes a stack (`up`, `down`, `stop`, …), and `plan`: what the engine is sent, how progress and failures are told."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine, steps

pytestmark = pytest.mark.usefixtures("shop")


def test_up_detached_tells_its_progress_and_the_addresses(cli: Cli, engine: FakeEngine) -> None:
    def up(call: Call) -> None:
        call.line(type="plan", steps=2, text="")
        call.line(type="warning", message="something is odd", code="O8-111")
        call.line(type="warning", message="and stays", code="")
        call.line(type="step", kind="Container", name="shop-web-1", status="Creating")
        call.line(type="step", kind="Container", name="shop-web-1", status="Created")
        port = {"service": "web", "container": "shop-web-1", "published": 8080, "target": 80}
        ports = [{**port, "host_ip": "0.0.0.0", "url": "http://127.0.0.1:8080"}, {**port, "host_ip": "10.0.0.1"}]
        call.line(type="done", containers=["shop-web-1"], ports=ports)
        call.end()

    engine.routes["POST /stacks/shop/up"] = up
    assert cli("up", "-d", "web", "--scale", "web=3", "-t", "5", "--remove-orphans") == (
        0,
        "",
        (
            "warning[O8-111]: something is odd\n"
            "warning: and stays\n"
            " Container shop-web-1  Creating\n"
            " Container shop-web-1  Created\n"
            " web  http://127.0.0.1:8080  (on every address of this machine)\n"
            " web  10.0.0.1:8080\n"
        ),
    )
    body = engine.calls[0].body
    assert body["options"] == {
        "services": ["web"], "force_recreate": False, "no_recreate": False, "no_deps": False, "renew_anon_volumes": False, "remove_orphans": True, "wait": False,
        "wait_timeout_s": None, "timeout_s": 5.0,
    }  # fmt: skip
    assert body["document"]["services"]["web"]["scale"] == 3
    sent = body["document"]["x-orchestr8"]
    assert (sent["working_dir"], sent["config_files"]) == (os.getcwd(), [f"{os.getcwd()}/stack.yml"])
    assert (sent["origins"]["db"]["image"], sent["contents"]) == ("stack.yml:5", {})


def test_work_that_fails_is_an_error_with_its_notes(cli: Cli, engine: FakeEngine) -> None:
    def up(call: Call) -> None:
        call.line(type="step", kind="Container", name="shop-web-1", status="Error", error={"message": "no such file"})
        call.line(
            type="error", status=500, message="web did not start", code="O8-604", notes=["exit code 127"], helps=["x"]
        )
        call.end()

    engine.routes["POST /stacks/shop/up"] = up
    assert cli("up", "-d") == (
        1,
        "",
        (
            " Container shop-web-1  Error  no such file\n"
            "error[O8-604]: web did not start\n"
            "  = note: exit code 127\n"
            "  = help: x\n"
        ),
    )


def test_work_that_breaks_off_is_an_engine_that_went_away(cli: Cli, engine: FakeEngine) -> None:
    """What one dies over the next one goes on with; what all of them die over is to blame itself."""
    engine.routes["POST /stacks/shop/up"] = lambda call: call.line(type="plan", steps=1, text="")
    code, _, err = cli("up", "-d")
    assert code == 1
    assert err.startswith("error[O8-400]: the engine went away before it had answered\n")
    first, *others = (call.body for call in engine.calls if call.name == "POST /stacks/shop/up")
    assert len(others) == 3
    assert all(each == {**first, "since": others[0]["since"]} for each in others)
    answers = iter([lambda call: call.end(), steps(("Container", "shop-web-1", "Started"))])
    engine.routes["POST /stacks/shop/up"] = lambda call: (call.line(type="plan", steps=1, text=""), next(answers)(call))
    assert cli("up", "-d")[0] == 0
    engine.routes["POST /stacks/shop/kill"] = lambda call: call.end()
    assert cli("kill")[0] == 1, "a signal is sent once"


def test_up_wait_is_the_engines_to_do(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/up"] = steps(("Container", "shop-web-1", "Healthy"))
    assert cli("up", "--wait", "--wait-timeout", "30")[0] == 0
    options = engine.calls[0].body["options"]
    assert (options["wait"], options["wait_timeout_s"]) == (True, 30.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--force-recreate", "--no-recreate"], "--force-recreate and --no-recreate contradict each other"),
        (["--wait-timeout", "3"], "--wait-timeout needs --wait"),
        (["--scale", "web"], "--scale web does not say SERVICE=N"),
        (["--scale", "web=-1"], "--scale web=-1 does not say SERVICE=N"),
    ],
)
def test_up_refuses_what_contradicts_itself(cli: Cli, words: list[str], message: str) -> None:
    code, out, err = cli("up", "-d", *words)
    assert (code, out, err.splitlines()[0]) == (2, "", f"error[O8-300]: {message}")


def test_up_of_a_service_that_does_not_exist(cli: Cli) -> None:
    code, _, err = cli("up", "-d", "webb")
    assert (code, err.splitlines()[0]) == (1, "error[O8-203]: no such service: webb")
    code, _, err = cli("up", "-d", "--scale", "webb=2")
    assert (code, err.splitlines()) == (1, ["error[O8-404]: no such service: webb", "  = help: did you mean `web`?"])


def test_down_sends_the_file_so_that_orphans_stay(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/down"] = steps(("Container", "shop-web-1", "Removed"), ("Network", "n", "Removed"))
    assert cli("down", "-v", "-t", "1") == (0, "", " Container shop-web-1  Removed\n Network n  Removed\n")
    body = engine.calls[0].body
    assert body["options"] == {"volumes": True, "timeout_s": 1.0, "remove_orphans": False, "services": None}
    assert list(body["document"]["services"]) == ["db", "web"]


def test_down_needs_no_file_when_the_name_is_given(cli: Cli, engine: FakeEngine) -> None:
    Path("stack.yml").unlink()
    engine.routes["POST /stacks/other/down"] = steps(("Network", "other_default", "Removed"))
    assert cli("-p", "other", "down") == (0, "", " Network other_default  Removed\n")
    assert engine.calls[0].body["document"] is None
    code, _, err = cli("down")
    assert (code, err.splitlines()[0]) == (1, "error[O8-107]: no configuration file provided: not found")


def test_up_can_leave_alone_what_a_service_needs_and_give_up_anonymous_volumes(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/up"] = steps()
    assert cli("up", "-d", "--no-deps", "-V", "web")[0] == 0
    options = engine.calls[0].body["options"]
    assert (options["services"], options["no_deps"], options["renew_anon_volumes"]) == (["web"], True, True)


def test_down_says_when_there_was_nothing_of_the_stack(cli: Cli, engine: FakeEngine) -> None:
    """As compose does: the name may be misspelt."""
    engine.routes["POST /stacks/shpo/down"] = steps()
    assert cli("-p", "shpo", "down") == (0, "", "warning: there was nothing of a stack called shpo\n")


def test_down_by_name_does_not_need_the_file_to_be_right(cli: Cli, engine: FakeEngine) -> None:
    Path("stack.yml").write_text("services: [oops\n")
    engine.routes["POST /stacks/shop/down"] = steps()
    code, _, err = cli("-p", "shop", "down")
    assert (code, "warning: this file is not used: everything of shop goes" in err.splitlines()) == (0, True)
    assert engine.calls[0].body["document"] is None
    assert cli("down")[0] == 1


def test_progress_can_be_moved_to_the_standard_output(cli: Cli, engine: FakeEngine, monkeypatch) -> None:
    monkeypatch.setenv("COMPOSE_STATUS_STDOUT", "true")
    engine.routes["POST /stacks/shop/stop"] = steps(("Container", "shop-web-1", "Stopped"))
    assert cli("stop") == (0, " Container shop-web-1  Stopped\n", "")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["start"], {"services": None, "wait": False, "wait_timeout_s": None}),
        (["start", "--wait", "--wait-timeout", "5"], {"services": None, "wait": True, "wait_timeout_s": 5.0}),
        (["stop", "-t", "3", "web"], {"services": ["web"], "timeout_s": 3.0}),
        (["restart"], {"services": None, "timeout_s": None}),
        (["kill", "-s", "SIGHUP", "web", "db"], {"services": ["web", "db"], "signal": "SIGHUP"}),
        (["kill"], {"services": None, "signal": "SIGKILL"}),
    ],
)
def test_what_changes_a_stack_that_is_up_needs_only_its_name(
    cli: Cli, engine: FakeEngine, words: list[str], body: dict[str, Any]
) -> None:
    engine.routes[f"POST /stacks/shop/{words[0]}"] = steps(("Container", "shop-web-1", "Stopped"))
    assert cli(*words) == (0, "", " Container shop-web-1  Stopped\n")
    assert engine.calls[0].body == {**body, "document": None}


def test_progress_can_be_json_with_failures_as_json_too(cli: Cli, engine: FakeEngine) -> None:
    def stop(call: Call) -> None:
        call.line(type="step", kind="Container", name="shop-web-1", status="Stopping")
        call.line(type="error", status=500, message="no", code="O8-600")
        call.end()

    engine.routes["POST /stacks/shop/stop"] = stop
    assert cli("--progress", "json", "stop") == (
        1,
        "",
        (
            '{"id": "Container shop-web-1", "status": "Working", "text": "Stopping"}\n'
            '{"error": true, "message": "no", "code": "O8-600"}\n'
        ),
    )
    assert cli("stop", "--progress", "quiet") == (1, "", "error[O8-600]: no\n")


PLAN = {"steps": [{"number": 1, "action": "CreateNetwork"}], "text": "1. CreateNetwork shop_default -- not found\n"}


def test_plan_prints_the_steps_and_can_tell_by_its_exit_code(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/plan"] = PLAN
    assert cli("plan") == (0, PLAN["text"], "")
    assert cli("plan", "--detailed-exitcode", "--force-recreate", "db") == (3, PLAN["text"], "")
    assert json.loads(cli("plan", "--format", "json")[1]) == PLAN
    body = engine.calls[1].body
    assert (body["verb"], body["options"]["force_recreate"], body["options"]["services"]) == ("up", True, ["db"])
    engine.routes["POST /stacks/shop/plan"] = {"steps": [], "text": ""}
    assert cli("plan", "--detailed-exitcode") == (0, "", "nothing to do: shop is as it should be\n")


def test_plan_says_what_stays_beside_it(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /stacks/shop/plan"] = {
        "steps": [],
        "text": "nothing to do",
        "warnings": ["Found orphan containers (a)"],
    }
    code, out, err = cli("plan")
    assert (code, out) == (0, "")
    assert err == "warning: Found orphan containers (a)\nnothing to do: shop is as it should be\n"


@pytest.mark.parametrize("verb", ["up", "down", "start", "stop", "restart"])
def test_a_dry_run_prints_the_plan_of_that_verb_and_does_nothing(cli: Cli, engine: FakeEngine, verb: str) -> None:
    engine.routes["POST /stacks/shop/plan"] = PLAN
    assert cli(verb, "--dry-run") == (0, PLAN["text"], "")
    assert engine.names == ["POST /stacks/shop/plan"]
    assert engine.calls[0].body["verb"] == verb
