"""`exec` and `run` as one uses them: with a terminal and with pipes, as another user, and what they end with."""

import hashlib
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, exit_code, out, state
from e2e.scenario import Scenario, eventually
from tests.cli.process import Process
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  web:
    image: rootfs:/
    command: sleep infinity
    environment: {FROM_FILE: "1"}
    working_dir: /srv
    stop_grace_period: 0s
  needed:
    image: rootfs:/
    command: sleep infinity
    stop_grace_period: 0s
  job:
    image: rootfs:/
    command: sh -c 'echo the job; exit 5'
    depends_on: [needed]
"""


@pytest.fixture
def terminal(scenario: Tell, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Process]:
    """`terminal("exec", "web", "sh")`: a command on a terminal of its own, of 70 columns and 20 rows."""
    story = scenario(STACK)
    for name, value in story.engine.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(story.directory)
    return lambda *words: Process(*words, terminal=(70, 20))


@pytest.fixture
def story(scenario: Tell) -> Scenario:
    return scenario(STACK)


def test_exec_on_a_terminal_is_a_terminal_inside(terminal: Callable[..., Process], story: Scenario) -> None:
    story.step("up -d web")
    with terminal("exec", "web", "dash", "-i") as shell:
        shell.until("# ")
        shell.type(b"tty; stty size; echo $TERM; ps -o tty= -p $$\n")
        shell.until("/dev/pts/0\r\n20 70\r\nxterm\r\npts/0")
        shell.resize(100, 30)
        shell.type(b"until test \"$(stty size)\" = '30 100'; do sleep 0.01; done; echo res''ized\n")
        shell.until("resized\r\n# ")
        shell.type(b"sh -c 'echo wai\"\"ting; exec sleep 1000'\n")  # said by what is to be interrupted
        shell.until("waiting")
        shell.output = b""
        shell.type(b"\x03")
        shell.until("# ")
        shell.type(b"echo interr''upted $?\n")
        shell.until("interrupted 130")
        shell.type(b"exit 9\n")
        assert shell.end() == 9


def test_exec_with_a_terminal_on_one_side_only_has_none_inside(story: Scenario) -> None:
    story.step("up -d web")
    story.step("exec web test -t 1", code=1)
    story.step("exec -T web test -t 0", code=1)


def test_the_end_of_what_is_piped_into_a_terminal_is_the_end_of_its_programs_input(story: Scenario) -> None:
    """Within a line, after one, and at once."""
    story.step("up -d web")
    story.step("exec -t web cat", out("abcabc"), stdin="abc")
    story.step("exec -t web sh", out("42"), stdin="echo $((6*7))\n")
    story.step("exec -t web cat")


def test_exec_as_another_user_elsewhere_with_other_words(story: Scenario) -> None:
    story.step("up -d web")
    story.environment["PASSED"] = "on"
    said = story.step(
        "exec -u daemon:adm -w /usr -e GIVEN='two words' -e PASSED -e ABSENT web sh -c 'id -un; id -gn; pwd; env'"
    )
    assert said.out.splitlines()[:3] == ["daemon", "adm", "/usr"]
    variables = dict(line.split("=", 1) for line in said.out.splitlines()[3:])
    assert (variables["GIVEN"], variables["PASSED"], variables["FROM_FILE"]) == ("two words", "on", "1")
    assert "ABSENT" not in variables
    story.step("exec web pwd", out("/srv\n"))
    story.step("exec -u 12345 web id -u", out("12345\n"))
    story.step("exec -u nosuchuser web true", err("nosuchuser"), code=126)


def test_exec_ends_with_what_the_program_ended_with(story: Scenario) -> None:
    story.step("up -d web")
    story.step("exec web sh -c 'exit 42'", code=42)
    story.step("exec web sh -c 'kill -TERM $$'", code=143)
    story.step("exec web nosuchprogram", err("error[O8-627]", "nosuchprogram: executable not found"), code=127)
    story.step("exec web /etc/passwd", err("error[O8-626]", "cannot execute /etc/passwd"), code=126)
    story.step("exec web", err("needs a command"), code=2)
    story.step("exec needed true", err('service "needed" is not running'), code=125)
    story.step("exec nosuchservice true", err("no such service: nosuchservice"), code=125)


def test_a_large_input_comes_back_whole(story: Scenario) -> None:
    story.step("up -d web")
    text = "".join(random.Random(8).choices("abcdefgh\n", k=3_000_000))
    assert story.run("exec", "web", "cat", stdin=text).out == text
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert story.run("exec", "web", "sha256sum", stdin=text).out.split()[0] == digest
    assert story.run("run", "--rm", "web", "sha256sum", stdin=text).out.split()[0] == digest


def test_run_is_a_container_of_its_own_beside_what_it_needs(story: Scenario) -> None:
    story.step("run --rm job", out("the job\n"), containers("shop-needed-1"), state("needed", "running"), code=5)
    story.step("run --rm --no-deps -w /usr -u daemon -e A=b job sh -c 'pwd; id -un; echo $A'", out("/usr\ndaemon\nb\n"))
    story.step("run --rm --entrypoint 'echo the entry' job and more", out("the entry and more\n"))
    story.step("run --rm job nosuchprogram", err("nosuchprogram: executable not found"), code=127)
    story.step("run --rm job /etc/passwd", err("cannot execute"), code=126)
    story.step("run --rm nosuchservice", err("no such service: nosuchservice"), code=125)
    story.check(containers("shop-needed-1"))
    story.step("run --name kept job", code=5)
    story.check(containers("kept", "shop-needed-1"))
    name = story.step("run -d --no-deps job sleep 1000").out.strip()
    story.check(containers("kept", "shop-needed-1", name))
    story.step("down", err(f"{name} still runs and stays"))
    story.step("down --remove-orphans", containers())


def test_run_on_a_terminal_and_its_signals(terminal: Callable[..., Process], story: Scenario) -> None:
    script = "trap 'echo caught; exit 3' INT; stty size; echo ready; while :; do sleep 0.05; done"
    with terminal("run", "--rm", "web", "sh", "-c", script) as program:
        program.until("20 70\r\nready")
        program.type(b"\x03")
        program.until("caught")
        assert program.end() == 3
    story.check(eventually(containers()))
    with story.engine.start(
        "run",
        "--rm",
        "web",
        "sh",
        "-c",
        "trap 'echo ended; exit 4' TERM; echo ready; sleep 1000 & wait",
        cwd=story.directory,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGTERM)
        assert program.communicate(timeout=20)[0] == "ended\n"
        assert program.returncode == 4
    story.check(eventually(containers()))


def test_a_client_of_run_that_is_killed_leaves_a_container_that_is_removed_at_its_end(story: Scenario) -> None:
    script = "while ! test -e /flags/end; do sleep 0.02; done"
    Path(story.directory, "stack.yml").write_text(STACK + "    volumes: ['./flags:/flags']\n")
    with story.engine.start("run", "--rm", "job", "sh", "-c", f"echo ready; {script}", cwd=story.directory) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        client.kill()
    assert len(story.containers("job")) == 1
    Path(story.directory, "flags/end").touch()
    story.check(eventually(containers("shop-needed-1")))


@pytest.mark.parametrize("flags", [["--rm"], []], ids=["removed", "kept"])
def test_a_client_of_run_outlives_its_engine_and_has_every_byte_and_the_code(story: Scenario, flags: list[str]) -> None:
    script = "while ! test -e /flags/end; do sleep 0.02; done"
    Path(story.directory, "stack.yml").write_text(STACK + "    volumes: ['./flags:/flags']\n")
    words = ["run", *flags, "--no-deps", "job", "sh", "-c", f"echo ready; {script}; echo more; exit 6"]
    with story.engine.start(*words, cwd=story.directory) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        os.kill(story.engine.status()["pid"], signal.SIGKILL)
        Path(story.directory, "flags/end").touch()
        assert client.stdout.read() == "more\n"
        assert client.wait(20) == 6
    if flags:
        story.check(eventually(containers()))


def test_a_program_in_an_exec_ends_with_its_container_and_the_client_is_told(story: Scenario) -> None:
    story.step("up -d web")
    with story.engine.start("exec", "web", "sh", "-c", "echo ready; sleep 1000", cwd=story.directory) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
        story.step("kill web", eventually(exit_code("web", 137)))
        assert client.wait(20) == 137


def test_run_takes_mounts_ports_capabilities_and_variables_from_flags(story: Scenario) -> None:
    here = Path(story.directory)
    (here / "sub").mkdir()
    (here / "sub" / "note").write_text("found\n")
    (here / "some.env").write_text("A=file\nB=file\n")
    told = story.step(
        "run --rm -q -v ./sub:/mnt/sub:ro -e B=flag --env-from-file some.env --cap-drop all --cap-add CAP_CHOWN web sh -c "
        "'cat /mnt/sub/note; echo $A $B $FROM_FILE; grep CapEff /proc/self/status; touch /mnt/sub/x 2>/dev/null || echo read-only'",
    )
    assert told.out == "found\nfile flag 1\nCapEff:\t0000000000000001\nread-only\n"
    assert told.err == ""
    story.step("run -d --name one -p 127.0.0.1::80 web", out("one"))
    story.step("ps", out("127.0.0.1:", "->80/tcp"))
    story.step("run --cap-add CHOWN --cap-drop cap_chown web true", err("both have CHOWN"), code=2)
    story.step("run -P -p 80 web true", err("-p gives ports, and -P takes the service's"), code=2)
    story.step(
        "run -v a:b:c:d --cap-add NOTHING web true",
        err("<command line>:1", "too many colons", "there is no capability `NOTHING`"), code=125,
    )  # fmt: skip
    story.step("run --env-from-file gone.env web true", err("gone.env"), code=125)
    story.step("down --remove-orphans", containers())


def test_run_removes_orphans_when_asked_to_and_answers_to_aliases(scenario: Tell) -> None:
    networks = "networks: {default: {aliases: [known]}}"
    sleeping = "image: rootfs:/, command: sleep infinity, stop_grace_period: 0s"
    scenario(f"services: {{old: {{{sleeping}}}}}").step("up -d")
    story = scenario(f"services: {{web: {{{sleeping}, {networks}}}, asks: {{{sleeping}}}}}")
    story.step("run -d --name plain web")
    story.step("ps", out("old"))
    story.step("run --rm asks getent hosts known", code=2)
    story.step("run -d --name named --use-aliases --remove-orphans web")
    story.step("ps -a", containers("named", "plain"))
    story.step("run --rm asks getent hosts known", out("known"))
    story.step("down --remove-orphans", containers())


def test_a_one_off_is_entered_signalled_and_stopped_by_its_name_and_stays_where_its_stack_goes(scenario: Tell) -> None:
    story = scenario("services: {web: {image: rootfs:/, command: sleep infinity, stop_grace_period: 0s}}")
    story.step("up -d")
    name = story.step("run -d web").out.strip()
    story.step("run -d --rm --name passing web")
    story.step(f"exec {name} hostname")
    story.step(f"pause {name}", state("web", "running", "paused", "running"))
    story.step(f"unpause {name}")
    story.step("kill passing", eventually(containers(name, "shop-web-1")))
    story.step("down", err(f"{name} still runs and stays", "orchestr8 stop NAME"), containers(name))
    story.step(f"stop {name}", err(f"Container {name}  Stopped"))
    story.step("down", containers())
