"""Secrets and configs, from the stack file to the file that a program reads."""

import base64
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, log, out, state
from e2e.scenario import Scenario
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
IDLE = 'image: "rootfs:/", stop_grace_period: 0s, command: sleep infinity'
SECRET = "dont-write-me-anywhere-8231"
STACK = """
services:
  web:
    image: rootfs:/
    stop_grace_period: 0s
    command: sleep infinity
    read_only: true
    tmpfs: /run
    secrets:
      - plain
      - {source: plain, target: key.pem, uid: "1000", gid: "1001", mode: 0440}
      - {source: var, target: /etc/app/deep/token, uid: "7", mode: "0600"}
    configs:
      - said
      - {source: file, target: /opt/app/run.sh, mode: 0755}
      - {source: env, target: relative.txt, gid: "5"}
secrets:
  plain: {file: ./secret.txt}
  var: {environment: TOKEN}
configs:
  said: {content: "level=${LEVEL}\\n"}
  file: {file: run.sh}
  env: {environment: LEVEL}
"""


@pytest.fixture
def shop(scenario: Tell) -> Scenario:
    story = scenario(STACK, environment={"TOKEN": f"{SECRET}-var", "LEVEL": "debug"})
    Path(story.directory, "secret.txt").write_text(SECRET)
    Path(story.directory, "run.sh").write_text("#!/bin/sh\necho it runs\n")
    return story


def in_web(story: Scenario, *words: str) -> str:
    result = story.run("exec", "-T", "web", *words)
    assert result.code == 0, result
    return result.out


def places_with(text: str, *roots: str) -> list[str]:
    """Files below that hold the text or its base64, as they lie on the disk; file systems in memory left out."""
    wanted = [text.encode(), *(base64.b64encode(b"." * offset + text.encode())[4:-4] for offset in range(3))]
    found = []
    for root in roots:
        device = os.stat(root).st_dev
        for folder, folders, names in os.walk(root):
            folders[:] = [each for each in folders if os.lstat(f"{folder}/{each}").st_dev == device]
            for name in names:
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink() and any(each in path.read_bytes() for each in wanted):
                    found.append(str(path))
    return found


def test_each_source_has_its_place_owner_and_mode(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    seen = in_web(
        shop, "stat", "-c", "%n %u %g %a %F", "/run/secrets/plain", "/run/secrets/key.pem", "/etc/app/deep/token",
        "/said", "/opt/app/run.sh", "/relative.txt",
    )  # fmt: skip
    assert seen.splitlines() == [
        "/run/secrets/plain 0 0 444 regular file",
        "/run/secrets/key.pem 1000 1001 440 regular file",
        "/etc/app/deep/token 7 0 400 regular file",
        "/said 0 0 444 regular file",
        "/opt/app/run.sh 0 0 555 regular file",
        "/relative.txt 0 5 444 regular file",
    ]
    assert in_web(shop, "cat", "/run/secrets/plain", "/run/secrets/key.pem", "/etc/app/deep/token") == (
        SECRET + SECRET + SECRET + "-var"
    )
    assert in_web(shop, "cat", "/said", "/relative.txt") == "level=debug\ndebug"
    assert in_web(shop, "/opt/app/run.sh") == "it runs\n"


def test_nothing_of_a_secret_is_on_a_disk_or_in_what_is_shown(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    shop.step("restart", state("web", "running"))
    shop.step("run --rm web cat /run/secrets/plain", out(SECRET))
    for command in ("config", "config --format json", "plan", "plan --format json", "ps --format json", "engine logs"):
        result = shop.step(command)
        assert SECRET not in result.out + result.err
    engine = shop.engine
    assert places_with(SECRET, engine.root, engine.run_dir) == []
    memory = f"{engine.run_dir}/secrets"
    assert subprocess.run(["stat", "-f", "-c", "%T", memory], capture_output=True, text=True, check=True).stdout in {
        "tmpfs\n", "ramfs\n",
    }  # fmt: skip
    assert os.stat(memory).st_mode & 0o7777 == 0o700


def test_a_container_cannot_change_what_it_is_given(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    for words in ("echo x > /run/secrets/plain", "chmod 777 /said", "chown 1 /said", "rm /said", "mv /said /tmp/x"):
        assert shop.run("exec", "-T", "web", "sh", "-c", words).code != 0
    assert in_web(shop, "cat", "/said") == "level=debug\n"


def test_a_changed_content_makes_another_container_and_the_plan_says_which(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    shop.step("plan", err("nothing to do"))
    Path(shop.directory, "secret.txt").write_text(f"{SECRET}-2")
    said = shop.step("plan", out("secrets.plain changed (stack.yml:11)")).out
    assert SECRET not in said
    assert "configs" not in said
    shop.step("up -d", state("web", "running"))
    assert in_web(shop, "cat", "/run/secrets/plain") == f"{SECRET}-2"
    shop.environment["LEVEL"] = "info"
    shop.step("plan", out("configs.env changed", "configs.said changed"))
    shop.step("up -d")
    assert in_web(shop, "cat", "/said", "/relative.txt") == "level=info\ninfo"
    Path(shop.directory, "stack.yml").write_text(STACK.replace('uid: "7"', 'uid: "8"'))
    shop.step("plan", out("secrets.var changed"))


def test_a_crashed_engine_goes_on_without_the_client(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    info = json.loads(shop.step("engine status --format json").out)
    os.kill(info["pid"], 9)
    shop.step("up -d --scale web=2", containers("shop-web-1", "shop-web-2"))
    shop.step("restart", state("web", "running"))
    assert in_web(shop, "cat", "/run/secrets/plain") == SECRET


def test_a_secret_that_a_restart_of_the_machine_took_is_told_and_brought_again(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    shop.step("stop", state("web", "exited"))
    subprocess.run(["umount", "-l", f"{shop.engine.run_dir}/secrets"], check=True)  # as a restart of the machine does
    shop.step("start", err("error[O8-628]", "secret `var` is not there any more", "orchestr8 up"), code=1)
    shop.step("up -d", state("web", "running"))
    assert in_web(shop, "cat", "/run/secrets/plain", "/said") == f"{SECRET}level=debug\n"


def test_down_leaves_no_content_behind(shop: Scenario) -> None:
    shop.step("up -d", state("web", "running"))
    shop.step("down", containers())
    assert not os.path.exists(f"{shop.engine.run_dir}/secrets")
    assert not os.path.exists(f"{shop.engine.root}/contents")


def test_what_is_not_to_be_had_changes_nothing(shop: Scenario) -> None:
    Path(shop.directory, "secret.txt").unlink()
    del shop.environment["TOKEN"]
    said = shop.step("up -d", err("error[O8-406]: file of secret `plain` not found", "stack.yml:18:17"), code=1).err
    assert "variable TOKEN is not set, and secret `var` has its content from it" in said
    shop.step("ps -a")
    assert shop.containers() == []


def test_a_target_that_leads_out_of_the_image_stays_in_it(scenario: Tell, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    story = scenario(f"""
services:
  web:
    {IDLE.replace(", ", chr(10) + "    ")}
    configs:
      - {{source: c, target: {outside}/planted}}
      - {{source: c, target: ../../../../etc/planted}}
configs: {{c: {{content: here}}}}
""")
    story.step("up -d", state("web", "running"))
    assert in_web(story, "cat", f"{outside}/planted", "/etc/planted") == "herehere"
    assert os.listdir(outside) == []
    assert not os.path.exists("/etc/planted")


def test_a_target_that_is_a_link_of_the_image_stays_in_it(scenario: Tell, tmp_path: Path, fresh_image: str) -> None:
    """CVE-2025-9566, and `/run/secrets` itself: nothing of the host is read, made or covered."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "there").write_text("the host's")
    os.mkdir(f"{fresh_image}/run")
    for name, target in (("run/secrets", outside), ("folder", outside), ("file", outside / "there")):
        os.symlink(target, f"{fresh_image}/{name}")
    story = scenario(f"""
services:
  web:
    image: "rootfs:{fresh_image}"
    command: sleep infinity
    stop_grace_period: 0s
    secrets: [s]
    configs: [{{source: c, target: /folder/c}}, {{source: c, target: /file}}]
secrets: {{s: {{file: stack.yml}}}}
configs: {{c: {{content: here}}}}
""")
    story.step("up -d", state("web", "running"))
    assert in_web(story, "cat", "/folder/c", f"{outside}/there") == "herehere"
    assert in_web(story, "ls", str(outside)).split() == ["c", "s", "there"]
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("there", "the host's")]


def test_an_owner_that_is_no_number_and_an_external_secret_are_refused_with_their_place(scenario: Tell) -> None:
    story = scenario(f"""
services:
  web: {{{IDLE}, secrets: [{{source: s, uid: root}}, far]}}
secrets: {{s: {{file: stack.yml}}, far: {{external: true}}}}
""")
    said = story.step("up -d", err("`root` is not the number of a user or group", "stack.yml:3:"), code=1).err
    assert "`secrets.far.external` is not supported yet" in said
    assert story.step("config", log("web")).code == 0
