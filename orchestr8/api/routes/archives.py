"""/containers/{id or name}/archive: files of a container as tar, as Docker's route of the same name.

`X-Docker-Container-Path-Stat` is base64 of JSON with Docker's fields, `mode` in the bits of Go's io/fs; but `linkTarget` is what
the symlink says. A client that asks for an upgrade gets the archive in frames, so that it hears why it was cut off, and at
the end an announcement that it is whole.
"""

import base64
import json
import logging
import stat
import time
from typing import Final

from orchestr8.api.errors import error_response
from orchestr8.api.router import Route
from orchestr8.api.services import ContainerService
from orchestr8.api.values import json_response
from orchestr8.errors import Orchestr8Error, Unsupported
from orchestr8.model.backend import PathStatus
from orchestr8.wire.frames import MULTIPLEXED
from orchestr8.wire.http import Answer, Hijacked, Intake, Request, Response, Takeover

log = logging.getLogger("orchestr8.api")

HEADER: Final = "X-Docker-Container-Path-Stat"
TAR: Final = "application/x-tar"
_KINDS: Final = {  # of Go's io/fs.FileMode
    stat.S_IFDIR: 1 << 31, stat.S_IFLNK: 1 << 27, stat.S_IFBLK: 1 << 26, stat.S_IFIFO: 1 << 25, stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}  # fmt: skip
_BITS: Final = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


def routes(containers: ContainerService) -> list[Route]:
    async def read(request: Request, reference: str) -> Answer:
        name = (await containers.find(reference)).container.name
        opened = await containers.open_path(name, request.first("path"), follow=request.flag("follow"))
        headers = {HEADER: status_header(opened.status)}
        if request.method == "HEAD":
            await opened.close()
            return Response(content_type=TAR, headers=headers)

        async def run(connection: Hijacked) -> None:
            try:
                await opened.send(connection.fileno(), framed=connection.upgraded)
            except Orchestr8Error as error:  # the answer has begun; the stream says what it can, or ends too early
                log.warning("an archive of %s was not sent to its end: %s", name, error.message)

        return Takeover(
            run=run,
            close=opened.close,
            one_way=True,
            chunked=True,
            headers=headers,
            content_type=MULTIPLEXED if request.wants_upgrade else TAR,
        )

    async def write(request: Request, reference: str) -> Answer:
        if request.flag("copyUIDGID"):
            raise Unsupported(
                "copyUIDGID: files cannot be given to the container's user; they belong to whom the archive says"
            )

        async def run(connection: Hijacked, length: int | None) -> Response:
            try:  # looked up here: whose name it is may change until the body comes
                name = (await containers.find(reference)).container.name
                opened = await containers.open_path(name, request.first("path"), write=True)
                try:
                    told = await opened.receive(connection.fileno(), connection.early, length)
                finally:
                    await opened.close()
            except Exception as failure:  # noqa: BLE001 - as the router's: whatever it is, the client gets an answer
                return error_response(failure)
            return json_response({"Warnings": list(told)})

        return Intake(run=run)

    return [
        Route("GET", "/containers/{reference}/archive", read),
        Route("PUT", "/containers/{reference}/archive", write, takes_body=True),
    ]


def status_header(status: PathStatus) -> str:
    kind, permissions = stat.S_IFMT(status.mode), status.mode & 0o777
    mode = permissions | _KINDS.get(kind, 0) | sum(go for bit, go in _BITS.items() if status.mode & bit)
    seconds, nanoseconds = divmod(status.mtime_ns, 1_000_000_000)
    described = {
        "name": status.name, "size": status.size, "mode": mode, "mtime": _moment(seconds, nanoseconds),
        "linkTarget": status.link,
    }  # fmt: skip
    return base64.b64encode(json.dumps(described).encode()).decode()


def _moment(seconds: int, nanoseconds: int) -> str:
    """RFC 3339; what has no year of four digits, Go's zero."""
    try:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        text = ""
    return f"{text}.{nanoseconds:09d}Z" if len(text) == 19 else "0001-01-01T00:00:00Z"
