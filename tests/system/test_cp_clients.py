"""`cp` when a client is slow or leaves, and when the engine goes; and the route, asked as docker asks it."""

import base64
import contextlib
import json
import os
import select
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from e2e.checks import err, state
from e2e.scenario import Scenario, eventually
from orchestr8.errors import Unsupported
from orchestr8.wire.client import Client
from tests.requires import requires
from tests.system.busybox import needs_busybox
from tests.system.copying_lab import Tell, content, idle, in_there

pytestmark = [pytest.mark.system, requires("root", "overlayfs", "program:nft"), needs_busybox]


def copying_processes(story: Scenario) -> list[int]:
    """Of this engine's forkserver."""
    forkserver = json.loads(story.engine.run("engine", "status", "--format", "json").out)["forkserver_pid"]
    with open(f"/proc/{forkserver}/task/{forkserver}/children", encoding="ascii") as file:
        pids = [int(each) for each in file.read().split()]
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "orchestr8-copy":
                found.append(pid)
    return found


def none_left(story: Scenario, _: Any) -> str:
    return f"processes that copy: {left}" if (left := copying_processes(story)) else ""


def slow_reader(story: Scenario) -> socket.socket:
    """A client that asks for more than a socket holds, and reads nothing of it."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"{story.engine.run_dir}/engine.sock")
    connection.sendall(b"GET /containers/shop-web-1/archive?path=/large HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def test_a_client_that_is_slow_or_leaves_holds_up_nobody(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "large").write_bytes(bytes(range(256)) * 100_000)
    story.step("up -d", state("web", "running"))
    story.step("cp large web:/large")
    connection = slow_reader(story)
    assert len(copying_processes(story)) == 1
    story.step("exec -T web true")
    story.step("cp web:/large copy")
    connection.close()
    story.check(eventually(none_left))
    connection = slow_reader(story)
    story.step("restart -t 0 web", state("web", "running"))  # which ends it
    story.check(eventually(none_left))
    connection.close()
    story.step("stop web")
    connection = slow_reader(story)
    story.step("cp web:/large copy2", err("being copied"), code=1)
    story.step("start web", state("web", "running"))
    story.check(eventually(none_left))
    connection.close()
    story.step("stop web")
    with socket.socket(socket.AF_UNIX) as writer:
        writer.connect(f"{story.engine.run_dir}/engine.sock")
        writer.sendall(
            b"PUT /containers/shop-web-1/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\nx"
        )
        story.check(eventually(lambda tale, _: "" if copying_processes(tale) else "nobody copies"))
        story.step("start web", state("web", "running"))
        answer = b"".join(iter(lambda: writer.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 409")
        assert b"shop-web-1 was started while its files were being copied" in answer
    connection = slow_reader(story)
    story.step("down -t 0")
    story.check(eventually(none_left))
    connection.close()


def test_a_copy_ends_with_its_engine(scenario: Tell, busybox_image: str) -> None:
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    Path(story.directory, "large").write_bytes(bytes(range(256)) * 100_000)
    story.step("up -d", state("web", "running"))
    story.step("cp large web:/large")
    with slow_reader(story):
        (pid,) = copying_processes(story)
        assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "1000\n"
        pidfd = os.pidfd_open(pid)
        os.kill(story.engine.status()["pid"], signal.SIGKILL)
        readable = select.select([pidfd], [], [], 20)[0]
        os.close(pidfd)
        assert readable
    story.step("cp web:/large again")
    assert Path(story.directory, "again").stat().st_size == 25_600_000


def test_the_route_is_dockers(scenario: Tell, busybox_image: str) -> None:
    """A body of a length or in chunks, a head of base64, and an answer that ends when all is there."""
    story = scenario(f"services: {{web: {idle(busybox_image)}}}")
    story.step("up -d", state("web", "running"))
    in_there(story, "web", "echo hi >/f; chmod 4700 /f; ln -s f /l")
    client = Client(f"{story.engine.run_dir}/engine.sock")
    where = "/containers/shop-web-1/archive"
    with client.open("GET", where, query={"path": "/f"}) as response:
        header = response.headers["x-docker-container-path-stat"]
        assert response.headers["content-type"] == "application/x-tar"
        archive = response.read()
    described = json.loads(base64.b64decode(header))
    assert (described["name"], described["size"], described["mode"]) == ("f", 3, 1 << 23 | 0o700)
    assert content(archive, "f") == b"hi\n"
    status, headers = client.head(where, query={"path": "/l"})
    described = json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
    assert (status, described["linkTarget"], described["mode"]) == (200, "f", 1 << 27 | 0o777)
    assert client.head(where, query={"path": "/none"})[0] == 404
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(client.path)
        head = f"PUT {where}?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(25) == b"HTTP/1.1 100 \r\n\r\n"
        connection.sendall(archive)
        assert b"".join(iter(lambda: connection.recv(4096), b"")).startswith(b"HTTP/1.1 200")
    assert in_there(story, "web", "cat /tmp/f") == "hi\n"
    with pytest.raises(Unsupported, match="copyUIDGID"):
        client.upload("PUT", where, lambda send: send(archive), query={"path": "/tmp", "copyUIDGID": 1})
