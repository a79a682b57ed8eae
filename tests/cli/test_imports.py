"""What commands that only read may import: start-up is what a user feels, and every module costs.

A new name here needs a reason: measure it (`python -X importtime -m orchestr8 ps`) and compare with DESIGN.md's bars.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fake_engine import Call, FakeEngine
from tests.cli.process import ROOT

STANDARD_LIBRARY = {
    *("argparse", "gettext", "locale", "re", "enum", "functools", "collections", "keyword", "operator", "reprlib"),
    *("types", "copyreg", "warnings", "itertools", "json", "struct", "zlib", "math", "array", "errno"),
    *("socket", "selectors", "select", "signal", "termios", "tty", "time"),
}
OURS = {
    "errors",
    *("wire", "wire.client", "wire.body", "wire.paths", "wire.frames", "wire.durations"),
    *(
        "cli",
        "cli.entry",
        "cli.main",
        "cli.parser",
        "cli.table",
        "cli.words",
        "cli.context",
        "cli.remembered",
        "cli.output",
        "cli.progress",
        "cli.times",
    ),
    *(
        "cli.render",
        "cli.documents",
        "cli.containers",
        "cli.follow",
        "cli.logview",
        "cli.resumption",
        "cli.loop",
        "cli.terminal",
    ),
    *("cli.commands", "cli.commands.ps", "cli.commands.logs", "cli.commands.exec", "cli.commands.stats"),
    "cli.commands.version",
    *("stack", "stack.project", "stack.environment", "stack.dotenv", "stack.interpolate", "stack.nodes"),
    *("stack.problems", "stack.scalars", "stack.source", "stack.suggest"),
}
SCRIPT = """
import sys
before = {name.partition(".")[0] for name in sys.modules} | {"__future__", "runpy", "gc"}
import orchestr8.cli.entry
from orchestr8.cli.main import run
code = run(sys.argv[1:])
names = set()
for name in sys.modules:
    top, _, rest = name.partition(".")
    if top == "orchestr8":
        names.add("ours " + rest)
    elif top not in before and not top.startswith("_"):  # what begins so is C, and part of a module that is listed
        names.add(top)
sys.stderr.write("\\n".join(sorted(names)))
sys.exit(code)
"""


def imported(*words: str) -> tuple[set[str], set[str]]:
    """Modules of the standard library and of ours that a command needs, beyond what every interpreter has."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{SCRIPT}", *words],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=dict(os.environ), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = set(done.stderr.split("\n"))
    ours = {name.removeprefix("ours ") for name in names if name.startswith("ours ")}
    return names - {f"ours {name}" for name in ours}, ours - {""}


@pytest.fixture
def reading(engine: FakeEngine) -> None:
    """An engine with one container that has little to say."""
    found = {
        "id": "abc", "name": "shop-web-1", "stack": "shop", "service": "web", "number": 1, "oneoff": False, "image": "x",
        "command": [], "state": "running", "status": "Up", "created_at": 0, "ports": [], "addresses": {},
    }  # fmt: skip

    def logs(call: Call) -> None:
        call.upgrade()
        engine.routes["GET /stacks/shop/containers"] = []  # it has ended, and so does who follows

    engine.routes |= {
        "GET /stacks/shop/containers": [found],
        "GET /stacks/shop/logs": logs,
        "GET /stacks/shop/stats": [],
        "POST /containers/abc/exec": {"Id": "e1"},
        "POST /exec/e1/start": lambda call: call.upgrade(),
        "GET /exec/e1/json": {"ExitCode": 0},
        "GET /version": {"Version": "1", "ApiVersion": "1", "KernelVersion": "1"},
    }
    Path("stack.yml").write_text("name: shop\nservices:\n  web:\n    image: rootfs:/\n")


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("before", [[], ["-p", "shop"]], ids=["name from the file", "name from a flag"])
@pytest.mark.parametrize(
    "words",
    [
        ["ps"],
        ["ps", "--format", "json"],
        ["logs"],
        ["logs", "-f", "web"],
        ["exec", "web", "true"],
        ["version"],
        ["stats", "--no-stream"],
    ],
    ids=" ".join,
)
def test_commands_that_read_import_only_what_they_need(words: list[str], before: list[str]) -> None:
    standard_library, ours = imported(*before, *words)
    assert standard_library - STANDARD_LIBRARY == set()
    assert ours - OURS == set()


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["explain", "O8-101"], {"codes", "cli.commands.explain"}),
        (["schema", "--path"], {"cli.commands.schema", "stack.schemafile"}),
    ],
    ids=["explain", "schema"],
)
def test_commands_that_need_no_stack_import_next_to_nothing(words: list[str], more: set[str]) -> None:
    standard_library, ours = imported(*words)
    assert standard_library - STANDARD_LIBRARY == set()
    assert ours - OURS - more == set()


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("words", [["check"], ["config"], ["config", "--origin"], ["graph"]], ids=" ".join)
def test_commands_that_load_the_stack_load_neither_engine_nor_planner(words: list[str]) -> None:
    standard_library, ours = imported(*words)
    assert {name.partition(".")[0] for name in ours} - {""} <= {"errors", "cli", "stack", "wire", "model"}
    assert standard_library & {"asyncio", "dataclasses", "inspect", "hashlib", "networkx", "anyio", "difflib"} == set()


@pytest.mark.parametrize("words", [["check"], ["config", "-q"], ["graph", "--format", "dot"]], ids=" ".join)
def test_commands_that_need_no_engine_import_nothing_to_reach_one(words: list[str]) -> None:
    Path("stack.yml").write_text("services: {web: {image: 'rootfs:/', ports: ['127.0.0.1:8080:80']}}\n")
    standard_library, ours = imported(*words)
    assert standard_library & {"socket", "selectors", "json", "ipaddress"} == set()
    assert {name for name in ours if name.startswith("wire.")} == {"wire.paths"}


def test_help_needs_neither_the_stack_nor_an_engine() -> None:
    _, ours = imported("--help")
    assert {name for name in ours if name.startswith("stack")} == set()
