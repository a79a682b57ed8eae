"""A stack's document is made anew when anything that it was made of is another, and only then."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import orchestr8.stack.load
from orchestr8.cli.context import Context
from orchestr8.cli.documents import sent_document
from orchestr8.cli.parser import parse
from orchestr8.stack.load import Loaded, LoadOptions
from orchestr8.stack.source import read_text, watching
from tests.cli.conftest import Cli, Stdin
from tests.cli.fake_engine import FakeEngine
from tests.cli.test_imports import imported

PLAIN = "services:\n  web:\n    image: rootfs:/\n"
Document = dict[str, Any]


class Loads:
    """How often stack files were read."""

    count = 0

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = orchestr8.stack.load.load

        def load(options: LoadOptions) -> Loaded:
            self.count += 1
            return real(options)

        monkeypatch.setattr(orchestr8.stack.load, "load", load)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    return Loads(monkeypatch)


def document(*words: str, **how: bool) -> Document:
    """As the engine gets it, of a run of its own."""
    _, options = parse([*words, "up"])
    sent: Document = json.loads(json.dumps(sent_document(Context(options), **how)))
    return sent


def entries() -> list[Path]:
    return sorted(Path(os.environ["XDG_CACHE_HOME"]).glob("orchestr8/*"))


@pytest.fixture
def stack(loads: Loads) -> Callable[[str], Document]:
    """Writes a stack file, and sees that it is read once for two that ask."""

    def write(text: str, *words: str) -> Document:
        Path("stack.yml").write_text(text)
        first = document(*words)
        before = loads.count
        assert document(*words) == first
        assert loads.count == before
        return first

    return write


def move(name: str, text: str) -> None:
    """A file as editors write it: another in its place, and its time set back."""
    status = os.stat(name)
    Path(f"{name}~").write_text(text)
    os.utime(f"{name}~", ns=(status.st_atime_ns, status.st_mtime_ns))
    os.rename(f"{name}~", name)


CHANGES: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], object]]] = {
    "the file": (PLAIN, lambda _: move("stack.yml", PLAIN.replace("web", "wem"))),
    "a variable": (PLAIN + "    hostname: h-${A:-none}\n", lambda patch: patch.setenv("A", "one")),
    "a variable of the process": (PLAIN + "    environment: [A]\n", lambda patch: patch.setenv("A", "one")),
    "the home": (PLAIN + "    volumes: ['~:/home']\n", lambda patch: patch.setenv("HOME", "/root/x")),
    "an override file": (
        PLAIN,
        lambda _: Path("stack.override.yml").write_text("services: {web: {hostname: other}}"),
    ),
    "a .env file": (PLAIN + "    hostname: h-${A:-none}\n", lambda _: Path(".env").write_text("A=one\n")),
    "an env file": (PLAIN + "    env_file: web.env\n", lambda _: move("web.env", "A=two\n")),
    "an optional env file": (
        PLAIN + "    env_file: [{path: late.env, required: false}]\n",
        lambda _: Path("late.env").write_text("A=two\n"),
    ),
    "a label file": (PLAIN + "    label_file: web.env\n", lambda _: move("web.env", "A=two\n")),
    "an included file": (PLAIN + "include: [part.yml]\n", lambda _: move("part.yml", "services: {b: {image: b}}\n")),
    "a variable that an included file asks for": (
        PLAIN + "include: [part.yml]\n",
        lambda patch: patch.setenv("PART", "two"),
    ),
    "an extended file": (
        PLAIN + "    extends: {file: part.yml, service: a}\n",
        lambda _: move("part.yml", "services: {a: {image: a, hostname: changed}}\n"),
    ),
    "profiles": (PLAIN + "  more: {image: b, profiles: [p]}\n", lambda patch: patch.setenv("COMPOSE_PROFILES", "p")),
    "the name": (PLAIN, lambda patch: patch.setenv("COMPOSE_PROJECT_NAME", "other")),
    "the file's name": (PLAIN, lambda patch: patch.setenv("COMPOSE_FILE", "part.yml")),
    "a seccomp profile": (PLAIN + "    security_opt: ['seccomp=s.json']\n", lambda _: move("s.json", '{"a": 2}')),
    "the code": (PLAIN, lambda patch: patch.setattr("orchestr8.cli.remembered.__version__", "9")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_is_seen(
    change: str, stack: Callable[[str], Document], loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("web.env").write_text("A=one\n")
    Path("part.yml").write_text("services: {a: {image: 'a:${PART:-one}'}}\n")
    Path("s.json").write_text('{"a": 1}')
    text, alter = CHANGES[change]
    first = stack(text)
    alter(monkeypatch)
    before = loads.count
    second = document()
    assert loads.count == before + 1
    assert (second != first) == (change != "the code")
    monkeypatch.setenv("ORCHESTR8_NO_CACHE", "1")
    assert document() == second


@pytest.mark.parametrize(
    "text",
    [PLAIN + "    hostname: h-${A:-none}\n", PLAIN + "include: [{path: part.yml, env_file: web.env}]\n"],
    ids=["plain", "include"],
)
def test_what_was_not_asked_for_may_change(
    text: str, stack: Callable[[str], Document], loads: Loads, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("web.env").write_text("B=one\n")
    Path("part.yml").write_text("services: {a: {image: 'a:${PART:-one}${B}'}}\n")
    first = stack(text)
    monkeypatch.setenv("OTHER", "thing")
    Path("unrelated").touch()
    os.utime("stack.yml")
    before = loads.count
    assert document() == first
    assert loads.count == before


def test_each_question_has_its_own_answer(stack: Callable[..., Document], loads: Loads) -> None:
    Path("b.yml").write_text("services: {b: {image: b, profiles: [p]}}\n")
    stack(PLAIN)
    for words in (
        ["-f", "b.yml"],
        ["-f", "b.yml", "--profile", "p"],
        ["-p", "other"],
        ["-f", "stack.yml", "--project-directory", "/tmp"],
    ):
        seen = loads.count
        stack(PLAIN, *words)
        assert loads.count == seen + 1
    seen = loads.count
    assert document(acting=True)["name"] == "work"
    assert loads.count == seen + 1
    Path("sub").mkdir()
    os.chdir("sub")
    assert document()["x-orchestr8"]["working_dir"] == os.path.dirname(os.getcwd())
    assert loads.count == seen + 2


def test_its_warnings_are_told_again(cli: Cli, engine: FakeEngine, loads: Loads) -> None:
    engine.routes["POST /stacks/work/plan"] = {"steps": [], "text": ""}
    Path("part.yml").write_text("services: {a: {image: 'a:$PART'}}\n")
    Path("stack.yml").write_text(f"version: '3'\ninclude: [part.yml]\n{PLAIN}    hostname: h$MISSING\n")
    for style in ("full", "json", "sarif"):
        first = cli("--error-format", style, "plan")
        again = cli("--error-format", style, "plan")
        assert again == first
        assert first[0] == 0
        assert "MISSING" in first[2]
        assert "PART" in first[2]
    assert loads.count == 1  # how they are drawn is not part of the question


def test_errors_are_found_anew_each_time(cli: Cli, loads: Loads) -> None:
    Path("stack.yml").write_text("services: {web: {image: 1}}\n")
    first = cli("plan")
    assert first[0] == 1
    assert cli("plan") == first
    assert loads.count == 2
    assert entries() == []


def test_nothing_of_yaml_is_imported_for_an_answer_of_before(engine: FakeEngine) -> None:
    Path("stack.yml").write_text(PLAIN)
    engine.routes["POST /stacks/work/plan"] = {"steps": [], "text": ""}
    for words in (["plan"], ["down", "--dry-run"]):
        _, ours = imported(*words)
        assert "stack.load" in ours
        standard_library, ours = imported(*words)
        assert "yaml" not in standard_library
        assert {name for name in ours if name.startswith("stack")} == {"stack", "stack.source"}


def test_variables_and_files_are_kept_as_digests_alone(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for all variables, to suggest one, keeps none of them; and a secret that no service is given stays out, too."""
    engine.routes["POST /stacks/work/plan"] = {"steps": [], "text": ""}
    engine.routes["GET /stacks/work/containers"] = []
    for name in ("ELSEWHERE", "SECRET", "OFF"):
        monkeypatch.setenv(name, f"hidden {name}")
    Path(".env").write_text("IN_FILE='hidden in .env'\n")
    Path("stack.yml").write_text(
        PLAIN + "    hostname: h$MISSING\n  off: {image: a, profiles: [p], secrets: [o]}\n"
        "secrets: {s: {environment: SECRET}, o: {environment: OFF}, f: {environment: IN_FILE}}\n"
        "configs: {c: {content: hidden here}}\n"
    )
    kept = []
    for words in (["plan"], ["ps"]):  # looked at one by one: both questions may have the same place
        first = cli(*words)
        assert first[0] == 0
        assert cli(*words) == first
        kept += [entry.read_text() for entry in entries()]
    assert len(kept) >= 2
    assert "hidden" not in "".join(kept)


def test_what_changes_while_it_is_read_is_not_kept() -> None:
    Path("web.env").write_text("A=old\n")
    with watching() as sight:
        read_text("web.env", "O8-304", "env file")
        assert sight.lasting
        Path("web.env").write_text("A=new\n")
        read_text("web.env", "O8-304", "env file")
        assert not sight.lasting


@pytest.mark.parametrize(
    "text",
    [
        "services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {file: hidden}}\n",
        "services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {environment: HIDDEN}}\n",
        "services: {web: {image: a, configs: [s]}}\nconfigs: {s: {content: hidden}}\n",
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_what_secrets_hold_is_not_written_down(text: str, complete: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("hidden").write_text("hidden")
    monkeypatch.setenv("HIDDEN", "hidden")
    Path("stack.yml").write_text(text)
    document(complete=complete)
    assert entries() == []


def test_what_can_be_read_once_is_not_remembered(stdin: Stdin, loads: Loads) -> None:
    for service in ("one", "two"):
        stdin(f"services: {{{service}: {{image: a}}}}".encode())
        assert list(document("-f", "-")["services"]) == [service]
        reader, writer = os.pipe()
        os.write(writer, f"services: {{{service}: {{image: a}}}}".encode())
        os.close(writer)
        os.dup2(reader, 42)
        assert list(document("-f", "/dev/fd/42")["services"]) == [service]
        os.close(reader)
        os.close(42)
    assert loads.count == 4
    assert entries() == []


def test_only_the_user_can_read_it(stack: Callable[[str], Document]) -> None:
    stack(PLAIN)
    (entry,) = entries()
    assert stat.S_IMODE(entry.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700


def test_what_another_may_have_written_is_not_believed(stack: Callable[[str], Document], loads: Loads) -> None:
    def changed(entry: Path, **fields: Any) -> None:
        entry.write_text(json.dumps({**json.loads(entry.read_text()), **fields}))

    def spoil(entry: Path) -> None:
        files = json.loads(entry.read_text())["files"]
        changed(entry, files={name: "0" * 32 if name.startswith("holds") else each for name, each in files.items()})

    def link(entry: Path) -> None:
        entry.rename("elsewhere")
        entry.symlink_to(Path("elsewhere").absolute())

    ways: list[Callable[[Path], object]] = [
        lambda entry: entry.chmod(0o640),
        lambda entry: os.chown(entry, 1, 1) if os.geteuid() == 0 else entry.chmod(0o602),
        lambda entry: entry.write_text("{"),
        lambda entry: entry.write_text("[" * 100_000),
        lambda entry: entry.write_bytes(b"\xff"),
        lambda entry: entry.write_text("[]"),
        lambda entry: entry.write_text("{}"),
        lambda entry: changed(entry, files=[]),
        lambda entry: changed(entry, files={"asks of": 1}),
        lambda entry: changed(entry, files={"is-file \0": True}),
        lambda entry: changed(entry, variables=1),
        lambda entry: changed(entry, warnings=[1]),
        lambda entry: changed(entry, warnings=[["O8", "m", [{}], "warning", [], [], None]]),
        lambda entry: entry.write_bytes(b" " * (2 << 20)),
        link,
        lambda entry: (entry.unlink(), os.mkfifo(entry, 0o600)),
        spoil,  # what it says the file held is not what the file holds
    ]
    for way in ways:
        first = stack(PLAIN)
        (entry,) = entries()
        way(entry)
        before = loads.count
        assert document() == first
        assert loads.count == before + 1


def test_without_a_place_of_ones_own_nothing_is_kept(
    loads: Loads, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Path("stack.yml").write_text(PLAIN)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    for cache, home in (("relative", "nowhere"), ("", ""), ("/dev/null", "/"), (str(tmp_path / "file"), "/")):
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
        monkeypatch.setenv("HOME", home)
        document()
    assert not Path("relative").exists()
    if os.geteuid() == 0:
        os.chown(tmp_path / "home", 1, 1)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.delenv("XDG_CACHE_HOME")
        document()
        assert list((tmp_path / "home").iterdir()) == []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ORCHESTR8_NO_CACHE", "1")
    document()
    assert entries() == []


def test_there_are_never_more_than_its_places(
    stack: Callable[[str], Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestr8.cli.remembered._PLACES", 2)
    for number in range(8):
        stack(PLAIN + f"# {number}\n")
        stack(PLAIN, "-p", f"p{number}")
    assert 1 <= len(entries()) <= 2


def test_the_name_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("stack.yml").write_text("name: one\n")

    def name() -> str:
        return Context(parse(["ps"])[1]).stack

    assert [name(), name()] == ["one", "one"]
    assert len(entries()) == 1
    move("stack.yml", "name: two\n")
    assert name() == "two"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "three")
    assert name() == "three"
