"""Every example from `up` to `down -v`, as root, with a check of what it is there to show."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.checks import containers, err, exit_code, file, health, log, no_page, out, page, state
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
PAGE = "http://127.0.0.1:8080/"


def test_the_quickstart_serves_its_page_and_its_worker_is_started_again(scenario: Tell) -> None:
    story = scenario(example="quickstart", environment={"WORKER_PAUSE_S": "0.1"})
    story.step(
        "up -d --wait",
        err(PAGE.rstrip("/")),
        health("web", "healthy"),
        health("api", "healthy"),
        health("store", "healthy"),
        state("migrate", "exited"),
        exit_code("migrate", 0),
        log("migrate", "schema 0 -> 1"),
        page(PAGE, "Hello from orchestr8", "visitor number 1."),
        page(PAGE, "visitor number 2."),
        eventually(log("worker", "job 2 done", "job 3 broke it", "job 4 done, 3 so far")),
    )


def test_the_quickstart_remembers_its_visitors_until_its_volume_is_removed(scenario: Tell) -> None:
    story = scenario(example="quickstart", environment={"WEB_PORT": "9000"})
    address = "http://127.0.0.1:9000/"
    story.step("up -d --wait", page(address, "visitor number 1."))
    story.step("down", containers(), no_page(address))
    story.step("up -d --wait", log("migrate", "has schema 1 already"), page(address, "visitor number 2."))
    story.step("down -v", containers())
    story.step("up -d --wait", log("migrate", "schema 0 -> 1"), page(address, "visitor number 1."))


def test_the_volumes_hold_what_they_promise(scenario: Tell) -> None:
    story = scenario(example="volumes")
    expected = (
        "settings: hello from the host\n",
        "settings: Read-only file system\n",
        "starts: 1\n",
        "licences: True\n",
        "scratch: 1024 KiB, mode 700, holds []\n",
        "reports: written\n",
    )
    story.step("up -d", eventually(log("counter", *expected)), file("reports/last.txt", "start number 1\n"))
    story.step("restart", eventually(log("counter", "starts: 2\n", "scratch: 1024 KiB, mode 700, holds []\n")))
    story.step("down")
    story.step("up -d", eventually(log("counter", "starts: 3\n")))
    story.step("down -v")
    story.step("up -d", eventually(log("counter", "starts: 1\n")))


def test_secrets_and_configs_come_to_their_places_and_a_changed_one_is_named(scenario: Tell) -> None:
    story = scenario(example="secrets", environment={"LEVEL": "debug"})
    expected = (
        "signer at your service\n",
        "/run/secrets/signing-key: -r--------, of 1000:1000\n",
        "/etc/signer/database: -r--r-----, of 0:1000\n",
        "level debug, database at db/keys\n",
        "in the environment: False\n",
    )
    story.step("up -d", eventually(log("signer", *expected, "hello is signed c219a5a50bccdf10\n")))
    story.step("config", lambda _, result: "shown" if "only-a-demo" in result.out else "")
    Path(story.directory, "keys", "signing.key").write_text("another\n", encoding="utf-8")
    story.step("plan", out("secrets.signing-key changed"), lambda _, result: "shown" if "another" in result.out else "")
    story.step("up -d", eventually(log("signer", "hello is signed 977e514a4444e09f\n")))
    story.step("down", containers())


def test_a_service_starts_when_the_one_it_needs_is_healthy(scenario: Tell) -> None:
    story = scenario(example="healthchecks")
    story.step("up -d", health("search", "healthy"), eventually(log("shop", "the search answers at once: 3 results")))


def test_a_service_that_cannot_work_is_seen_to_be_unhealthy_until_it_can(scenario: Tell) -> None:
    story = scenario(example="healthchecks")
    story.step("up -d --wait", health("search", "healthy"))
    story.step("exec search touch /tmp/maintenance", eventually(health("search", "unhealthy")))
    story.step("ps", out("(unhealthy)"))
    story.step("exec search rm /tmp/maintenance", eventually(health("search", "healthy")))


def test_a_syslog_server_gets_what_is_written_while_it_is_away(scenario: Tell) -> None:
    story = scenario(example="logging")
    story.step(
        "up -d --wait",
        eventually(
            log("collector", "logging-shop-1 info: order 1 is delivered", "info: order 4", "error: order 5 is lost")
        ),
        log("shop", "order 1 is delivered", "order 5 is lost"),
    )
    story.step("stop collector")
    written = len(story.logs("shop").splitlines())
    story.check(eventually(log("shop", f"order {written + 3} ")))
    story.step("start collector", eventually(log("collector", f"order {written + 2} ", f"order {written + 3} ")))
    assert "were not sent" not in story.logs("shop")
    story.step("stop shop collector")
    story.step("start shop", state("shop", "running"))  # who has run once is not kept down by its log
    story.step("start collector", eventually(log("collector", "info: order 1 is", "info: order 1 is")))


def test_limits_are_felt_and_named(scenario: Tell) -> None:
    story = scenario(example="limits")
    story.step("up -d", eventually(state("leak", "exited")))
    story.step("ps -a", out("Exited (137)", ", out of memory: 48M limit"))
    story.step("logs leak", out("8 MiB", "32 MiB"))
    story.step("logs steady", out("open files: 64", "victim's score: 100"))
