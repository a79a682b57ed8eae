"""`stats` of real containers: that it counts what they do."""

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from e2e.checks import containers
from e2e.engine import Result
from e2e.scenario import Scenario, eventually
from tests.requires import requires

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
STACK = """
services:
  busy: {image: "rootfs:/", command: [bash, -c, "while :; do :; done"], cpus: 0.2, stop_grace_period: 0s}
  calm: {image: "rootfs:/", command: sleep infinity, mem_limit: 64m, pids_limit: 20, stop_grace_period: 0s}
  done: {image: "rootfs:/", command: "true"}
"""


def read(story: Scenario, service: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(story.step(f"stats --no-stream --format json {service}").out)
    return found


def test_what_containers_use_is_told(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d", containers("shop-busy-1", "shop-calm-1", "shop-done-1"))

    def throttled(each: Scenario, _: Result) -> str:
        line = json.loads(each.run("stats", "--no-stream", "--format", "json", "busy").out)
        counts = line["Stats"]["cpu_stats"]
        return "" if counts["throttling_data"]["throttled_time"] and counts["cpu_usage"]["total_usage"] else str(line)

    story.check(eventually(throttled))
    calm = read(story, "calm")
    assert calm["Stats"]["memory_stats"]["limit"] == 64 << 20
    assert 0 < calm["Stats"]["memory_stats"]["usage"] < 64 << 20
    assert calm["Stats"]["pids_stats"] == {"current": 2, "limit": 20, "refused": 0}, "PID 1 and `sleep`"
    assert list(calm["Stats"]["networks"]) == ["eth0"]
    listed = story.step("stats --no-stream -a").out.splitlines()
    assert [line.split()[1] for line in listed[1:]] == ["shop-busy-1", "shop-calm-1", "shop-done-1"]
    assert len(story.step("stats --no-stream").out.splitlines()) == 3


def test_what_rests_is_told_and_what_ends_meanwhile_is_left_out(scenario: Tell) -> None:
    story = scenario("""
services:
  calm: {image: "rootfs:/", command: sleep infinity, stop_grace_period: 0s}
  brief: {image: "rootfs:/", command: sleep 0.05, restart: always, scale: 5, stop_grace_period: 0s}
""")
    story.step("up -d")
    story.step("pause calm")
    for _ in range(10):
        lines = [json.loads(line) for line in story.step("stats --no-stream --format json").out.splitlines()]
        assert all(line["Stats"] is not None for line in lines)
        calm = next(line for line in lines if line["Service"] == "calm")
        assert (calm["CPUPerc"], calm["PIDs"]) == ("0.00%", "2")
        every = [json.loads(line) for line in story.step("stats -a --no-stream --format json").out.splitlines()]
        assert sorted(line["Name"] for line in every) == ["shop-brief-1", "shop-brief-2", "shop-brief-3", "shop-brief-4",
            "shop-brief-5", "shop-calm-1"]  # fmt: skip
        assert {line["PIDs"] for line in every if line["Stats"] is None} <= {"--"}
    story.step("down")


def test_traffic_and_file_pages_are_told_for_what_they_are(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")
    before = read(story, "calm")["Stats"]
    story.step("exec calm dd if=/dev/zero of=/file bs=1M count=16 conv=fsync")
    connect = "import socket; s = socket.socket(); print(s.connect_ex(('busy', 9)))"
    story.step(f'exec calm python3 -c "{connect}"')
    after = read(story, "calm")["Stats"]
    for direction in ("rx_bytes", "tx_bytes"):
        assert after["networks"]["eth0"][direction] > before["networks"]["eth0"][direction]
    assert after["memory_stats"]["stats"]["inactive_file"] >= 16 << 20


def test_what_an_ended_exec_wrote_to_a_disk_is_counted_by_the_next_engine_too(scenario: Tell) -> None:
    story = scenario(STACK)
    story.step("up -d")

    def written() -> int:
        devices = read(story, "calm")["Stats"]["blkio_stats"]["io_service_bytes_recursive"]
        return sum(each["value"] for each in devices if each["op"] == "write")

    before = written()
    for count in (1, 2):
        story.step("exec calm dd if=/dev/zero of=/file bs=1M count=8 conv=fsync")
        assert written() - before >= count * 8 << 20
    os.kill(story.engine.status()["pid"], signal.SIGKILL)
    assert written() - before >= 16 << 20
    story.step("restart -t 0 calm")
    assert written() < 8 << 20, "of this run"


def test_a_process_that_was_killed_for_lack_of_memory_is_counted(scenario: Tell) -> None:
    story = scenario(STACK.replace("mem_limit: 64m", "mem_limit: 64m, memswap_limit: 64m"))
    story.step("up -d")
    story.step("exec calm dd if=/dev/zero of=/dev/null bs=200M count=1", code=137)
    assert read(story, "calm")["OOMKills"] == 1
