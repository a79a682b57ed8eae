"""`export`: an archive comes whole, or not at all."""

import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, STDOUT, encode
from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine, container
from tests.cli.test_cp import archive

ROUTE = "GET /containers/000000000001/export"
END = encode(ANNOUNCEMENT, b'{"end": true}')


def frames(*sent: bytes) -> Any:
    def route(call: Call) -> None:
        call.upgrade().sendall(b"".join(sent))

    return route


@pytest.fixture(autouse=True)
def _stack(engine: FakeEngine) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    engine.routes["GET /stacks/shop/containers"] = [container(state="exited")]
    engine.routes[ROUTE] = frames(encode(STDOUT, b"one"), encode(STDOUT, b"two"), END)


def test_it_goes_to_the_standard_output(cli: Cli) -> None:
    assert cli("export", "web") == (0, "onetwo", "")
    assert cli("export", "shop-web-1") == (0, "onetwo", "")


def test_it_goes_to_a_file_that_is_replaced_when_all_is_there(cli: Cli, engine: FakeEngine) -> None:
    Path("out.tar").write_text("before")
    engine.routes[ROUTE] = frames(encode(STDOUT, b"one"))
    code, out, err = cli("export", "-o", "out.tar", "web")
    assert (code, out) == (1, "")
    assert "the engine went away before the archive was complete" in err
    engine.routes[ROUTE] = frames(encode(STDOUT, b"one"), encode(ERROR, b'{"message": "no", "code": "O8-650"}'))
    code, out, err = cli("export", "-o", "out.tar", "web")
    assert (code, out, err) == (1, "", "error[O8-650]: no\n")
    assert Path("out.tar").read_text() == "before"
    engine.routes[ROUTE] = frames(encode(STDOUT, b"one"), encode(STDOUT, b"two"), END)
    Path("link").symlink_to("out.tar")
    assert cli("export", "--output", "link", "--index", "1", "web") == (0, "", "")
    assert Path("out.tar").read_text() == "onetwo"
    assert sorted(os.listdir()) == ["link", "out.tar", "stack.yml"]


def test_a_file_that_is_not_whole_has_no_name_yet(cli: Cli, engine: FakeEngine) -> None:
    """So nothing is left of it, however its writer ends."""
    seen: list[list[str]] = []

    def route(call: Call) -> None:
        with call.upgrade() as connection:
            connection.sendall(encode(STDOUT, bytes(32 << 20)))  # more than what lies between waits to be written
            seen.append(sorted(os.listdir()))
            connection.sendall(END)

    engine.routes[ROUTE] = route
    assert cli("export", "-o", "out.tar", "web") == (0, "", "")
    assert seen == [["stack.yml"]]
    assert sorted(os.listdir()) == ["out.tar", "stack.yml"]
    assert Path("out.tar").stat().st_size == 32 << 20


@pytest.mark.parametrize("last", [encode(ERROR, b'{"message": "no", "code": "O8-650"}'), b""])
def test_a_pipe_does_not_end_as_if_all_were_there(cli: Cli, engine: FakeEngine, last: bytes) -> None:
    """tar takes what ends between two files for a whole archive, and hears nothing of how its writer ended."""
    data = archive(one=b"1", two=b"2")[:1024]  # a header, and its file
    assert listed(data) == (0, "one\n")
    engine.routes[ROUTE] = frames(encode(STDOUT, data), last)
    code, out, _ = cli("export", "web")
    assert code == 1
    assert out.startswith(data.decode())
    assert "orchestr8: this archive is not whole." in out
    assert listed(out.encode())[0] != 0
    fifo = Path("fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert cli("export", "-o", "fifo", "web")[0] == 1
    assert os.read(reader, 1 << 16) == out.encode()
    os.close(reader)


def listed(data: bytes) -> tuple[int, str]:
    done = subprocess.run(["tar", "-t"], input=data, capture_output=True, check=False)
    return done.returncode, done.stdout.decode()


def test_what_is_no_ordinary_file_is_written_to(cli: Cli) -> None:
    assert cli("export", "-o", "/dev/null", "web") == (0, "", "")
    assert Path("/dev/null").is_char_device()
    code, _, err = cli("export", "-o", "nowhere/out.tar", "web")
    assert (code, err) == (1, "error[O8-600]: nowhere/out.tar cannot be written: No such file or directory\n")


def test_no_archive_is_written_to_a_terminal(cli: Cli, engine: FakeEngine) -> None:
    saved = os.dup(1)
    master, slave = pty.openpty()
    os.dup2(slave, 1)
    try:
        code, _, err = cli("export", "web")
    finally:
        os.dup2(saved, 1)
        for fd in (saved, master, slave):
            os.close(fd)
    assert code == 2
    assert "a tar archive is nothing to be shown on a terminal" in err
    assert "orchestr8 export -o FILE web" in err
    assert engine.names == []
