"""`cp`: what is asked of the engine and what is said; where things land is `test_landing`'s and the system tests'."""

import base64
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from orchestr8.cli.cutoff import MARK
from orchestr8.wire.frames import ANNOUNCEMENT, ERROR, STDOUT, encode
from tests.cli.conftest import Cli, Stdin
from tests.cli.fake_engine import Call, FakeEngine, container

WHERE = "/containers/000000000001/archive"


def archive(**files: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def header(mode: int = 0o644, link: str = "", name: str = "x") -> str:
    described = {"name": name, "size": 0, "mode": mode, "mtime": "", "linkTarget": link}
    return base64.b64encode(json.dumps(described).encode()).decode()


def answers_get(*pieces: bytes, name: str = "x") -> Any:
    def answer(call: Call) -> None:
        head = f"HTTP/1.1 101 UPGRADED\r\nX-Docker-Container-Path-Stat: {header(name=name)}\r\n\r\n"
        call.connection.sendall(head.encode() + b"".join(pieces))

    return answer


WHOLE = encode(ANNOUNCEMENT, b'{"whole":true}')


@pytest.fixture(autouse=True)
def _stack(engine: FakeEngine) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    engine.routes["GET /stacks/shop/containers"] = [container(), container(number=2)]


def test_a_file_comes_out_of_the_first_container(cli: Cli, engine: FakeEngine) -> None:
    data = archive(x=b"content")
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, data[:700]), encode(STDOUT, data[700:]), WHOLE)
    assert cli("cp", "web:/etc/x", "y") == (0, "", "")
    assert Path("y").read_bytes() == b"content"
    assert engine.called(f"GET {WHERE}").query == {"path": ["/etc/x"]}


def test_owners_are_for_root_to_keep(cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.fchown", None)  # not even tried
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, archive(x=b"content")), WHOLE)
    code, _, said = cli("cp", "-a", "web:x", "y")
    assert (code, said) == (0, "warning: only root can keep owners; what is copied will be yours\n")
    assert Path("y").read_bytes() == b"content"


def test_an_archive_goes_to_the_standard_output_as_it_is(cli: Cli, engine: FakeEngine) -> None:
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, b"anything"), WHOLE)
    assert cli("cp", "-L", "web:/etc/x", "-") == (0, "anything", "")
    assert engine.called(f"GET {WHERE}").query == {"path": ["/etc/x"], "follow": ["1"]}


def test_an_archive_that_is_not_whole_is_an_error(cli: Cli, engine: FakeEngine) -> None:
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, archive(x=b"content")))
    code, _, said = cli("cp", "web:/etc/x", "y")
    assert (code, said.splitlines()[0]) == (1, "error[O8-400]: the copy was cut off")
    error = {"message": "it changes", "code": "O8-640", "notes": [], "helps": ["stop it"]}
    engine.routes[f"GET {WHERE}"] = answers_get(encode(ERROR, json.dumps(error).encode()))
    code, _, said = cli("cp", "web:/etc/x", "y")
    assert (code, said) == (1, "error[O8-640]: it changes\n  = help: stop it\n")


def test_a_pipe_does_not_end_as_if_all_were_there(cli: Cli, engine: FakeEngine) -> None:
    """tar takes what ends between two files for a whole archive, and hears nothing of how its writer ended."""
    data = archive(one=b"1", two=b"2")[:1024]
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, data))
    code, out, _ = cli("cp", "web:/etc/x", "-")
    assert code == 1
    assert out == data.decode() + MARK.decode()


def test_frames_may_come_in_any_pieces(cli: Cli, engine: FakeEngine) -> None:
    data = archive(x=b"content" * 100)

    def answer(call: Call) -> None:
        answers_get()(call)
        for each in encode(STDOUT, data[:600]) + encode(STDOUT, data[600:]) + WHOLE:
            call.connection.sendall(bytes([each]))

    engine.routes[f"GET {WHERE}"] = answer
    assert cli("cp", "web:x", "y") == (0, "", "")
    assert Path("y").read_bytes() == b"content" * 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b"), "cp needs SERVICE:PATH on one side"),
        (("web:/a", "web:/b"), "cp copies into a container or out of one, not from one to another"),
        (("a", "web:"), "the path in the container is empty"),
        (("web:/a", ""), "a path is empty"),
        (("web:/a",), "DESTINATION"),
    ],
)
def test_a_command_line_that_means_nothing_is_told(cli: Cli, words: tuple[str, ...], said: str) -> None:
    code, out, err = cli("cp", *words)
    assert (code, out) == (2, "")
    assert said in err


def test_a_file_whose_name_has_a_colon_is_a_path_when_it_begins_with_a_dot(cli: Cli, engine: FakeEngine) -> None:
    Path("a:b").write_text("content")
    code, _, said = cli("cp", "a:b", "web:/x")
    assert (code, "help: the file here that is called so: ./a:b\n" in said) == (2, True)
    code, _, said = cli("cp", "a:b", ".")
    assert (code, "no such service: a" in said, "called so: ./a:b\n" in said) == (1, True, True)
    code, _, said = cli("cp", "other:/x", ".")
    assert (code, "no such service: other" in said, "called so" in said) == (1, True, False)
    data = archive(x=b"new")
    engine.routes[f"GET {WHERE}"] = answers_get(encode(STDOUT, data), WHOLE)
    assert cli("cp", "web:/x", "./a:b") == (0, "", "")
    assert Path("a:b").read_text() == "new"


def test_what_is_not_there_is_told_before_the_engine_is_asked_for_anything(cli: Cli, engine: FakeEngine) -> None:
    code, _, said = cli("cp", "nothing", "web:/x")
    assert (code, said) == (1, "error[O8-640]: nothing: no such file or directory\n")
    code, _, said = cli("cp", "web:/x", "no/where")
    assert (code, said) == (1, 'error[O8-640]: invalid output path: directory "no" does not exist\n')
    assert set(engine.names) == {"GET /stacks/shop/containers"}


def test_a_stream_needs_a_directory(cli: Cli, engine: FakeEngine, stdin: Stdin) -> None:
    stdin(b"")
    engine.routes[f"HEAD {WHERE}"] = lambda call: call.answer(status=404)
    code, _, said = cli("cp", "--index", "1", "-", "web:/x")
    assert (code, said) == (1, 'error[O8-640]: destination "shop-web-1:/x" must be a directory\n')


def test_a_name_that_is_no_service_may_be_a_containers(cli: Cli, engine: FakeEngine) -> None:
    def listed(call: Call) -> None:
        call.answer([] if "service" in call.query else [container()])

    engine.routes["GET /stacks/shop/containers"] = listed
    engine.routes["GET /containers/other-db-1/json"] = {"Id": "000000000009", "Name": "/other-db-1"}
    engine.routes["GET /containers/000000000009/archive"] = answers_get(encode(STDOUT, b"its"), WHOLE)
    assert cli("cp", "other-db-1:/x", "-") == (0, "its", "")
