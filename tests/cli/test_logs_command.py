"""`logs` against an engine that answers as a test tells it to: how streams are merged, followed, and cut off."""

import json
import os
import time
from pathlib import Path

import pytest

from orchestr8.wire.frames import encode
from tests.cli.conftest import Cli
from tests.cli.fake_engine import ERROR, Call, FakeEngine


@pytest.fixture(autouse=True)
def _stack() -> None:
    Path("stack.yml").write_text("name: shop\nservices:\n  web: {image: 'rootfs:/'}\n  db: {image: 'rootfs:/'}\n")


def logs_route(call: Call) -> None:
    stream = call.upgrade()
    for number, name in enumerate(("web-1", "database-1")):
        news = {"source": number, "name": name, "container": f"shop-{name}", "service": name[:-2]}
        stream.sendall(encode(0, json.dumps(news).encode(), number))
    stream.sendall(encode(1, b"hello\nagain\n", 0) + encode(2, b"ready\n", 1))
    stream.sendall(
        encode(0, b'{"source":0,"felt":"out of memory: 64M limit"}', 0)
        + encode(0, b'{"source":0,"exited":137,"restarting":true,"why":"out of memory: 64M limit"}', 0)
        + encode(0, b'{"source":1,"exited":0}', 1)
    )


def test_logs_are_merged_under_aligned_names(cli: Cli, engine: FakeEngine) -> None:
    engine.routes |= {"GET /stacks/shop/logs": logs_route, "GET /stacks/shop/containers": []}
    assert cli("logs", "-f", "-n", "5", "-t", "web", "db") == (
        0,
        (
            "web-1       | hello\n"
            "web-1       | again\n"
            "database-1  | ready\n"
            "web-1 is out of memory: 64M limit; a process of it is killed\n"
            "web-1 exited with code 137, out of memory: 64M limit (restarting)\n"
            "database-1 exited with code 0\n"
        ),
        "",
    )
    assert engine.calls[0].query == {
        "service": ["web", "db"], "follow": ["1"], "until": ["exit"], "tail": ["5"], "timestamps": ["1"], "places": ["1"],
    }  # fmt: skip


def test_logs_are_followed_from_one_engine_to_the_next(cli: Cli, engine: FakeEngine) -> None:
    """The first stream is cut off within a frame, the second within the container's end, which the third tells."""
    source = encode(0, b'{"source":0,"name":"web-1","id":"A"}')
    place, listed = encode(0, b'{"source":0,"place":" 0 5"}'), encode(0, b'{"listed":true}')
    end, over = encode(0, b'{"source":0,"exited":3}'), encode(0, b'{"over":true}')
    said = iter([
        source + place + listed + encode(1, b"before\n") + encode(1, b"meanwhile\n")[:-2],
        source + encode(1, b"before\nmeanwhile\n") + end[:9],
        source + encode(1, b"before\nmeanwhile\n") + end + over,
    ])  # fmt: skip
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(next(said))
    assert cli("logs", "-f", "-n", "5", "--no-log-prefix", "web") == (
        0,
        "before\nmeanwhile\nweb-1 exited with code 3\n",
        "",
    )
    first, again, last = engine.calls
    assert first.query == {
        "service": ["web"], "follow": ["1"], "until": ["exit"], "tail": ["5"], "places": ["1"],
    }  # fmt: skip
    assert again.query == last.query
    assert again.query == {
        "service": ["web"], "follow": ["1"], "until": ["exit"], "places": ["1"], "place": ["A  0 5"],
    }  # fmt: skip


def test_a_log_cut_off_before_all_was_announced_is_asked_for_as_at_first(cli: Cli, engine: FakeEngine) -> None:
    source = encode(0, b'{"source":0,"name":"web-1","id":"A","ended":true}')
    said = iter([source + encode(0, b'{"source":0,"place":"T 9 5"}'), encode(0, b'{"over":true}')])
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(next(said))
    assert cli("logs", "-f", "-n", "5") == (0, "", "")
    assert [call.query.get("tail") for call in engine.calls] == [["5"], ["5"]]
    assert engine.calls[1].query["place"] == ["A T 9 5"]
    assert engine.calls[1].query["ended"] == ["A"]


def test_no_byte_is_shown_twice_or_never_from_one_engine_to_the_next(cli: Cli, engine: FakeEngine) -> None:
    """The second engine dies before it has come to what the first one had sent."""

    def news(**told: object) -> bytes:
        return encode(0, json.dumps(told).encode(), int(str(told["source"])))

    def source(number: int, name: str) -> bytes:
        return news(source=number, name=name, id=name.upper(), container=name, service=name)

    said = iter([
        source(0, "a") + news(source=0, place=" 0 0") + encode(1, b"1\n2\n", 0) + news(source=0, place="T 80 0")
        + encode(1, b"3\n4\n5\n", 0) + encode(2, b"e\n", 0) + source(1, "b") + encode(1, b"x\n", 1),
        source(0, "b") + encode(1, b"y\n", 0) + source(1, "a") + encode(1, b"3\n", 1) + news(source=1, place="T 120 0"),
        source(0, "a") + encode(2, b"e\nf\n", 0) + encode(1, b"4\n5\n6\n", 0)
        + news(source=0, over=True),
    ])  # fmt: skip
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(next(said))
    assert cli("logs", "-f", "--no-log-prefix")[:2] == (0, "1\n2\n3\n4\n5\ne\nx\ny\nf\n6\n")
    asked = [call.query.get("place") for call in engine.calls if call.name.endswith("/logs")]
    assert asked == [None, ["A T 80 0"], ["A T 120 0"]]


@pytest.mark.parametrize(
    ("gone", "lost", "shown"),
    [
        (2, "", "1\n2\n3\n4\n5\ne\n6\n"),  # which were shown; so were the four that come next
        (6, "", "1\n2\n3\n4\n5\ne\n3\n"),
        (9, "a: 3 lines were lost to rotation before they could be shown\n", "1\n2\n3\n4\n5\ne\n3\n"),
        (-1, "a: some lines were lost to rotation before they could be shown\n", "1\n2\n3\n4\n5\ne\n3\n"),
    ],
)
def test_lines_that_are_gone_were_shown_before_or_are_told(
    cli: Cli, engine: FakeEngine, gone: int, lost: str, shown: str
) -> None:
    """What was shown since the last place, six lines, is not taken off what comes after those that are gone."""

    def news(**told: object) -> bytes:
        return encode(0, json.dumps({"source": 0, **told}).encode())

    source = news(name="a", id="A", container="a", service="web")
    after = {2: b"3\n4\n5\n"}.get(gone, b"3\n")
    said = iter([
        source + news(place="T 80 0 9 9") + encode(1, b"1\n2\n3\n4\n5\n") + encode(2, b"e\n"),
        source + news(lost=gone, at="T") + encode(1, after)
        + (encode(2, b"e\n") + encode(1, b"6\n") if gone == 2 else b"") + news(over=True),
    ])  # fmt: skip
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(next(said))
    assert cli("logs", "-f", "--no-log-prefix") == (0, shown, lost)
    assert engine.calls[1].query["place"] == ["A T 80 0 9 9"]


def test_an_engine_that_ended_in_order_is_not_started_again_for_who_follows(cli: Cli, engine: FakeEngine) -> None:
    def last(call: Call) -> None:
        call.upgrade().sendall(encode(1, b"before\n"))
        os.rename(engine.path, f"{engine.path}.away")

    engine.routes["GET /stacks/shop/logs"] = last
    code, out, err = cli("logs", "-f", "--no-log-prefix")
    os.rename(f"{engine.path}.away", engine.path)
    assert (code, out) == (1, "before\n")
    assert "the engine ended; containers go on without it" in err


def test_logs_without_names_are_as_they_were_written(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(encode(1, b"\x00\xff no newline"))
    assert cli("logs", "--no-log-prefix")[:2] == (
        0,
        "\x00\udcff no newline".encode(errors="surrogateescape").decode(errors="replace"),
    )
    assert engine.calls[0].query == {}


def test_a_line_without_an_end_is_ended_before_somebody_elses(cli: Cli, engine: FakeEngine) -> None:
    def route(call: Call) -> None:
        stream = call.upgrade()
        stream.sendall(encode(1, b"one, ", 0) + encode(1, b"unfinished", 0) + encode(1, b"two\nlast", 1))
        stream.sendall(encode(0, b'{"source":1,"exited":0}', 1) + encode(1, b"end", 0))

    engine.routes["GET /stacks/shop/logs"] = route
    assert cli("logs", "--no-log-prefix")[1] == "one, unfinished\ntwo\nlast\na container exited with code 0\nend"


def timed_route(call: Call) -> None:
    stream = call.upgrade()
    for number, name in enumerate(("web", "db")):
        news = {"source": number, "name": f"{name}-1", "container": f"shop-{name}-1", "service": name}
        stream.sendall(encode(0, json.dumps(news).encode(), number))
    at = b"2026-11-23T05:00:00.12345678%dZ "
    stream.sendall(encode(1, at % 1 + b"hello: you\n" + at % 1 + b"\n", 0))
    stream.sendall(encode(2, at % 2 + b'\xff "quoted"\tgr\xc3\xbcn\n', 1) + encode(1, at % 3 + b"2026 no end", 0))
    stream.sendall(encode(0, b'{"source":1,"exited":0}', 1))


def test_logs_as_objects(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = timed_route
    code, out, _ = cli("--ansi", "always", "logs", "--format", "json", "--no-log-prefix")
    assert code == 0
    at = "2026-11-23T05:00:00.12345678"
    web, db = {"service": "web", "container": "shop-web-1"}, {"service": "db", "container": "shop-db-1"}
    assert [json.loads(line) for line in out.splitlines()] == [
        {"time": f"{at}1Z", **web, "stream": "stdout", "message": "hello: you"},
        {"time": f"{at}1Z", **web, "stream": "stdout", "message": ""},
        {"time": f"{at}2Z", **db, "stream": "stderr", "message": '\N{REPLACEMENT CHARACTER} "quoted"\tgrün'},
        {"time": f"{at}3Z", **web, "stream": "stdout", "message": "2026 no end"},
    ]
    assert engine.calls[0].query == {"timestamps": ["1"]}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("2026", ["2026 no end"]), ("^$", [""]), ("(?i)HELLO|ü", ["hello: you", '\ufffd "quoted"\tgrün']), ("never", [])],
)
def test_lines_are_searched_without_their_times(cli: Cli, engine: FakeEngine, pattern: str, found: list[str]) -> None:
    engine.routes["GET /stacks/shop/logs"] = timed_route
    code, out, _ = cli("logs", "--format", "json", "--grep", pattern)
    assert (code, [json.loads(line)["message"] for line in out.splitlines()]) == (0, found)
    code, out, _ = cli("logs", "-t", "--grep", pattern)
    assert code == 0
    assert [line[40:] for line in out.splitlines() if "exited" not in line] == found


def test_lines_are_searched_as_they_are(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(
        encode(1, b"one\ntwo\nthree\n") + encode(1, b"four\nfive") + encode(1, b"none\n")
    )
    assert cli("logs", "--grep", "o|v", "--no-log-prefix")[:2] == (0, "one\ntwo\nfour\nfivenone\n")
    assert cli("logs", "--grep", "^f", "--no-log-prefix")[:2] == (0, "four\nfive")


def test_what_is_no_pattern_is_refused_with_its_place(cli: Cli, engine: FakeEngine) -> None:
    code, out, err = cli("logs", "--grep", "a(b")
    assert (code, out) == (2, "")
    assert "--grep 'a(b' is not a regular expression: missing ), unterminated subpattern at letter 2" in err
    assert engine.calls == []


def test_logs_have_colours_only_where_they_are_welcome(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = logs_route
    assert cli("--ansi", "always", "logs")[1].startswith("\x1b[36mweb-1       | \x1b[0mhello\n")
    assert "\x1b" not in cli("--ansi", "always", "logs", "--no-color")[1]


def test_logs_since_a_moment(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = logs_route
    before = time.time()
    cli("logs", "--since", "10m")
    [since] = engine.calls[0].query["since"]
    assert before - 601 < float(since) < time.time() - 599
    assert cli("logs", "--since", "yesterday-ish")[0] == 2
    assert cli("logs", "--tail", "some")[0] == 2


def test_an_error_within_the_log_stream_is_an_error(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(
        encode(3, ERROR % (b"bad disk", b"O8-600"))
    )
    assert cli("logs") == (1, "", "error[O8-600]: bad disk\n")


def test_a_log_stream_that_is_cut_in_a_frame_is_an_error(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/logs"] = lambda call: call.upgrade().sendall(encode(1, b"hello\n")[:-2])
    assert cli("logs")[0] == 1
