"""`commit`: what the engine is asked for."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import Call, FakeEngine, container

ID = f"sha256:{'1' * 64}"
PLAIN = {"container": ["000000000001"], "repo": [""], "author": [""], "comment": [""], "pause": ["1"]}


@pytest.fixture(autouse=True)
def _stack(engine: FakeEngine) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    engine.routes["GET /stacks/shop/containers"] = [container(), container(number=2)]
    engine.routes["POST /commit"] = {"Id": ID, "Warnings": []}


def asked(engine: FakeEngine) -> dict[str, Any]:
    """Without parse_qs's habit of leaving out what is empty."""
    return {key: [""] for key in PLAIN} | engine.calls[-1].query


@pytest.mark.parametrize(
    ("words", "query"),
    [
        (["web"], {}),
        (["web", "shop:1"], {"repo": ["shop:1"]}),
        (["-p", "web", "shop"], {"repo": ["shop"]}),
        (["--pause", "web", "shop"], {"repo": ["shop"]}),
        (["--pause=false", "web"], {"pause": ["0"]}),
        (["-p=true", "web"], {}),
        (["web", "-m", "why", "--author", "me", "shop"], {"repo": ["shop"], "comment": ["why"], "author": ["me"]}),
        (["-c", "CMD x", "--change", "ENV A=1", "web"], {"changes": ["CMD x", "ENV A=1"]}),
        (["--index", "2", "web"], {"container": ["000000000002"]}),
    ],
)
def test_what_is_asked_for(cli: Cli, engine: FakeEngine, words: list[str], query: dict[str, Any]) -> None:
    assert cli("commit", *words) == (0, f"{ID}\n", "")
    assert asked(engine) == {**PLAIN, **query}


def test_what_could_not_be_put_in_is_told(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["POST /commit"] = {"Id": ID, "Warnings": ["this and that"]}
    assert cli("commit", "web") == (0, f"{ID}\n", "warning: this and that\n")


def test_what_is_no_truth_or_too_much_is_a_mistake(cli: Cli, engine: FakeEngine) -> None:
    code, _, err = cli("commit", "--pause=perhaps", "web")
    assert (code, "`perhaps` is neither true nor false" in err) == (2, True)
    assert cli("commit", "web", "a", "b")[0] == 2
    assert cli("commit")[0] == 2


def test_an_error_of_the_engine_is_shown(cli: Cli, engine: FakeEngine) -> None:
    def refuse(call: Call) -> None:
        call.answer({"message": "no room", "code": "O8-505"}, status=500)

    engine.routes["POST /commit"] = refuse
    assert cli("commit", "web") == (1, "", "error[O8-505]: no room\n")
