"""What an engine's process does before it is an engine."""

import socket
from pathlib import Path

import pytest

from orchestr8.engine.__main__ import FAILED, main
from orchestr8.engine.paths import EnginePaths, RootLock, listen
from orchestr8.errors import OperationFailed
from orchestr8.kernel import sockets
from orchestr8.runtime import messages


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EnginePaths:
    monkeypatch.setenv("ORCHESTR8_RUN_DIR", str(tmp_path / "run"))
    found = EnginePaths.of(str(tmp_path / "root"))
    found.make()
    return found


def test_a_root_that_cannot_be_made_is_named_with_what_can_be_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OperationFailed) as caught:
        EnginePaths.of(str(tmp_path / "file" / "root")).make()
    assert caught.value.message == f"cannot make the engine's directory {tmp_path}/file/root: Not a directory"
    assert caught.value.helps == ["choose another place by --root, or ORCHESTR8_ROOT"]


def test_a_forkserver_whose_engine_finds_another_one_there_is_sent_home(
    paths: EnginePaths, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else it would start one after the other, as long as the machine runs, and one of them would outlive a stop."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, RootLock(paths.lock):
        assert main(["--root", paths.root, "--forkserver-fd", str(theirs.detach())]) == FAILED
        packet, _ = sockets.receive_packet(ours)
        assert isinstance(messages.decode(packet), messages.Shutdown)
    assert "another engine" in capsys.readouterr().err


def test_a_forkserver_that_is_gone_already_needs_no_word(
    paths: EnginePaths, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    with RootLock(paths.lock):
        assert main(["--root", paths.root, "--forkserver-fd", str(theirs.detach())]) == FAILED
    assert "another engine" in capsys.readouterr().err


def test_the_socket_is_for_root_and_its_group(paths: EnginePaths) -> None:
    with listen(paths):
        assert Path(paths.socket).stat().st_mode & 0o777 == 0o660
