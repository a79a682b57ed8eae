"""`python -I -m orchestr8.engine --root R [--ready-fd N]`: run an engine until it is stopped.

The ready pipe gets one JSON line: {"ready": true, "pid": …} once the engine answers, or {"error": {…}} when it cannot.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Mapping

import anyio

from orchestr8.api.errors import as_error
from orchestr8.engine.daemon import Engine, serve_until_signalled
from orchestr8.engine.enginelog import EngineLogHandler, begin_logging, end_logging
from orchestr8.engine.paths import EnginePaths, RootLock
from orchestr8.engine.wiring import backend_maker, dismiss_forkserver
from orchestr8.errors import Conflict
from orchestr8.wire.paths import engine_root

FAILED = 1

log = logging.getLogger("orchestr8.engine")


class Ready:
    """The pipe to whoever started this engine."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self.told = False
        if fd is not None:
            os.set_inheritable(fd, False)  # whoever waits for its end waits for this process only

    def tell(self, answer: Mapping[str, object]) -> None:
        self.told = True
        if self._fd is None:
            return
        try:
            os.write(self._fd, json.dumps(answer).encode() + b"\n")
        except BrokenPipeError:
            log.info("who started this engine did not wait for it")
        os.close(self._fd)
        self._fd = None


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestr8.engine", description="The engine of orchestr8.")
    parser.add_argument("--root", default="", help="state directory (default: $ORCHESTR8_ROOT, or /var/lib/orchestr8)")
    parser.add_argument("--ready-fd", type=int, help="descriptor to write one JSON line to when the engine answers")
    parser.add_argument("--forkserver-fd", type=int, help="for a forkserver that restarts its engine")
    arguments = parser.parse_args(argv)
    ready = Ready(arguments.ready_fd)
    paths = EnginePaths.of(engine_root(arguments.root))
    os.umask(0o022)
    try:
        paths.make()
        with lock_root(paths, arguments.forkserver_fd):
            handler = begin_logging(paths.log, os.environ.get("ORCHESTR8_LOG_LEVEL", ""))
            try:
                run(paths, handler, ready, arguments.forkserver_fd)
            finally:
                end_logging(handler)
    except Exception as failure:  # noqa: BLE001 - the border: whoever started this engine is told
        error = as_error(failure)
        ready.tell({"error": error.to_json()})
        print(f"error[{error.code}]: {error.message}", file=sys.stderr)
        return FAILED
    return 0


def lock_root(paths: EnginePaths, forkserver_fd: int | None) -> RootLock:
    """A forkserver that restarted its engine too late, for a user's command has started one meanwhile, is sent home."""
    try:
        return RootLock(paths.lock)
    except Conflict:
        if forkserver_fd is not None:
            dismiss_forkserver(forkserver_fd)
        raise


def run(paths: EnginePaths, handler: EngineLogHandler, ready: Ready, forkserver_fd: int | None) -> None:
    """Until the engine is stopped. Raises what keeps it from starting."""
    engine_environment = dict(os.environ)

    async def serve() -> None:
        make_backend = backend_maker(engine_environment, forkserver_fd, handler.fileno())
        engine = Engine(paths, make_backend, engine_environment, after_crash=forkserver_fd is not None)
        async with anyio.create_task_group() as tasks:
            await tasks.start(serve_until_signalled, engine)
            ready.tell({"ready": True, "pid": os.getpid()})
            handler.take_stderr()

    try:
        anyio.run(serve)
    except Exception as failure:
        if not ready.told:
            log.warning("the engine could not start: %s", as_error(failure))
            raise
        log.critical("the engine ended in a way it must not", exc_info=failure)
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
