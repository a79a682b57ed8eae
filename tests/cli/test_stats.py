"""`stats`: what two readings make, and how it is shown."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from orchestr8.cli.commands.stats import binary_size, decimal_size, fields
from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine
from tests.cli.process import Process

SECOND_NS = 10**9


def stats(second: int = 0, *, cpu_s: float = 0.0, periods: tuple[int, int] = (0, 0), name: str = "shop-web-1") -> Any:
    """A reading at this second of a machine with two processors."""
    return {
        "id": "abc", "name": name, "service": "web", "number": 1,
        "cpu_stats": {
            "cpu_usage": {"total_usage": int(cpu_s * SECOND_NS)}, "system_cpu_usage": second * 2 * SECOND_NS, "online_cpus": 2,
            "throttling_data": {"periods": periods[0], "throttled_periods": periods[1], "throttled_time": 0},
        },
        "memory_stats": {
            "usage": 3 << 20, "limit": 64 << 20, "failcnt": 0, "oom_kills": 2, "stats": {"inactive_file": 1 << 20},
        },
        "pids_stats": {"current": 5, "refused": 0},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 1_980_000}, {"op": "write", "value": 0}]},
        "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 100}, "eth1": {"rx_bytes": 220, "tx_bytes": 26}},
    }  # fmt: skip


@pytest.fixture(autouse=True)
def _stack() -> None:
    Path("stack.yml").write_text("name: shop\nservices: {web: {image: 'rootfs:/'}, db: {image: 'rootfs:/'}}\n")


def readings(*each: list[Any]) -> Any:
    """A route that answers with these in turn; the last one stays."""
    left = list(each)

    def answer(call: Call) -> None:
        call.answer(left.pop(0) if len(left) > 1 else left[0])

    return answer


def test_the_table_is_dockers_with_what_limits_did(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/stats"] = readings(
        [stats(1, cpu_s=1.0, periods=(10, 1))], [stats(2, cpu_s=2.5, periods=(20, 4))]
    )
    assert cli("stats", "--no-stream") == (
        0,
        (
            "CONTAINER ID   NAME         CPU %     MEM USAGE / LIMIT   MEM %   NET I/O         BLOCK I/O     PIDS   "
            "THROTTLED   OOM\n"
            "abc            shop-web-1   150.00%   2MiB / 64MiB        3.12%   1.22kB / 126B   1.98MB / 0B   5      "
            "30.00%      2\n"
        ),
        "",
    )
    assert [call.query for call in engine.calls] == [{}, {}]


def test_json_has_dockers_fields_and_the_figures_themselves(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/stats"] = readings([stats(1)], [stats(2, cpu_s=0.25)])
    code, out, _ = cli("stats", "--no-stream", "--format", "json", "web")
    found = json.loads(out)
    assert code == 0
    assert found.pop("Stats") == {
        name: value for name, value in stats(2, cpu_s=0.25).items() if name.endswith("_stats") or name == "networks"
    }
    assert found == {
        "ID": "abc", "Container": "abc", "Name": "shop-web-1", "Service": "web", "CPUPerc": "25.00%", "MemPerc": "3.12%",
        "MemUsage": "2MiB / 64MiB", "NetIO": "1.22kB / 126B", "BlockIO": "1.98MB / 0B", "PIDs": "5", "ThrottledPerc": "--",
        "OOMKills": 2,
    }  # fmt: skip
    assert engine.calls[0].query == {"service": ["web"]}


def test_those_that_do_not_run_are_shown_on_request(cli: Cli, engine: FakeEngine) -> None:
    stopped = {"id": "abc", "name": "shop-web-1", "service": "web", "number": 1}
    engine.routes["GET /stacks/shop/stats"] = [stopped]
    code, out, _ = cli("stats", "--no-stream", "-a")
    assert (code, out.splitlines()[1].split()) == (0, ["abc", "shop-web-1", *["--"] * 8])
    assert engine.calls[0].query == {"all": ["1"]}


def test_where_nothing_runs_there_is_a_head_alone_as_compose_has_it(cli: Cli, engine: FakeEngine) -> None:
    engine.routes |= {"GET /stacks/shop/stats": [], "GET /stacks/shop/containers": []}
    head = "CONTAINER ID   NAME   CPU %   MEM USAGE / LIMIT   MEM %   NET I/O   BLOCK I/O   PIDS   THROTTLED   OOM\n"
    assert cli("stats", "--no-stream") == (0, head, "")
    assert cli("stats", "--no-stream", "--format", "json") == (0, "", "")
    assert cli("top") == (0, "", ""), "which has none"


def test_a_service_that_the_stack_does_not_have_is_an_error(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/stats"] = []
    code, out, err = cli("stats", "--no-stream", "wbe")
    assert (code, out) == (1, "")
    assert "no such service: wbe" in err
    assert cli("stats", "--no-stream", "db")[0] == 0, "it does not run"


def test_a_rate_needs_two_readings_of_the_same_run() -> None:
    assert fields(stats(2, cpu_s=1.0), None)["CPUPerc"] == "--"
    assert fields(stats(2, cpu_s=1.0), {"id": "abc", "name": "x", "service": "web"})["CPUPerc"] == "--"
    assert fields(stats(2, cpu_s=0.5), stats(1, cpu_s=9.0))["CPUPerc"] == "50.00%", "a new group counts from 0"
    assert fields(stats(2, cpu_s=0.5), stats(2))["CPUPerc"] == "--", "no time has passed"
    assert fields(stats(2, periods=(3, 1)), stats(1, periods=(3, 1)))["ThrottledPerc"] == "0.00%"


def test_what_the_machine_does_not_account_for_is_not_told_as_nothing(cli: Cli, engine: FakeEngine) -> None:
    """Without the controllers of memory and processors, of which many kernels have one turned off."""
    first, second = stats(1), stats(2)
    for each in (first, second):
        each["memory_stats"] |= {"usage": 0, "oom_kills": 0, "stats": {"inactive_file": 0}}
    engine.routes["GET /stacks/shop/stats"] = readings([first], [second])
    row = cli("stats", "--no-stream")[1].splitlines()[1].split()
    assert row == [
        "abc",
        "shop-web-1",
        "--",
        "--",
        "--",
        *["1.22kB", "/", "126B", "1.98MB", "/", "0B"],
        "5",
        "--",
        "--",
    ]


@pytest.mark.parametrize(
    ("size", "binary", "decimal"),
    [
        (0, "0B", "0B"), (999, "999B", "999B"), (1000, "1000B", "1kB"), (1023, "1023B", "1.02kB"), (1024, "1KiB", "1.02kB"),
        (999_600, "976.2KiB", "1000kB"), (348_160, "340KiB", "348kB"), (25_330_000_000, "23.59GiB", "25.3GB"),
        (10**19, "8882PiB", "10000PB"),
    ],
)  # fmt: skip
def test_sizes_are_written_as_docker_writes_them(size: int, binary: str, decimal: str) -> None:
    assert (binary_size(size), decimal_size(size)) == (binary, decimal)


def test_on_a_terminal_the_table_is_drawn_in_place_until_interrupted(engine: FakeEngine) -> None:
    many = [stats(2, cpu_s=1.0, name=f"shop-web-{number}") for number in range(40)]
    engine.routes["GET /stacks/shop/stats"] = readings([stats(1)], many, [stats(3, cpu_s=1.25)])
    with Process("stats", terminal=(120, 10)) as process:
        process.until_shown(lambda lines: lines[-1] == "… and 33 more")
        assert process.shown()[0].startswith("CONTAINER ID"), "nothing has scrolled away"
        process.until_shown(lambda lines: len(lines) == 2 and "25.00%" in lines[1])
        process.type(b"\x03")
        assert process.end() == 130


def test_elsewhere_one_table_follows_the_other(engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/stats"] = readings([stats(1)], [stats(2, cpu_s=1.0)], [stats(3, cpu_s=1.25)])
    with Process("stats") as process:
        process.until("25.00%")
        assert process.text.count("CONTAINER ID") == 2
        assert "\x1b" not in process.text
        process.signal(signal.SIGINT)
        assert process.end() == 130


def test_an_engine_that_was_ended_is_not_started_for_the_next_reading(engine: FakeEngine) -> None:
    def last(call: Call) -> None:
        os.rename(engine.path, f"{engine.path}.away")
        call.answer([stats(1)])

    engine.routes["GET /stacks/shop/stats"] = last
    with Process("stats") as process:
        assert process.end() == 1
        assert "the engine ended; containers go on without it" in process.text
    os.rename(f"{engine.path}.away", engine.path)


def test_one_container_by_its_name(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/stats"] = readings([stats(1)], [stats(2)])
    code, out, err = cli("stats", "--no-stream", "--format", "json", "shop-web-1")
    assert (code, json.loads(out)["Name"], err) == (0, "shop-web-1", "")
    assert engine.calls[0].query == {"service": ["shop-web-1"]}
    code, _, err = cli("stats", "--no-stream", "shop-web-9")
    assert (code, "no such service: shop-web-9" in err) == (1, True)
