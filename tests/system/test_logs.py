"""What containers write, read back: stored, followed, cut, across restarts, replicas and rotation."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.checks import err, log, out, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'


def lines_of(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    return (line.rstrip("\n") for line in process.stdout)


def test_followed_logs_go_on_through_restarts_and_take_up_what_comes_later(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: [sh, -c, "echo begun; exec sleep infinity"]}}
  late: {{{IDLE}, command: [sh, -c, "echo late"]}}
""")
    story.step("up -d web")
    with story.engine.start("logs", "-f", cwd=story.directory) as follower:
        lines = lines_of(follower)
        assert next(lines) == "web-1  | begun"
        story.step("restart -t 0 web")
        assert next(lines).startswith("web-1 exited with code 1")
        assert next(lines) == "web-1  | begun"
        story.step("up -d --scale web=2 web")
        assert next(lines) == "web-2  | begun"
        story.step("up -d late --no-recreate")
        assert sorted([next(lines), next(lines)]) == ["late-1  | late", "late-1 exited with code 0"]
        story.step("up -d --force-recreate --scale web=1 web")
        seen = list(itertools.islice(lines, 3))
        assert "web-1   | begun" in [line.replace("web-1  |", "web-1   |") for line in seen]
        story.step("stop -t 0")
        assert list(lines)[-1].startswith("web-1 exited with code 1")
    assert follower.returncode == 0, "nothing runs any more"


def test_each_run_and_each_replica_is_told_apart(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: [sh, -c, "echo out; echo err >&2; printf unfinished"], scale: 2}}
  longer-name: {{{IDLE}, command: echo hello}}
""")
    story.step("up -d", eventually(state("web", "exited")), eventually(state("longer-name", "exited")))
    said = story.step("logs").out
    assert sorted(said.splitlines()) == sorted(
        [f"web-{number}          | {text}" for number in (1, 2) for text in ("out", "err", "unfinished")]
        + ["longer-name-1  | hello"]
    )
    assert story.step("logs --no-log-prefix longer-name").out == "hello\n"
    assert story.step("logs --no-log-prefix --tail 1 web").out == "unfinished\nunfinished"
    assert story.step("logs --tail 0").out == ""
    assert story.step("logs --index 2 web").out.splitlines() == [
        f"web-2  | {text}" for text in ("out", "err", "unfinished")
    ]
    story.step("logs --index 3 web", err("no container 3 of service web", "help: it has #1, #2"), code=1)
    story.step("logs --index 1", err("--index needs one service"), code=2)
    story.step("logs nosuchservice", code=1)
    story.step("logs --tail many", code=2)
    story.step("start", eventually(log("web", "out", "out", "out", "out")))


def test_an_attached_up_shows_each_line_once_and_marks_those_of_stderr(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, command: [sh, -c, "echo out; echo err >&2; echo out again; printf unfinished >&2"]}}
  job: {{{IDLE}, command: [sh, -c, "echo hello >&2"]}}
""")
    ends = ["job-1 exited with code 0", "web-1 exited with code 0"]
    said = story.step("up").out.splitlines()
    lines = ["web-1  | out", "web-1  | out again", "web-1 !| err", "web-1 !| unfinished", "job-1 !| hello"]
    assert sorted(said) == sorted(lines + ends)
    said = story.step("up --no-log-prefix --force-recreate").out.splitlines()
    assert sorted(said) == sorted(["out", "err", "out again", "unfinished", "hello", *ends])
    said = story.step("--ansi always up --force-recreate").out.splitlines()
    assert any(re.fullmatch(r"\x1b\[3\dmweb-1 !\| \x1b\[0merr", line) for line in said)


def test_a_container_is_chosen_by_the_name_that_ps_shows(scenario: Tell) -> None:
    """One of a service, and what `run` made, which is no service's number."""
    story = scenario(f"""
services:
  web: {{{IDLE}, command: [sh, -c, "echo web; exec sleep infinity"], scale: 2}}
""")
    story.step("up -d", eventually(log("web", "web", "web")))
    name = story.step("run -d web echo alone").out.strip()
    story.step(f"wait {name}")
    short = name.removeprefix("shop-")
    assert story.step(f"logs {name}").out == f"{short}  | alone\n"
    assert story.step(f"logs -f {name}").out == f"{short}  | alone\n"
    assert story.step("logs --no-log-prefix shop-web-2").out == "web\n"
    assert sorted(story.step(f"logs --no-log-prefix shop-web-1 {name}").out.split()) == ["alone", "web"]
    story.step(f"logs {name}x", err("no such service", f"did you mean `{name}`?"), code=1)
    story.step(f"wait {name} shop-web-9", err("no such service: shop-web-9"), code=1)
    story.step("exec -T shop-web-2 sh -c 'echo two > /srv/own'")
    assert "A /srv/own" in story.step("diff shop-web-2").out
    assert "A /srv/own" not in story.step("diff shop-web-1").out
    figures = story.step("stats --no-stream --format json shop-web-2").out.splitlines()
    assert [json.loads(each)["Name"] for each in figures] == ["shop-web-2"]
    story.step("kill shop-web-2")
    story.step("wait shop-web-2", out("shop-web-2 exited with status code 137"), code=137)
    assert [json.loads(each)["Name"] for each in story.step("ps --format json").out.splitlines()] == ["shop-web-1"]
    story.step("exec shop-web-2 true", err('container "shop-web-2" is not running'), code=125)


def test_times_are_those_of_the_lines(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: [sh, -c, 'echo one; sleep 0.3; echo two']}}}}")
    story.step("up -d", eventually(state("web", "exited")))
    found = [line.split(" ", 1) for line in story.step("logs --timestamps --no-log-prefix").out.splitlines()]
    assert [text for _, text in found] == ["one", "two"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", time) for time, _ in found)
    assert story.step(f"logs --no-log-prefix --since {found[1][0]}").out == "two\n"
    assert story.step("logs --no-log-prefix --since 1h").out == "one\ntwo\n"
    assert story.step("logs --no-log-prefix --since 0s").out == ""
    assert story.step(f"logs --no-log-prefix --until {found[0][0]}").out == "one\n"
    assert story.step("logs --no-log-prefix --until 1h").out == ""
    assert story.step(f"logs -f --no-log-prefix --until {found[0][0]}").out == "one\n"
    assert story.step("logs --no-log-prefix --tail -1").out == "one\ntwo\n"


def test_logs_rotate_and_are_followed_and_read_across_the_files(scenario: Tell) -> None:
    """25 MB: two files are full, and a third has the rest."""
    count, width = 250_000, 100
    story = scenario(f"""
services:
  web:
    {{{IDLE}, volumes: ["./flags:/flags"], command: [sh, -c, "echo 0; until test -e /flags/go; do sleep 0.02; done; seq -f '%0{width - 1}.0f' {count}"]}}
""")
    story.step("up -d")
    with story.engine.start("logs", "-f", "--no-log-prefix", cwd=story.directory) as follower:
        assert next(lines_of(follower)) == "0"
        Path(story.directory, "flags/go").touch()
        followed = follower.communicate(timeout=50)[0].splitlines()
    assert len(followed) == count + 1
    assert followed[-1] == "web-1 exited with code 0"
    assert [int(line) for line in followed[:-1]] == list(range(1, count + 1))
    stored = [int(line) for line in story.step("logs --no-log-prefix").out.splitlines()]
    assert stored == list(range(stored[0], count + 1)), "what is still there is whole"
    assert len(stored) * width > 10 * 2**20, "and more than one file"
    folder = Path(story.engine.root, "containers", story.engine.ask("/stacks/shop/containers", all=1)[0]["id"], "log")
    names = {file.name.removesuffix(".gz") for file in folder.iterdir()}
    assert names - {"current.log.packing"} == {"current.log", "current.log.1", "current.log.2"}
    assert (folder / "current.log").stat().st_size <= 10 * 2**20
    assert [int(line) for line in story.step("logs --no-log-prefix --tail 3").out.splitlines()] == stored[-3:]


def test_a_log_is_written_and_followed_on_though_somebody_removes_its_directory(scenario: Tell) -> None:
    """What was written until then is gone, and what comes within a second of it, perhaps."""
    story = scenario(f"""
services:
  web:
    {{{IDLE}, command: [sh, -c, "i=0; while :; do i=$$((i+1)); echo $$i; sleep 0.02; done"]}}
""")
    story.step("up -d")
    folder = Path(story.engine.root, "containers", story.engine.ask("/stacks/shop/containers")[0]["id"], "log")
    with story.engine.start("logs", "-f", "--no-log-prefix", cwd=story.directory) as follower:
        seen = []
        for number in map(int, lines_of(follower)):
            seen.append(number)
            if number == 20:
                shutil.rmtree(folder)
            if number >= 200:
                break
        assert seen == sorted(set(seen))
        follower.kill()
    assert int(story.step("logs --no-log-prefix --tail 1").out) >= 200


def test_colours_are_for_terminals_and_on_demand(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: echo hello}}}}")
    story.step("up -d", eventually(log("web", "hello")))
    assert story.step("logs").out == "web-1  | hello\n"
    assert story.step("--ansi always logs").out == "\x1b[36mweb-1  | \x1b[0mhello\n"
    assert story.step("--ansi always logs --no-color").out == "web-1  | hello\n"


def test_an_attached_up_merges_the_logs_and_ends_with_the_last_program(scenario: Tell) -> None:
    story = scenario(f"""
services:
  first: {{{IDLE}, command: [sh, -c, "echo one; exit 3"]}}
  second: {{{IDLE}, command: [sh, -c, "echo two"], depends_on: {{first: {{condition: service_started}}}}}}
""")
    with story.engine.start("up", "--timestamps", cwd=story.directory) as up:
        said = up.communicate(timeout=20)[0].splitlines()
    assert up.returncode == 0
    shown = [re.sub(r"\d{4}-\S+Z ", "", line) for line in said]
    assert sorted(shown) == [
        "first-1   | one", "first-1 exited with code 3", "second-1  | two", "second-1 exited with code 0",
    ]  # fmt: skip
    with story.engine.start("up", "--no-log-prefix", "second", cwd=story.directory) as up:
        assert up.communicate(timeout=20)[0] == "two\nsecond-1 exited with code 0\n", "those that were named"


def test_who_leaves_a_followed_log_leaves_the_stack_as_it_is(scenario: Tell) -> None:
    story = scenario(f"services: {{web: {{{IDLE}, command: [sh, -c, 'echo begun; exec sleep infinity']}}}}")
    with story.engine.start("up", cwd=story.directory) as up:
        assert next(lines_of(up)) == "web-1  | begun"
        with story.engine.start("logs", "-f", cwd=story.directory) as follower:
            assert next(lines_of(follower)) == "web-1  | begun"
            follower.send_signal(signal.SIGINT)
            assert follower.wait(20) == 130
        up.send_signal(signal.SIGQUIT)
        assert "detached: shop goes on" in up.communicate(timeout=20)[1]
        assert up.returncode == 0
    story.step("ps", out("Up"))


def test_a_container_that_logs_nothing_says_so_and_runs(scenario: Tell) -> None:
    story = scenario(f"""
services:
  quiet: {{{IDLE}, command: [sh, -c, "echo unheard; exec sleep infinity"], logging: {{driver: none}}}}
  web: {{{IDLE}, command: [sh, -c, "echo heard; exec sleep infinity"]}}
""")
    story.step("up -d", state("quiet", "running"), eventually(log("web", "heard")))
    story.step("logs quiet", err("quiet-1: the logging driver `none` keeps nothing that could be read"), code=1)
    assert sorted(story.step("logs").out.splitlines()) == [
        "quiet-1 has a logging driver that keeps nothing here",
        "web-1    | heard",
    ]
    assert list(Path(story.engine.root).glob("containers/*/log/*")) != []
    story.step("down")


def test_every_line_is_followed_through_rotation_compression_and_the_engines_death(scenario: Tell) -> None:
    """The engine is killed again and again while a container writes as fast as it can, and the follower lags, in the end
    when the container's run is over: each line is seen once, and the end.
    """
    count = 400_000
    story = scenario(f"""
services:
  web:
    image: "rootfs:/"
    stop_grace_period: 0s
    logging: {{driver: json-file, options: {{max-size: 1m, max-file: 100, compress: "true"}}}}
    volumes: ["./flags:/flags"]
    command:
      - sh
      - -c
      - |
        until_there() {{ until test -e /flags/$$1; do sleep 0.02; done; }}
        echo 0; until_there go; seq -f %.0f 1000001 {1_000_000 + count}; echo err >&2; exit 3
""")
    story.step("up -d")
    folder = Path(story.engine.root, "containers", story.engine.ask("/stacks/shop/containers", all=1)[0]["id"], "log")
    with story.engine.start("logs", "-f", "--no-log-prefix", cwd=story.directory) as follower:
        lines = lines_of(follower)
        assert next(lines) == "0"
        Path(story.directory, "flags/go").touch()
        for number in range(1, count + 1):
            assert next(lines) == str(1_000_000 + number)
            if number in (1000, 200_000, count - 1000):
                # Asked of the engine after the one that was killed, for the lines that the follower has suffice for a while.
                story.step("ps -a", *([eventually(state("web", "exited"))] if number > 200_000 else []))
                os.kill(story.engine.status()["pid"], signal.SIGKILL)
        assert next(lines) == "err"
        assert next(lines) == "web-1 exited with code 3"
        assert list(lines) == []
    assert len(list(folder.iterdir())) > 10
    stored = story.step("logs --no-log-prefix").out.splitlines()
    assert stored == ["0", *(str(1_000_000 + number) for number in range(1, count + 1)), "err"]


def test_what_is_written_at_full_speed_is_followed_over_the_engines_death(scenario: Tell) -> None:
    """400 MB, as fast as the container is let; the limits keep all of it, so each line is accounted for."""
    count, width = 400_000, 1000
    story = scenario(f"""
services:
  web:
    image: "rootfs:/"
    stop_grace_period: 0s
    logging: {{driver: local, options: {{max-size: 20m, max-file: 30, compress: "false"}}}}
    volumes: ["./flags:/flags"]
    command: [sh, -c, "echo 0; until test -e /flags/go; do sleep 0.02; done; seq -f '%0{width - 1}.0f' {count}"]
""")
    story.step("up -d")
    folder = Path(story.engine.root, "containers", story.engine.ask("/stacks/shop/containers", all=1)[0]["id"], "log")
    with story.engine.start("logs", "-f", "--no-log-prefix", cwd=story.directory) as follower:
        lines = lines_of(follower)
        assert next(lines) == "0"
        engine = story.engine.status()["pid"]
        Path(story.directory, "flags/go").touch()
        for number in range(1, count + 1):
            assert next(lines) == f"{number:0{width - 1}}"
            if number == count // 4:
                os.kill(engine, signal.SIGKILL)
        assert list(lines) == ["web-1 exited with code 0"]
    assert len(list(folder.iterdir())) == -(-count * (width + 46) // (20 * 2**20)), "it was rotated"


@pytest.mark.parametrize(("form", "pause"), [("lines", "sleep 0.09"), ("json", "true")])
def test_each_line_that_rotation_takes_from_a_follower_is_told(scenario: Tell, form: str, pause: str) -> None:
    """A gigabyte, at 100 MB/s or as fast as the container is let, of which two files of 1 MiB are kept. The engine is killed
    again and again, and each time its follower is not read for a while: what was shown and what was told as lost is what
    was written.
    """
    count, width = 1_000_000, 1000
    story = scenario(f"""
services:
  web:
    image: "rootfs:/"
    stop_grace_period: 0s
    logging: {{driver: local, options: {{max-size: 1m, max-file: 2, compress: "false"}}}}
    volumes: ["./flags:/flags"]
    command:
      - sh
      - -c
      - |
        echo 0; until test -e /flags/go; do sleep 0.02; done
        for part in $$(seq 0 99); do seq -f '%0{width - 1}.0f' $$((part * 10000 + 1)) $$((part * 10000 + 10000)); {pause}; done
""")
    story.step("up -d")
    options = ["--format", "json"] if form == "json" else ["--no-log-prefix"]
    shown, lost, seen, kills = 0, 0, 0, 0
    with story.engine.start("logs", "-f", *options, cwd=story.directory) as follower:
        assert follower.stderr is not None
        lines = lines_of(follower)
        assert "0" in next(lines)
        Path(story.directory, "flags/go").touch()
        for line in lines:
            told = json.loads(line) if form == "json" else {"message": line, "stream": "stdout"}
            if told["stream"] == "engine":
                lost += told["lost_lines"]
                continue
            if line == "web-1 exited with code 0":
                continue
            number = int(told["message"])
            assert told["message"] == f"{number:0{width - 1}}", "whole"
            assert number > seen, "in order, and once"
            seen = number
            shown += 1
            if shown // 5000 > kills < 4:
                kills += 1
                os.kill(story.engine.status()["pid"], signal.SIGKILL)
                story.step("ps -a")  # asked of the next engine, while nobody reads what the follower has
        said = follower.stderr.read().splitlines()
    lost += sum(int(line.removeprefix("web-1: ").partition(" ")[0]) for line in said)
    assert (seen, shown + lost) == (count, count)
    assert kills > 0
    assert lost > 0
    assert follower.returncode == 0


def test_an_attached_up_that_is_not_read_tells_what_it_has_missed(scenario: Tell) -> None:
    """No engine dies here: its client is slow, and of the file that it holds open the successors are gone."""
    count = 300_000
    story = scenario(f"""
services:
  web:
    image: "rootfs:/"
    stop_grace_period: 0s
    logging: {{options: {{max-size: 100k, max-file: 2}}}}
    volumes: ["./flags:/flags"]
    command: [sh, -c, "echo 0; until test -e /flags/go; do sleep 0.02; done; seq 1000001 {1_000_000 + count}"]
""")
    with story.engine.start("up", "--no-log-prefix", cwd=story.directory) as up:
        assert next(lines_of(up)) == "0"
        Path(story.directory, "flags/go").touch()
        story.step("wait web")
        said, told = up.communicate(timeout=40)
    *shown, end = said.splitlines()
    assert end == "web-1 exited with code 0"
    assert shown == sorted(set(shown)), "each once"
    assert shown[-1] == str(1_000_000 + count)
    lost = [int(found[1]) for found in re.finditer(r"^web-1: (\d+) lines? w.* lost to rotation", told, re.MULTILINE)]
    assert lost
    assert len(shown) + sum(lost) == count
