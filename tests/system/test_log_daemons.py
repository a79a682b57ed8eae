"""What containers write, in the hands of those who receive logs on a machine: rsyslogd and journald, from Debian packages."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import err, state
from e2e.engine import Result
from e2e.scenario import Scenario, eventually
from orchestr8.model.specs import LogDriver, LogSpec
from tests.requires import requires
from tests.system import runtime_fixtures
from tests.system.busybox import needs_busybox
from tests.system.receivers import DEADLINE_S, free_port, journald, make_certificates, rsyslogd
from tests.system.runtime_fixtures import Runtime

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft")]

Tell = Callable[..., Scenario]
RSYSLOG = requires("program:rsyslogd")
IDLE = 'image: "rootfs:/", stop_grace_period: 0s'


def lines_in(path: Path, count: int) -> list[str]:
    """What rsyslogd has written, once there are so many lines."""
    deadline = time.monotonic() + DEADLINE_S
    while len(found := path.read_text(encoding="utf-8").splitlines() if path.exists() else []) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} lines came: {found}"
        time.sleep(0.01)
    return found


def until_listening(port: int) -> None:
    """rsyslogd has begun to serve."""
    deadline = time.monotonic() + DEADLINE_S
    mark = f":{port:04X} "
    while not any(mark in Path(f"/proc/net/{kind}").read_text(encoding="ascii") for kind in ("tcp", "udp")):
        assert time.monotonic() < deadline, "rsyslogd does not listen"
        time.sleep(0.01)


def stack(options: str, command: str = "echo hello; echo wrong >&2; printf end") -> str:
    return f"""
services:
  web:
    {{{IDLE}, command: [sh, -c, "{command}"], logging: {{driver: syslog, options: {{{options}}}}}}}
"""


@RSYSLOG
def test_rsyslog_takes_every_format_over_every_network(scenario: Tell, tmp_path: Path) -> None:
    """The container stands in networks of its own; who sends stands in the engine's."""
    udp, tcp, path = free_port(), free_port(), str(tmp_path / "log")
    inputs = f"""
module(load="imudp") input(type="imudp" address="127.0.0.1" port="{udp}")
module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="{tcp}")
module(load="imuxsock" SysSock.Use="off") input(type="imuxsock" Socket="{path}" CreatePath="on" useSpecialParser="off" parseHostname="on")
"""
    host = os.uname().nodename
    with rsyslogd(tmp_path, inputs) as received:
        until_listening(udp)
        until_listening(tcp)
        seen = 0
        for address in (f"udp://127.0.0.1:{udp}", f"tcp://127.0.0.1:{tcp}", f"unixgram://{path}"):
            for form in ("rfc3164", "rfc5424", "rfc5424micro"):
                options = (
                    f"syslog-address: '{address}', syslog-format: {form}, syslog-facility: local3, tag: '{{{{.Name}}}}'"
                )
                story = scenario(stack(options))
                story.step("up -d --force-recreate", eventually(state("web", "exited")))
                said = lines_in(received, seen + 3)[seen:]
                shown = [re.sub(r"\[\d+\]:?", "", line) for line in said]
                expected = [(158, "hello"), (155, "wrong"), (158, "end")]
                wanted = [
                    f"{priority} {host} shop-web-1|{'' if form != 'rfc3164' else ' '}{text}"
                    for priority, text in expected
                ]
                assert sorted(re.sub(r"shop-web-1:?\|", "shop-web-1|", line) for line in shown) == sorted(wanted), (
                    address,
                    form,
                )
                seen += 3
        assert story.logs("web") == "hello\nwrong\nend", "our own copy, as ever"


@RSYSLOG
@requires("program:openssl")
def test_rsyslog_takes_tls(scenario: Tell, tmp_path: Path) -> None:
    ca, cert, key = make_certificates(tmp_path)
    port = free_port()
    settings = f'defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}"'
    inputs = f"""
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{port}")
"""
    address = f"syslog-address: 'tcp+tls://127.0.0.1:{port}', syslog-format: rfc5424"
    with rsyslogd(tmp_path, inputs, settings) as received:
        until_listening(port)
        story = scenario(stack(f"{address}, syslog-tls-ca-cert: {ca}", "seq 1000"))
        story.step("up -d", eventually(state("web", "exited")))
        said = lines_in(received, 1000)
        assert [line.partition("|")[2] for line in said] == [str(number) for number in range(1, 1001)]
        (tmp_path / "other").mkdir()
        other, _, _ = make_certificates(tmp_path / "other")
        (Path(story.directory) / "stack.yml").write_text(
            stack(f"{address}, syslog-tls-ca-cert: {other}"), encoding="utf-8"
        )
        story.step("up -d", err("error[O8-631]", "certificate verify failed", "stack.yml:"), code=1)


@RSYSLOG
def test_lines_go_on_to_arrive_when_the_engine_is_killed_and_when_rsyslog_comes_again(
    scenario: Tell, tmp_path: Path
) -> None:
    port = free_port()
    inputs = f'module(load="imtcp") input(type="imtcp" address="127.0.0.1" port="{port}")'
    count = "n=0; while read line; do n=$((n + 1)); echo $n; done < /flow/pipe"
    pipe = tmp_path / "flow" / "pipe"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    story = scenario(f"""
services:
  web:
    image: "rootfs:/"
    stop_grace_period: 0s
    command: [sh, -c, "{count.replace("$", "$$")}"]
    volumes: ["{pipe.parent}:/flow"]
    logging: {{driver: syslog, options: {{syslog-address: "tcp://127.0.0.1:{port}"}}}}
""")

    def numbers(path: Path, wanted: int) -> list[str]:
        return [line.partition("|")[2].strip() for line in lines_in(path, wanted)]

    with rsyslogd(tmp_path, inputs) as received:
        until_listening(port)
        story.step("up -d")
        with open(pipe, "w", encoding="ascii") as flow:
            print("x\n" * 10, file=flow, end="", flush=True)
            assert numbers(received, 10)[-1] == "10"
            os.kill(story.engine.status()["pid"], signal.SIGKILL)
            print("x\n" * 10, file=flow, end="", flush=True)
            assert numbers(received, 20)[-1] == "20"
            flow.flush()
            first = list(numbers(received, 20))
            keep = open(pipe, "w", encoding="ascii")  # noqa: SIM115 - the program must not see an end meanwhile
    received.unlink()
    with keep:
        print("x\n" * 10, file=keep, end="", flush=True)
        story.check(
            eventually(lambda scenario, _result: "" if "cannot be reached" in scenario.engine.log() else "not told")
        )
        with rsyslogd(tmp_path, inputs) as received:
            assert numbers(received, 10) == [str(number) for number in range(21, 31)]
    assert first == [str(number) for number in range(1, 21)]
    story.check(eventually(state("web", "exited")))
    assert story.logs("web").split() == [str(number) for number in range(1, 31)]


def test_a_first_start_says_why_it_fails_and_later_ones_go_on(scenario: Tell, tmp_path: Path) -> None:
    port = free_port()
    story = scenario(stack(f"syslog-address: 'tcp://127.0.0.1:{port}', cache-disabled: 'true'"))
    failed = story.step("up -d", code=1)
    assert "error[O8-631]: cannot start shop-web-1: the receiver of its log, syslog tcp://127.0.0.1:" in failed.err
    assert "cannot be reached: Connection refused" in failed.err
    assert "`logging` stands at stack.yml:4" in failed.err
    story.step(
        "logs", err("web-1: the logging driver `syslog` with `cache-disabled` keeps nothing that could be read"), code=1
    )
    (Path(story.directory) / "stack.yml").write_text(
        stack(f"syslog-address: 'udp://127.0.0.1:{port}'"), encoding="utf-8"
    )
    planned = story.step("plan").out
    assert "logging" in planned
    story.step("up -d", eventually(state("web", "exited")))
    note = rf"orchestr8: (\d) lines? \(\d+ bytes\) of this log w\w+ not sent to syslog udp://127.0.0.1:{port}: Connection refused"

    def told(story: Scenario, _result: Result) -> str:
        """How much is lost is told at the run's end, or in the engine's log when it turns out after the shim's."""
        said = story.logs("web")
        assert re.sub(f"^{note}\n", "", said, flags=re.MULTILINE) == "hello\nwrong\nend"
        count = sum(map(int, re.findall(note, said + story.engine.log())))
        assert count <= 3
        return "" if count >= 2 else said  # of the last one nobody may ever hear

    story.check(eventually(told))


@needs_busybox
@pytest.mark.anyio
@requires("program:journalctl")
@pytest.mark.skipif(not os.path.exists("/lib/systemd/systemd-journald"), reason="this machine lacks: systemd-journald")
class TestJournald:
    async def test_journald_has_every_field(self, runtime: Runtime) -> None:
        script = r"printf 'one\n\nbinary \377\0\n'; sleep 0.1; echo wrong >&2; sleep 0.1; head -c 20000 /dev/zero | tr '\0' x; echo"
        spec = LogSpec(
            driver=LogDriver.JOURNALD,
            options=(("env", "COLOUR,TWO"), ("labels", "com.example.a-b"), ("tag", "t/{{.ID}}")),
        )
        with journald(f"o8test{os.getpid()}") as journal:
            box = await runtime.create(
                "sh", "-c", script, logging=spec, environment=(("COLOUR", "red"), ("TWO", "a\nb")),
                labels=(("com.example.a-b", "label"),), change=lambda document: _send_to(document, journal.socket),
            )  # fmt: skip
            box.pid = (await box.shim.start(reach=True)).pid
            assert await box.wait() == 0
            entries = journal.until(6)
            messages = [each["MESSAGE"] for each in entries]
            assert messages == ["one", "", [*b"binary \xff\0"], "wrong", "x" * 16384, "x" * 3616]
            assert [each["PRIORITY"] for each in entries] == ["6", "6", "6", "3", "6", "6"]
            for number, entry in enumerate(entries, 1):
                assert entry["CONTAINER_ID"] == entry["CONTAINER_ID_FULL"] == box.id
                assert entry["CONTAINER_TAG"] == entry["SYSLOG_IDENTIFIER"] == f"t/{box.id}"
                assert (entry["COLOUR"], entry["TWO"], entry["COM_EXAMPLE_A_B"]) == ("red", "a\nb", "label")
                assert entry["CONTAINER_LOG_ORDINAL"] == str(number)
                assert entry["IMAGE_NAME"] == f"rootfs:{runtime.image}"
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z", entry["SYSLOG_TIMESTAMP"])
            assert len({each["CONTAINER_LOG_EPOCH"] for each in entries}) == 1
            parts = [
                {name: each.get(f"CONTAINER_PARTIAL_{name}") for name in ("MESSAGE", "ORDINAL", "LAST")}
                for each in entries
            ]
            assert parts[:4] == [dict.fromkeys(("MESSAGE", "ORDINAL", "LAST"))] * 4
            assert parts[4:] == [
                {"MESSAGE": "true", "ORDINAL": "1", "LAST": "false"}, {"MESSAGE": None, "ORDINAL": "2", "LAST": "true"},
            ]  # fmt: skip
            assert entries[4]["CONTAINER_PARTIAL_ID"] == entries[5]["CONTAINER_PARTIAL_ID"]

    async def test_an_entry_that_no_datagram_takes_goes_as_a_file(self, runtime: Runtime) -> None:
        spec = LogSpec(driver=LogDriver.JOURNALD, options=(("env", "LARGE"),))
        large = "x" * 100_000 + "\n" + "y" * 100_000 + "\n" + "z" * 100_000
        with journald(f"o8test{os.getpid()}") as journal:
            box = await runtime.create(
                "echo", "hello", logging=spec, environment=(("LARGE", large),),
                change=lambda document: _leave_out(document, journal.socket),
            )  # fmt: skip
            await box.shim.start(reach=True)
            assert await box.wait() == 0
            (entry,) = journal.until(1)
            assert (entry["MESSAGE"], entry["LARGE"]) == ("hello", large)

    async def test_journald_that_is_started_again_gets_what_was_written_meanwhile(self, runtime: Runtime) -> None:
        spec = LogSpec(driver=LogDriver.JOURNALD)
        name = f"o8test{os.getpid()}"
        with journald(name) as journal:
            box = await runtime.create(
                "sh", "-c", "while read line; do echo $line; done", stdin_open=True, logging=spec,
                change=lambda document: _send_to(document, journal.socket),
            )  # fmt: skip
            client = await box.attach(stdin=True)
            await box.shim.start(reach=True)
            client.socket.sendall(b"one\n")
            assert [each["MESSAGE"] for each in journal.until(1)] == ["one"]
        client.socket.sendall(b"two\nthree\n")
        await runtime_fixtures.eventually(lambda: "cannot be reached" in runtime.said(), "the engine's log tells")
        with journald(name) as journal:
            assert [each["MESSAGE"] for each in journal.until(2)] == ["two", "three"]


def _send_to(document: dict[str, Any], path: str) -> None:
    """To the test's journal instead of the machine's."""
    order = json.loads(document["annotations"]["org.orchestr8.log"])
    order["receiver"]["path"] = path
    document["annotations"]["org.orchestr8.log"] = json.dumps(order)


def _leave_out(document: dict[str, Any], path: str) -> None:
    """And without a variable that no program could be given."""
    _send_to(document, path)
    process = document["process"]
    process["env"] = [each for each in process["env"] if not each.startswith("LARGE=")]
