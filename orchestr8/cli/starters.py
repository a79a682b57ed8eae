"""What a first stack file says, from what lies in a folder: `init`'s knowledge of other people's projects.

A row of `SIGNS` is a file that tells how a project is run; the first that is there counts, and a Procfile, which says it
outright, before all others. Only keys that the engine acts on are written. What it cannot do yet, and programs that
this machine lacks, are told as remarks.
"""

from __future__ import annotations

import json
import os
import re
import shutil

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

_MAX_BYTES: Final = 1 << 20  # a file that tells how a project is run is small


class Draft:
    """A service to be: what it runs, the port it listens at, and where that was read."""

    __slots__ = ("command", "name", "port", "why", "words")

    def __init__(self, name: str, command: str, *, port: int = 0, words: bool = True, why: str = "") -> None:
        self.name = name
        self.command = command
        self.port = port
        self.words = words  # False: the command is written for a shell
        self.why = why


def drafts(folder: str) -> tuple[list[Draft], list[str]]:
    """The services that the folder suggests, and remarks; no service where nothing is recognised."""
    found: list[Draft] = []
    for name, read in SIGNS:
        if os.path.isfile(os.path.join(folder, name)):
            found = read(folder, _text(folder, name))
            if found:
                break
    remarks = []
    image = next((name for name in ("Dockerfile", "Containerfile") if os.path.isfile(os.path.join(folder, name))), "")
    if image:
        port, command = _dockerfile(_text(folder, image))
        remarks.append(
            f"orchestr8 does not build images yet, so {image} is not used: the service runs on this machine's own files"
        )
        if not found and command:
            found = [Draft("app", command, port=port, words=False, why=f"the CMD of {image}")]
        for each in found[:1]:
            each.port = port or each.port
    for each in found:
        program = each.command.split()[0]
        if each.words and "/" not in program and not shutil.which(program):
            remarks.append(f"`{program}`, which {each.name} runs, is not installed on this machine")
    return found, remarks


def stack_text(name: str, services: list[Draft], schema: str) -> str:
    """The file. With no service known, one that shows where to begin."""
    lines = [f"# yaml-language-server: $schema={schema}", f"name: {name}", "", "services:"]
    if not services:
        lines += [
            "  app:",
            "    image: rootfs:/            # this machine's own files, read-only; or rootfs:/path/of/a/directory",
            '    command: ["echo", "hello from a container"]   # what shall run',
            "    # working_dir: /app",
            "    # volumes: [.:/app]        # this folder, in the container",
            '    # ports: ["8080:80"]       # port of this machine : port of the container',
        ]
    for service in services:
        lines.append(f"  {service.name}:" + (f"   # {service.why}" if service.why else ""))
        lines.append("    image: rootfs:/   # this machine's own files, under a layer that takes what is written")
        command = service.command.replace("$", "$$")
        lines.append(f"    command: {json.dumps(command if service.words else ['sh', '-c', command])}")
        lines += ["    working_dir: /app", "    volumes:", "      - .:/app"]
        if service.port:
            lines += ["    ports:", f'      - "{service.port}:{service.port}"']
            if not service.words and "PORT" in service.command:
                lines += ["    environment:", f'      PORT: "{service.port}"']
        lines.append("    restart: unless-stopped")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def demo_text(name: str, schema: str) -> str:
    """Three services that any machine with python3 can run: one that answers, one that asks, and one that goes first."""
    return f"""\
# yaml-language-server: $schema={schema}
# Three services on this machine's own files (rootfs:/), so that nothing is downloaded.
#
#     orchestr8 up -d --wait      then: curl http://127.0.0.1:8080/
#     orchestr8 logs              what they say
#     orchestr8 down -v           and all of it is gone
name: {name}

services:
  prepare: # goes first, and ends
    image: rootfs:/
    command: ["sh", "-c", "echo '<h1>It works</h1>' > /site/index.html"]
    volumes:
      - site:/site

  web:
    image: rootfs:/
    command: python3 -u -m http.server 80 --directory /site
    volumes:
      - site:/site
    ports:
      - "127.0.0.1:8080:80"
    depends_on:
      prepare:
        condition: service_completed_successfully
    healthcheck:
      test: ["CMD", "python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 80)).close()"]
      start_period: 10s
      start_interval: 200ms
    restart: unless-stopped

  visitor: # reaches web by its name
    image: rootfs:/
    command:
      - python3
      - -uc
      - |
        import time, urllib.request
        while True:
            print(urllib.request.urlopen("http://web/").read().decode().strip())
            time.sleep(5)
    depends_on:
      web:
        condition: service_healthy

volumes:
  site:
"""


def _text(folder: str, name: str) -> str:
    with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
        return file.read(_MAX_BYTES)


def _dockerfile(text: str) -> tuple[int, str]:
    """The first port that it exposes, and what its last CMD runs, as a shell would."""
    joined = re.sub(r"\\\r?\n", " ", text)
    port = re.search(r"^\s*EXPOSE\s+(\d+)", joined, re.MULTILINE | re.IGNORECASE)
    commands = re.findall(r"^\s*CMD\s+(.+?)\s*$", joined, re.MULTILINE | re.IGNORECASE)
    command = commands[-1] if commands else ""
    if command.startswith("["):
        try:
            words = json.loads(command)
        except ValueError:
            return int(port[1]) if port else 0, ""
        import shlex

        command = shlex.join(map(str, words))
    return int(port[1]) if port else 0, command


def _procfile(_: str, text: str) -> list[Draft]:
    found = []
    for number, (name, command) in enumerate(re.findall(r"^([A-Za-z0-9_-]+):\s*(\S.*?)\s*$", text, re.MULTILINE)):
        port = 8000 if "$PORT" in command or "${PORT" in command else 0
        found.append(Draft(name, command, port=port and port + 100 * number, words=False, why="of the Procfile"))
    return found


def _package_json(folder: str, text: str) -> list[Draft]:
    scripts = _object(_object(text).get("scripts"))
    runner = "npm"
    for lock, tool in (("pnpm-lock.yaml", "pnpm"), ("yarn.lock", "yarn"), ("bun.lockb", "bun"), ("bun.lock", "bun")):
        if os.path.exists(os.path.join(folder, lock)):
            runner = tool
    for script in ("start", "dev", "serve"):
        if script in scripts:
            port = re.search(r"(?:--port|-p|PORT=)[ =]?(\d{2,5})", str(scripts[script]))
            known = 5173 if "vite" in str(scripts[script]) else 3000
            return [Draft("web", f"{runner} run {script}", port=int(port[1]) if port else known, why="of package.json")]
    main = _object(text).get("main")
    return [Draft("web", f"node {main}", why="`main` of package.json")] if isinstance(main, str) else []


def _object(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _django(_: str, __: str) -> list[Draft]:
    return [Draft("web", "python3 manage.py runserver 0.0.0.0:8000", port=8000, why="manage.py: Django")]


def _python(folder: str, text: str) -> list[Draft]:
    """requirements.txt or pyproject.toml: the framework among what is needed, and the module that holds the program."""
    needs = text.lower()
    module = next((name for name in ("app", "main", "wsgi", "asgi", "server", "run")
                   if os.path.isfile(os.path.join(folder, f"{name}.py"))), "")  # fmt: skip
    if module and re.search(r"\b(fastapi|starlette|uvicorn|quart|litestar)\b", needs):
        return [Draft("web", f"uvicorn {module}:app --host 0.0.0.0 --port 8000", port=8000, why=f"{module}.py: ASGI")]
    if module and re.search(r"\bflask\b", needs):
        return [
            Draft("web", f"flask --app {module} run --host 0.0.0.0 --port 5000", port=5000, why=f"{module}.py: Flask")
        ]
    if module and re.search(r"\bstreamlit\b", needs):
        return [Draft("web", f"streamlit run {module}.py --server.address 0.0.0.0", port=8501, why="Streamlit")]
    if script := re.search(r"^\[project\.scripts\]\s*^\s*\"?([A-Za-z0-9_.-]+)\"?\s*=", text, re.MULTILINE):
        return [Draft("app", script[1], why="a script of pyproject.toml")]
    return [Draft("app", f"python3 -u {module}.py", why=f"{module}.py")] if module else []


def _python_file(_: str, __: str) -> list[Draft]:
    return [Draft("app", "python3 -u main.py", why="main.py")]


def _one(name: str, command: str, port: int, why: str) -> Callable[[str, str], list[Draft]]:
    return lambda _, __: [Draft(name, command, port=port, why=why)]


SIGNS: Final[tuple[tuple[str, Callable[[str, str], list[Draft]]], ...]] = (
    ("Procfile", _procfile),
    ("manage.py", _django),
    ("pyproject.toml", _python),
    ("requirements.txt", _python),
    ("package.json", _package_json),
    ("go.mod", _one("app", "go run .", 0, "go.mod")),
    ("Cargo.toml", _one("app", "cargo run", 0, "Cargo.toml")),
    ("config.ru", _one("web", "bundle exec rackup -o 0.0.0.0 -p 9292", 9292, "config.ru")),
    ("composer.json", _one("web", "php -S 0.0.0.0:8000", 8000, "composer.json")),
    ("index.php", _one("web", "php -S 0.0.0.0:8000", 8000, "index.php")),
    ("main.py", _python_file),
    ("index.html", _one("web", "python3 -u -m http.server 8000", 8000, "index.html")),
)
