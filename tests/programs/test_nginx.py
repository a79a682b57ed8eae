"""nginx serves a folder of this machine as www-data on port 80, and behind a proxy that is begun as root."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, exit_code, health, log, no_page, out, page, state
from e2e.programs.checks import confined, kill_main, nothing_left
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
CLIENT = "run --rm -T client curl --fail --silent --show-error"
PAGE = "http://127.0.0.1:8080/"
MAY = 1 << 0 | 1 << 6 | 1 << 7  # CAP_CHOWN, CAP_SETGID, CAP_SETUID: <linux/capability.h>


def test_nginx_serves_and_is_started_again(program: Tell) -> None:
    story = program("nginx")
    story.step(
        "up -d --wait",
        health("site", "healthy"),
        health("proxy", "healthy"),
        confined("site", user="www-data", memory_bytes=64 << 20, pids=16),
        confined("proxy", user="root", memory_bytes=64 << 20, pids=16, capabilities=MAY),
        page(PAGE, "Served by nginx"),
    )
    story.step(f"{CLIENT} http://site/", out("Served by nginx"))
    story.step(f"{CLIENT} http://proxy/", out("Served by nginx"), eventually(log("site", "GET / HTTP/1")))
    story.step(f"{CLIENT} http://proxy/none", code=22)
    workers = "grep -h ^Uid $(grep -l 'worke[r] process' /proc/[0-9]*/cmdline | sed s/cmdline/status/)"
    assert story.step(shlex.join(["exec", "-T", "proxy", "sh", "-c", workers])).out.count("\t33\t33\t33\t33\n") == 2

    Path(story.directory, "pages", "index.html").write_text("another page\n", encoding="utf-8")
    story.step(f"{CLIENT} http://proxy/", out("another page"))

    for service in ("site", "proxy"):
        kill_main(story, service)
    story.check(eventually(page(PAGE, "another page")))

    story.step("stop", state("site", "exited"), exit_code("site", 0), exit_code("proxy", 0), no_page(PAGE))
    story.step("down -v", containers(), nothing_left)


def test_nginx_reads_its_configuration_anew_on_sighup(program: Tell) -> None:
    story = program("nginx")
    story.step("up -d --wait", page(PAGE, "Served by nginx"))
    site = Path(story.directory, "site.conf")
    site.write_text(site.read_text(encoding="utf-8").replace('"well\\n"', '"better\\n"'), encoding="utf-8")
    story.step("kill -s HUP site", state("site", "running"))
    story.check(
        eventually(
            lambda told, _: out("better")(told, told.run("exec", "-T", "site", "curl", "-s", "127.0.0.1/health"))
        )
    )
    story.step("down -v", containers(), nothing_left)
