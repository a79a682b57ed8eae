"""The commands, typed as a user types them, on a real engine with real containers."""

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, exit_code, health, log, out, state
from e2e.engine import Result
from e2e.scenario import Check, Scenario, eventually
from orchestr8.kernel import capabilities
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
# `sleep` in the background and `wait`, for a shell hears of a signal only between two commands.
STACK = """
services:
  db:
    image: rootfs:/
    command: sleep 1000
    stop_grace_period: 2s
  web:
    image: rootfs:/
    command: bash -c 'echo hello from $$GREETER; sleep 1000 & wait'
    environment: {GREETER: the page}
    stop_grace_period: 2s
    depends_on: [db]
"""
ADDRESSES = "import socket; print(*sorted({each[4][0] for each in socket.getaddrinfo('%s', 80)}))"


def address(story: Scenario, service: str) -> str:
    return story.step(f'exec db python3 -c "{ADDRESSES % service}"').out.strip()


def nothing_to_do(scenario: Scenario, _result: Result) -> str:
    plan = scenario.run("plan", "--detailed-exitcode")
    return "" if (plan.code, plan.out) == (0, "") else f"there is something to do: {plan.out}"


def test_a_stack_comes_up_stays_as_it_is_and_goes(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("plan --detailed-exitcode", out("CreateContainer shop-web-1", "not found"), containers(), code=3)
    story.step("up --dry-run", out("CreateContainer shop-web-1"), containers())
    story.step("up -d", containers("shop-db-1", "shop-web-1"), state("web", "running"), nothing_to_do)
    before = [each["ID"] for each in story.containers()]
    story.step("up -d")
    assert [each["ID"] for each in story.containers()] == before
    story.step("up -d --force-recreate web", state("web", "running"))
    after = [each["ID"] for each in story.containers()]
    assert (after[0], after[1] != before[1]) == (before[0], True)
    story.step("down", containers())


def test_a_change_recreates_what_it_concerns_and_says_why(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", eventually(log("web", "hello from the page")))
    ids = {each["Service"]: each["ID"] for each in story.containers()}
    story = scenario(STACK.replace("the page", "another page"))
    story.step("plan", out("environment.GREETER "))
    story.step("up -d", eventually(log("web", "hello from another page")))
    now = {each["Service"]: each["ID"] for each in story.containers()}
    assert (now["db"] == ids["db"], now["web"] == ids["web"]) == (True, False)


def test_start_stop_restart_and_kill(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")
    place = address(story, "web")
    story.step("restart web", state("web", "running"))
    assert address(story, "web") == place, "peers need not resolve again"
    story.step("stop", state("web", "exited"), state("db", "exited"), exit_code("db", 143))
    story.step("start", state("web", "running"), state("db", "running"))
    story.step("kill -s SIGUSR1 db", eventually(exit_code("db", 138)), state("web", "running"))
    story.step("kill", eventually(state("web", "exited")), exit_code("web", 137))


def test_replicas_share_a_name_and_come_and_go(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d --scale web=3", containers("shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"))
    assert len(address(story, "web").split()) == 3
    story.step("up -d", containers("shop-db-1", "shop-web-1"))
    assert len(address(story, "web").split()) == 1


def test_exec_passes_streams_environment_and_exit_codes_on(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")
    said = story.step("exec -T -e WORD=there web bash -c 'read line; echo $line $WORD; echo oops >&2'", stdin="hello\n")
    assert (said.out, said.err) == ("hello there\n", "oops\n")
    story.step("exec web bash -c 'exit 3'", code=3)
    story.step("exec web /no/such/program", err("executable not found"), code=127)
    story.step("exec web /etc/hostname", err("denied", "make it executable"), code=126)
    story.step("exec -u nobody-here web true", err("cannot be used", "or a number, which needs no entry"), code=126)
    story.step("exec -w /nope web true", err("working directory /nope", "absolute path of a directory"), code=126)
    story.step("exec nobody true", err("nobody"), code=125)
    story.step("exec -u nobody web id -un", out("nobody"))
    story.step("exec --privileged web grep CapEff /proc/self/status", out(f"{capabilities.read().permitted:016x}"))


def test_a_detached_exec_runs_on_without_anybody(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")
    said = story.step("exec -d web bash -c 'echo lost; read line; echo end >> /ended; sleep 1000'")
    assert (said.out, said.err) == ("", "")
    story.check(
        eventually(lambda each, _: "" if each.run("exec", "-T", "web", "cat", "/ended").out == "end\n" else "no")
    )
    story.step("exec -d web /no/such/program", err("executable not found"), code=127)


def test_run_brings_up_what_is_needed_and_leaves_nothing(scenario: Tell) -> None:
    story = scenario(STACK)
    said = story.step("run --rm -T web bash -c 'cat; exit 4'", containers("shop-db-1"), stdin="typed\n", code=4)
    assert said.out == "typed\n"
    story.step("run --rm --no-deps web no-such-program", code=127)


def test_an_attached_up_shows_logs_and_stops_in_order_when_interrupted(scenario: Tell) -> None:
    story = scenario(STACK)
    with story.engine.start("up", cwd=story.directory) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "web-1  | hello from the page\n"
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said.index("shop-web-1  Stopped") < said.index("shop-db-1  Stopping")
    story.check(state("web", "exited"), state("db", "exited"))


def test_a_second_interrupt_kills(scenario: Tell) -> None:
    stubborn = STACK.replace("command: sleep 1000", "command: bash -c 'trap \"\" TERM; echo ready; sleep 1000 & wait'")
    story = scenario(stubborn.replace("stop_grace_period: 2s", "stop_grace_period: 1h"))
    with story.engine.start("up", "db", cwd=story.directory) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "db-1  | ready\n"
        process.send_signal(signal.SIGINT)
        while "Stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    story.check(eventually(state("db", "exited")), exit_code("db", 137))


def test_a_stack_outlives_the_command_that_brought_it_up(scenario: Tell) -> None:
    story = scenario(STACK)
    with story.engine.start("up", cwd=story.directory) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    story.check(state("web", "running"), state("db", "running"))


def test_logs_can_be_cut_followed_and_stamped(scenario: Tell) -> None:
    story = scenario(
        "services: {count: {image: 'rootfs:/', command: bash -c 'for n in 1 2 3 4; do echo line $$n; done'}}"
    )
    story.step("up -d", eventually(state("count", "exited")))
    assert story.step("logs").out == "".join(f"count-1  | line {n}\n" for n in range(1, 5))
    assert story.step("logs -f --tail 2 --no-log-prefix").out == "line 3\nline 4\n"
    stamped = story.step("logs --timestamps --tail 1 --no-log-prefix").out.split(" ", 1)
    assert (stamped[0][-1], stamped[1]) == ("Z", "line 4\n")


def test_waiting_fails_when_a_service_does(scenario: Tell) -> None:
    story = scenario("""
services:
  sick:
    image: rootfs:/
    command: sleep 1000
    stop_grace_period: 0s
    healthcheck: {test: echo no good; false, interval: 100ms, retries: 2}
""")
    story.step("up -d --wait", err("shop-sick-1", "unhealthy"), health("sick", "unhealthy"), code=1)


def test_a_policy_restarts_a_failure_so_often_and_no_more(scenario: Tell) -> None:
    story = scenario(
        "services: {job: {image: 'rootfs:/', command: bash -c 'echo try; exit 7', restart: 'on-failure:2'}}"
    )

    def three_tries(scenario: Scenario, _result: Result) -> str:
        tries = scenario.logs("job").count("try\n")
        return "" if tries == 3 else f"there were {tries} tries"

    story.step("up -d", eventually(three_tries), eventually(state("job", "exited")), exit_code("job", 7), three_tries)


def test_a_port_that_is_taken_is_named(scenario: Tell) -> None:
    story = scenario("services: {web: {image: 'rootfs:/', command: sleep 1000, ports: ['127.0.0.1:8080:80']}}")
    with socket.create_server(("127.0.0.1", 8080)):
        story.step("up -d", err("127.0.0.1:8080", "in use"), code=1)
    story.step("up -d", state("web", "running"))


def test_limits_are_what_the_file_says(scenario: Tell) -> None:
    story = scenario("""
services:
  small:
    image: rootfs:/
    command: sleep 1000
    stop_grace_period: 0s
    mem_limit: 32m
    pids_limit: 20
  greedy:
    image: rootfs:/
    command: [python3, -c, "x = bytearray(200 << 20)"]
    mem_limit: 32m
""")
    story.step("up -d", eventually(exit_code("greedy", 137)))
    story.step("exec small sh -c 'while :; do sleep 9 & done'", err("Cannot fork"), code=2)


def test_what_is_outside_is_not_inside(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")
    for hidden in ("/root", "/home", "/tmp", "/run"):
        assert story.step(f"exec web ls -A {hidden}").out == "", hidden
    assert story.step("exec web cat /etc/shadow").out == ""
    numbers = [int(name) for name in story.step("exec web ls /proc").out.split() if name.isdigit()]
    assert max(numbers) < 100, "only processes of its own"


def test_the_document_is_told_as_compose_tells_it(scenario: Tell) -> None:
    story = scenario(STACK)
    document = json.loads(story.step("config --format json").out)
    assert document["name"] == "shop"
    assert document["services"]["web"]["depends_on"] == {"db": {"condition": "service_started", "required": True}}
    assert story.engine.status()["state"] == "stopped", "reading a file needs no engine"


def same_ids(before: list[str]) -> Check:
    def check(scenario: Scenario, _result: Result) -> str:
        found = [each["ID"] for each in scenario.containers()]
        return "" if found == before else f"the containers are {found}, not {before}"

    return check


def test_an_engine_that_ends_leaves_the_stack_to_the_next_one(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", eventually(log("web", "hello from the page")))
    ids = [each["ID"] for each in story.containers()]
    story.step("engine stop", err("2 containers go on"))
    assert story.engine.status()["state"] == "stopped"
    story.step("ps", same_ids(ids), state("web", "running"), log("web", "hello from the page"), nothing_to_do)


def test_what_keeps_a_container_from_starting_is_told_with_its_place_and_a_remedy(scenario: Tell) -> None:
    story = scenario("""
services:
  typo:
    image: rootfs:/
    command: slep 1
  gone:
    image: rootfs:/no/such/tree
  first:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
    ports: ["127.0.0.1:18090:80"]
  second:
    image: rootfs:/
    command: sleep infinity
    ports: ["127.0.0.1:18090:80"]
  stranger: {image: "rootfs:/", command: sleep infinity, user: nobody-here}
  astray: {image: "rootfs:/", command: sleep infinity, working_dir: srv}
  mute: {image: "rootfs:/"}
  everywhere: {image: "rootfs:/", command: sleep infinity, volumes: ["/srv:/"]}
""")
    story.step("up -d typo", err("error[O8-627]", "`command` stands at stack.yml:5", "give its path as"), code=1)
    story.step("up -d gone", err("error[O8-502]", "service gone: `image` stands at stack.yml:7"), code=1)
    story.step("up -d first")
    story.step(
        "up -d second",
        err("container shop-first-1 publishes 127.0.0.1:18090", "`ports` stands at stack.yml:16"),
        code=1,
    )
    story.step("up -d stranger", err("error[O8-610]", "`user` stands at stack.yml:17", "or a number"), code=1)
    story.step("up -d astray", err("error[O8-612]", "`working_dir` stands at stack.yml:18", "write /srv"), code=1)
    story.step("up -d mute", err("error[O8-611]", "`image` stands at stack.yml:19"), code=1)
    story.step("up -d everywhere", err("error[O8-621]", "`volumes` stands at stack.yml:20"), code=1)
    ran = story.step("run -u nobody-here stranger true", err("error[O8-610]"), code=125)
    assert "stands at" not in ran.err
    ran = story.step("run first slep", err("error[O8-627]"), code=127)
    assert "stands at" not in ran.err  # but on the command line
    story.step("exec first slep", err("error[O8-627]", "give its path as"), code=127)
    story.step("logs frist", err("error[O8-404]: no such service: frist", "did you mean `first`?"), code=1)


def test_a_volume_of_run_may_lie_where_a_path_has_a_colon(scenario: Tell, tmp_path: Path) -> None:
    story = scenario(STACK)
    there = tmp_path / "shop" / "a:b"
    there.mkdir()
    (there / "word").write_text("found")
    words = ("run", "--rm", "--no-deps", "-T", "-v", "./:/here:ro", "db", "cat", "/here/word")
    done = story.engine.run(*words, cwd=str(there))
    assert (done.out, done.code) == ("found", 0), done.err


def test_a_one_off_takes_no_name_that_is_in_use(scenario: Tell) -> None:
    """Else its command would be the other one's, and its end, too."""
    story = scenario("services: {web: {image: 'rootfs:/', command: sleep infinity, stop_grace_period: 0s}}")
    story.step("up -d", state("web", "running"))
    story.step(
        "run --rm -T --name shop-web-1 web echo hi",
        err("error[O8-409]: the container name shop-web-1 is in use", "choose another --name"),
        code=125,
    )
    story.step("run -d --name tool web sleep infinity")
    story.step("run --rm -T --name tool web echo hi", err("the container name tool is in use"), code=125)
    story.step("run --rm -T --name other web echo hi", out("hi"))
    story.step("ps", state("web", "running"))
    story.step("down --remove-orphans")
