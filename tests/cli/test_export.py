"""`export`: an archive comes whole, or not at all."""

import os
import pty
from pathlib import Path
from typing import Any

import pytest

from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, STDOUT, encode
from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine, container

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
