"""What tests of `cp` share: commands with bytes instead of text, archives, and a look into the container."""

import contextlib
import io
import tarfile
import threading
from collections.abc import Callable
from typing import Any

from e2e.scenario import Scenario

Tell = Callable[..., Scenario]
IDLE = "stop_grace_period: 0s, command: sleep infinity"


def idle(image: str, **more: str) -> str:
    settings = ", ".join(f"{key}: {value}" for key, value in more.items())
    return f"{{image: 'rootfs:{image}', {IDLE}{', ' + settings if settings else ''}}}"


def run(story: Scenario, *words: str, stdin: bytes = b"", code: int = 0) -> tuple[bytes, str]:
    """One command with bytes, as a pipe has them."""
    with story.engine.start("cp", *words, cwd=story.directory) as process:
        raw = _bytes(process, stdin)
    assert process.returncode == code, raw[1].decode()
    return raw[0], raw[1].decode()


def _bytes(process: Any, stdin: bytes) -> tuple[bytes, bytes]:
    """`Started` talks text: its pipes have the bytes below."""
    found: dict[str, bytes] = {}

    def read(name: str) -> None:
        found[name] = getattr(process, name).buffer.read()

    readers = [threading.Thread(target=read, args=(name,)) for name in ("stdout", "stderr")]
    for each in readers:
        each.start()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.buffer.write(stdin)
        process.stdin.close()
    for each in readers:
        each.join(50)
    process.wait(50)
    return found["stdout"], found["stderr"]


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {each.name: each for each in archive}


def content(data: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def in_there(story: Scenario, service: str, script: str) -> str:
    return story.step(f"exec -T {service} sh -ec '{script}'").out
