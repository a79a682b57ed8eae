"""Keys of the stack file that a program sees: what it is, where it stands, who it is, what it is called."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, log, out, state
from e2e.engine import Engine, Result
from e2e.scenario import Scenario, eventually
from orchestr8.kernel import capabilities
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'


def test_a_program_finds_its_words_variables_place_user_and_host(scenario: Tell) -> None:
    story = scenario(
        """
services:
  web:
    image: rootfs:/
    entrypoint: [python3, -c, "import json, os, socket, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), os.getuid(), os.getgid(), socket.gethostname(), os.getppid(), open('/etc/hosts').read()]))"]
    command: a "b c" $$d ${FROM_DOTENV}
    environment:
      - GIVEN=here
      - PASSED
      - EMPTY=
      - ABSENT
    env_file: [first.env, {path: second.env}, {path: absent.env, required: false}]
    working_dir: /usr/share
    user: "daemon:adm"
    hostname: chosen
""",
        environment={"PASSED": "on"},
    )
    Path(story.directory, ".env").write_text("FROM_DOTENV=interpolated\n")
    Path(story.directory, "first.env").write_text("FILE=first\nONLY_FIRST=yes\nGIVEN=overridden\n")
    Path(story.directory, "second.env").write_text("FILE=second\nQUOTED='$not'\n")
    story.step("up -d", eventually(state("web", "exited")))
    words, variables, place, uid, gid, host, parent, hosts = json.loads(story.logs("web"))
    assert words == ["a", "b c", "$d", "interpolated"]
    assert {name: variables.get(name) for name in ("GIVEN", "PASSED", "EMPTY", "FILE", "ONLY_FIRST", "QUOTED")} == {
        "GIVEN": "here", "PASSED": "on", "EMPTY": "", "FILE": "second", "ONLY_FIRST": "yes", "QUOTED": "$not",
    }  # fmt: skip
    assert variables["HOSTNAME"] == host == "chosen"
    assert variables["HOME"] == "/usr/sbin"
    assert not {"ABSENT", "FROM_DOTENV", "ORCHESTR8_ROOT", "PYTHONPATH"} & variables.keys()
    assert (place, uid, gid, parent) == ("/usr/share", 1, 4, 1)
    assert "\tchosen\n" in hosts


def test_the_reaper_is_there_unless_it_is_not_wanted(scenario: Tell) -> None:
    show = "sh -c 'cat /proc/1/comm; echo $$$$; exec sleep infinity'"
    story = scenario(f"""
services:
  usual: {{{IDLE}, command: {show}}}
  alone: {{{IDLE}, command: {show}, init: false}}
""")
    story.step("up -d", eventually(log("usual", "\n2\n")), eventually(log("alone", "sh\n1\n")))


def test_names_labels_and_numbers_are_composes(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: sleep infinity, labels: {{team: shop}}, scale: 2}}
  named: {{{IDLE}, command: sleep infinity, container_name: chosen}}
""")
    story.step("up -d", containers("chosen", "shop-web-1", "shop-web-2"))
    labels = dict(each.split("=", 1) for each in story.containers("web")[1]["Labels"].split(","))
    prefix = "com.docker.compose."
    assert labels["team"] == "shop"
    assert {name: labels[prefix + name] for name in ("project", "service", "container-number", "oneoff")} == {
        "project": "shop", "service": "web", "container-number": "2", "oneoff": "False",
    }  # fmt: skip
    assert labels[prefix + "project.working_dir"] == story.directory
    story.step("ps -q", lambda _, result: "" if len(result.out.split()) == 3 else result.out)
    found = json.loads(story.step("ps --format json named").out)
    assert (found["Name"], found["Service"], found["State"], found["Project"]) == ("chosen", "named", "running", "shop")


def test_profiles_keep_services_out_until_they_are_asked_for(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: sleep infinity}}
  debug: {{{IDLE}, command: sleep infinity, profiles: [debug]}}
  extra: {{{IDLE}, command: sleep infinity, profiles: [extra]}}
""")
    story.step("up -d", containers("shop-web-1"))
    story.step("--profile debug up -d", containers("shop-debug-1", "shop-web-1"))
    story.step("up -d extra", containers("shop-debug-1", "shop-extra-1", "shop-web-1"))
    story.step("down", containers())


def test_a_file_that_is_wrong_changes_nothing_and_says_all_that_is_wrong(scenario: Tell) -> None:
    good = f"services: {{web: {{{IDLE}, command: sleep infinity}}}}"
    story = scenario(good)
    story.step("up -d", state("web", "running"))
    story = scenario(
        "services:\n  web:\n    image: rootfs:/\n    comand: x\n    gpus: all\n    depends_on: [databse]\n"
    )
    said = story.step("up -d", code=1).err
    assert said.count("error[") == 3
    assert all(each in said for each in ("stack.yml:4:5", "did you mean `command`?", "stack.yml:5:5", "stack.yml:6:18"))
    story.step("ps", out("shop-web-1"))
    scenario("services:\n  a: {image: 'rootfs:/', depends_on: [b]}\n  b: {image: 'rootfs:/', depends_on: [a]}\n")
    story.step("up -d", err("stack.yml:2:39", "1: a waits for b", "2: b waits for a"), code=1)
    scenario("services: {web: {image: 'docker.io/nginx'}}")
    story.step("up -d", err("rootfs:"), code=1)
    story.step("up --no-such-flag", err("--no-such-flag"), code=2)
    scenario(good)
    story.step("up -d", state("web", "running"))
    assert [each["RunningFor"] for each in story.containers()]


def test_files_and_names_are_found_as_compose_finds_them(engine: Engine, tmp_path: Path) -> None:
    service = f"services: {{web: {{{IDLE}, command: sleep infinity}}}}"
    for folder, name in (("one", "compose.yaml"), ("two", "docker-compose.yml"), ("three/deep", "")):
        (tmp_path / folder).mkdir(parents=True)
        if name:
            (tmp_path / folder / name).write_text(service)
    (tmp_path / "three/stack.yml").write_text(service)

    def run(folder: str, *words: str) -> Result:
        return engine.run(*words, cwd=str(tmp_path / folder))

    for folder, stack in (("one", "one"), ("two", "two"), ("three/deep", "three")):
        assert run(folder, "up", "-d").code == 0
        assert f"{stack}-web-1" in run(folder, "ps").out
    assert sorted(engine.stacks()) == ["one", "three", "two"]
    assert run("one", "-p", "other", "up", "-d").code == 0
    (tmp_path / "more.yml").write_text("services: {web: {environment: {MORE: '1'}}}")
    both = ("-f", "compose.yaml", "-f", str(tmp_path / "more.yml"), "--project-directory", str(tmp_path / "one"))
    assert "environment.MORE " in run("one", *both, "plan").out
    assert json.loads(run("one", *both, "config", "--format", "json").out)["services"]["web"]["environment"] == {
        "MORE": "1"
    }
    for name in ("one", "two", "three", "other"):
        assert run("/", "-p", name, "down").code == 0
    assert engine.stacks() == []


def test_what_is_not_there_is_named(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: sleep infinity}}}}")
    for command in ("start", "restart"):
        story.step(command, err('no container found for project "shop"', "`up` creates and starts it"), code=1)
    story.step("stop")
    story.step("kill")
    story.step("logs")
    story.step("ps", out("NAME"))
    story.step("down")
    story.step("exec web true", err('service "web" is not running'), code=125)
    story.step("start nosuchservice", err("no such service: nosuchservice"), code=1)


def test_strict_makes_warnings_errors_and_unset_variables_warn(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: echo $UNSET}}}}")
    story.step("up -d", err("warning", "UNSET"))
    story.step("--strict up -d", err("error", "UNSET"), code=1)


def test_versions_are_told_with_and_without_an_engine(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}}}}}")
    alone = json.loads(story.step("version --format json").out)
    assert (alone["engine"], story.engine.status()["state"]) == (None, "stopped")
    story.step("engine start")
    both = json.loads(story.step("version --format json").out)
    assert both["engine"]["Version"] == story.engine.status()["version"]
    assert story.step("version --short").out.strip() == story.engine.status()["version"]


def test_lack_of_memory_is_named_wherever_somebody_looks(scenario: Tell) -> None:
    greedy = '[python3, -c, "import os; held = [os.urandom(1 << 20) for _ in range(256)]"]'
    story = scenario(f"""
services:
  web: {{{IDLE}, command: {greedy}, mem_limit: 32m, memswap_limit: 32m}}
  after: {{{IDLE}, command: "true", depends_on: {{web: {{condition: service_completed_successfully}}}}}}
""")
    why = "out of memory: 32M limit"
    story.step("up -d", code=1)
    told = story.step("ps -a")
    assert f", {why}" in told.out
    assert "Exited (137)" in told.out
    assert f"web-1 exited with code 137, {why}" in story.run("up", "web").out
    assert f"exited with code 137, {why}" in story.step("plan web").out
    assert f"exited with code 137, {why}" in story.step("run --rm web", code=137).err


def test_what_this_machine_cannot_do_is_one_line(scenario: Tell) -> None:
    """v2 knows no swappiness of groups, and a score below what the engine has takes a right."""
    limits = "mem_swappiness: 10, oom_score_adj: -900"
    story = scenario(f"services: {{web: {{{IDLE}, command: sleep infinity, {limits}}}}}")
    told = story.step("up -d", state("web", "running")).err.splitlines()
    lacks = [line.partition(" is not in force: ")[0] for line in told if "is not in force" in line]
    may = capabilities.read().effective & capabilities.mask(["CAP_SYS_RESOURCE"])
    expected = [] if may else ["oom_score_adj -900"]
    if not os.path.exists("/sys/fs/cgroup/memory"):
        expected.insert(0, "mem_swappiness 10")
    assert lacks == [f"warning: shop-web-1: {each}" for each in expected]
    once = story.step("run --rm web true").err.splitlines()
    assert [line.partition(" is not in force: ")[0] for line in once if "is not in force" in line] == [
        f"warning: {each}" for each in expected
    ]
