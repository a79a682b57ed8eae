"""Programs beside a container's own, and who is connected to it: probes, execs, attaching, the list of processes."""

import socket

import anyio
import pytest

from orchestr8.errors import Conflict, NotFound, OperationFailed
from orchestr8.model.backend import ExecSpec
from orchestr8.model.ids import ContainerName
from orchestr8.model.observed import ContainerState
from orchestr8.wire.frames import STDERR, STDOUT
from tests.backends.bench import WEB, Bench
from tests.backends.streams import joined, read_frames, run_exec


async def test_a_probe_tells_exit_code_and_output(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    good = await bench.backend.probe(WEB, ("sh", "-c", "echo fine"), 5.0)
    bad = await bench.backend.probe(WEB, ("sh", "-c", "echo broken; exit 7"), 5.0)
    assert (good.exit_code, good.output) == (0, "fine\n")
    assert (bad.exit_code, bad.output) == (7, "broken\n")


async def test_a_probe_that_takes_too_long_has_no_exit_code(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    assert (await bench.backend.probe(WEB, ("sleep", "1000"), 0.2)).exit_code is None


async def test_a_container_that_does_not_run_cannot_be_probed(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict):
        await bench.backend.probe(WEB, ("true",), 5.0)


async def test_exec_frames_both_streams_and_tells_the_exit_code(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    spec = ExecSpec(argv=("sh", "-c", "echo out; echo err >&2; exit 4"), stdin=False)
    code, frames = await run_exec(bench, spec, b"")
    assert code == 4
    assert joined(frames) == {STDOUT: b"out\n", STDERR: b"err\n"}


async def test_exec_reads_what_was_read_too_far_first(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    code, frames = await run_exec(bench, ExecSpec(argv=("cat",)), b" later", early=b"first")
    assert code == 0
    assert joined(frames) == {STDOUT: b"first later"}


async def test_an_unknown_program_in_exec_is_an_error_that_names_it(bench: Bench) -> None:
    await bench.create()
    await bench.start()
    with pytest.raises(OperationFailed, match="no-such-program") as caught:
        await run_exec(bench, ExecSpec(argv=("no-such-program",), stdin=False), b"")
    assert caught.value.code == "O8-627"


async def test_what_attaches_before_the_start_misses_nothing(bench: Bench) -> None:
    await bench.create("sh", "-c", "echo hello")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        await bench.backend.attach(WEB, theirs.fileno(), stdin=False)
        theirs.close()
        await bench.start()
        assert joined(await read_frames(ours)) == {STDOUT: b"hello\n"}


async def test_a_guest_comes_to_what_runs(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(Conflict, match=f"{WEB} is not running"):
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)
        await bench.start()
        await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)
        await bench.stop()
        with pytest.raises(Conflict, match=f"{WEB} is not running"):
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True, guest=True)


async def test_a_services_input_does_not_end_with_that_of_a_client(bench: Bench) -> None:
    await bench.create("cat", stdin_open=True)
    await bench.start()
    for said in (b"first\n", b"second\n"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            await bench.backend.attach(WEB, theirs.fileno(), stdin=True)
            theirs.close()
            ours.sendall(said)
            ours.shutdown(socket.SHUT_WR)
            ours.setblocking(False)
            got = b""
            while not got.endswith(said):
                await anyio.wait_readable(ours)
                got += ours.recv(4096)
    assert (await bench.see()).state is ContainerState.RUNNING
    await bench.stop()


async def test_what_runs_has_processes_and_what_does_not_has_none_to_show(bench: Bench) -> None:
    await bench.create()
    with pytest.raises(Conflict, match="is not running"):
        await bench.backend.processes(WEB)
    await bench.start()
    found = await bench.backend.processes(WEB)
    seen = await bench.see()
    assert seen.pid in {each.pid for each in found}
    assert " ".join(seen.command) in {each.command for each in found}
    with pytest.raises(NotFound):
        await bench.backend.processes(ContainerName("nobody"))
