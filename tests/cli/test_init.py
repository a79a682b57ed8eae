"""What `init` writes loads without a complaint, whatever it was made from, and takes the place of nothing."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

FOLDERS = {
    "nothing": ({}, ["echo", "hello from a container"], None),
    "a Procfile": (
        {"Procfile": "web: gunicorn app --bind :$PORT\nworker: python3 worker.py\n", "package.json": "{}"},
        ["sh", "-c", "gunicorn app --bind :$PORT"], "8000",
    ),
    "Django": ({"manage.py": "", "requirements.txt": "django"}, ["python3", "manage.py", "runserver", "0.0.0.0:8000"], "8000"),
    "FastAPI": (
        {"pyproject.toml": '[project]\ndependencies = ["fastapi"]\n', "main.py": ""},
        ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"], "8000",
    ),
    "Flask": (
        {"requirements.txt": "Flask==3\n", "app.py": ""},
        ["flask", "--app", "app", "run", "--host", "0.0.0.0", "--port", "5000"], "5000",
    ),
    "a script": ({"pyproject.toml": '[project.scripts]\nserve-it = "a:b"\n'}, ["serve-it"], None),
    "Node": ({"package.json": '{"scripts": {"start": "node x.js --port 4000"}}'}, ["npm", "run", "start"], "4000"),
    "Node with pnpm": ({"package.json": '{"scripts": {"dev": "vite"}}', "pnpm-lock.yaml": ""}, ["pnpm", "run", "dev"], "5173"),
    "Node that is broken": ({"package.json": "{", "index.html": ""}, ["python3", "-u", "-m", "http.server", "8000"], "8000"),
    "Go": ({"go.mod": "module x"}, ["go", "run", "."], None),
    "Rust": ({"Cargo.toml": ""}, ["cargo", "run"], None),
    "a Dockerfile alone": (
        {"Dockerfile": 'FROM scratch\nEXPOSE 81/tcp\nCMD ["serve", \\\n "a $X \\"q\\" b: c # d"]\n'},
        ["sh", "-c", "serve 'a $X \"q\" b: c # d'"], "81",
    ),
    "a Dockerfile beside": ({"Dockerfile": "EXPOSE 9000", "go.mod": ""}, ["go", "run", "."], "9000"),
    "bytes": ({"Procfile": "web: \udcff\x00\n"}, None, None),
}  # fmt: skip


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_written_loads_and_runs_what_was_found(cli: Cli, folder: str) -> None:
    files, command, published = FOLDERS[folder]
    for name, text in files.items():
        Path(name).write_bytes(text.encode(errors="surrogateescape"))
    code, out, err = cli("init")
    assert (code, out) == (0, "")
    assert err.startswith("wrote stack.yml\n")
    if command is None:
        return
    assert cli("--strict", "check") == (0, "", "nothing is wrong: stack.yml\n")
    document = json.loads(cli("config", "--format", "json")[1].replace("$$", "$"))
    assert document["name"] == "work"
    service = next(iter(document["services"].values())) if folder != "a Procfile" else document["services"]["web"]
    assert service["command"] == command
    assert [each["published"] for each in service.get("ports", ())] == ([published] if published else [])


def test_what_is_missing_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("Dockerfile").write_text("CMD x\n")
    Path("go.mod").write_text("module x\n")
    monkeypatch.setenv("PATH", "")
    assert cli("init")[2] == (
        "wrote stack.yml\n"
        "note: orchestr8 does not build images yet, so Dockerfile is not used: the service runs on this machine's own files\n"
        "note: `go`, which app runs, is not installed on this machine\n"
        "next: orchestr8 check, then orchestr8 up\n"
    )


def test_the_file_names_its_schema(cli: Cli) -> None:
    cli("init")
    first = Path("stack.yml").read_text().splitlines()[0]
    path = first.removeprefix("# yaml-language-server: $schema=file://")
    assert cli("schema", "--path") == (0, f"{path}\n", "")
    assert json.loads(Path(path).read_text()) == json.loads(cli("schema")[1])


def test_the_demo_is_right(cli: Cli) -> None:
    assert cli("init", "--demo")[0] == 0
    assert cli("--strict", "check") == (0, "", "nothing is wrong: stack.yml\n")
    assert cli("config", "--services")[1] == "prepare\nvisitor\nweb\n"


@pytest.mark.parametrize("name", ["stack.yml", "stack.yaml", "compose.yaml", "docker-compose.yml"])
def test_nothing_is_overwritten_or_overshadowed(cli: Cli, name: str) -> None:
    Path(name).write_text("mine")
    code, out, err = cli("init")
    assert (code, out) == (1, "")
    assert err.startswith(f"error[O8-409]: this folder has a stack file already: {name}\n")
    code, _, err = cli("init", "-o", name)
    assert (code, err.splitlines()[0]) == (1, f"error[O8-409]: {Path(name).absolute()} is there already")
    assert Path(name).read_text() == "mine"
    assert cli("init", "-o", "other.yml")[0] == 0
