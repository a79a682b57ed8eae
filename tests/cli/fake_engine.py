"""An engine made of a real socket and a table of answers."""

import json
import socket
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Call:
    """One request to the fake engine, and the ways to answer it."""

    def __init__(self, connection: socket.socket, method: str, target: str, body: bytes) -> None:
        parts = urlsplit(target)
        self.connection = connection
        self.name = f"{method} {parts.path}"
        self.query = parse_qs(parts.query)
        self.body = json.loads(body) if body else None
        self._streaming = False

    def answer(self, value: Any = None, status: int = 200) -> None:
        body = b"" if value is None else json.dumps(value).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.connection.sendall(head.encode() + body)

    def line(self, **line: Any) -> None:
        """One more progress line."""
        if not self._streaming:
            self.connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._streaming = True
        data = json.dumps(line).encode() + b"\n"
        self.connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        self.connection.sendall(b"0\r\n\r\n")

    def upgrade(self) -> socket.socket:
        self.connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        return self.connection


class FakeEngine:
    """Serves `routes` ("GET /version" -> a function, or the JSON to answer with); keeps what was asked in `calls`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.routes: dict[str, Any] = {}
        self.calls: list[Call] = []
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def called(self, name: str) -> Call:
        return next(call for call in self.calls if call.name == name)

    @property
    def names(self) -> list[str]:
        return [call.name for call in self.calls]

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            if connection.recv(1, socket.MSG_PEEK) == b"!":
                connection.close()
                self._threads.pop()
                return
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(65536)
                if not piece:
                    return  # only asked whether somebody listens
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode().split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0)
            while len(body) < length:
                body += connection.recv(65536)
            method, target, _ = first.split(" ")
            call = Call(connection, method, target, body)
            self.calls.append(call)
            try:
                self._reply(call)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the CLI left first, as a test may want
            except BaseException as failure:  # noqa: BLE001 shown by the fixture
                self.failures.append(failure)

    def _reply(self, call: Call) -> None:
        route = self.routes.get(call.name)
        if route is None:
            call.answer({"message": f"page not found: {call.name}", "code": "O8-404"}, status=404)
        elif callable(route):
            route(call)
        else:
            call.answer(route)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.path)
            last.sendall(b"!")
        self._accepting.join()
        for thread in self._threads:
            thread.join()
        self._listener.close()
        assert self.failures == []


ERROR = b'{"message": "%b", "code": "%b", "notes": [], "helps": []}'  # a frame of a stream that failed


def container(service: str = "web", number: int = 1, **further: Any) -> dict[str, Any]:
    """What the engine says of a container that runs."""
    return {
        "id": f"{number:012x}", "name": f"shop-{service}-{number}", "stack": "shop", "service": service, "number": number,
        "image": "rootfs:/", "command": ["/bin/sh", "-c", "while true; do sleep 1; done"], "oneoff": False,
        "state": "running", "exit_code": None, "health": None, "created_at": time.time() - 200, "started_at": 1.5, "status": "Up 3 minutes",
        "ports": [{"host_ip": "0.0.0.0", "published": 8080, "target": 80, "protocol": "tcp"}],
        "labels": {"b": "2", "a": "1"}, "addresses": {"shop_default": ["10.9.0.2"]}, **further,
    }  # fmt: skip


def steps(*events: tuple[str, str, str]) -> Any:
    """A route that does work: these steps, then done."""

    def route(call: Call) -> None:
        call.line(type="plan", steps=len(events), text="")
        for kind, name, status in events:
            call.line(type="step", kind=kind, name=name, status=status)
        call.line(type="done", ports=[], containers=[])
        call.end()

    return route
