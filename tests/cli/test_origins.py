"""What a document that is sent says of where its settings came from."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import FakeEngine


def test_settings_are_sent_with_their_places_and_no_secrets(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.routes["POST /stacks/shop/plan"] = {"steps": [], "text": ""}
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    Path("base.env").write_text("FROM_FILE=1\n")
    Path("stack.yml").write_text(
        "name: shop\nservices:\n  web:\n    image: rootfs:/\n    command: [sleep, '9']\n    env_file: base.env\n"
        "    environment:\n      LEVEL: info\n      DSN: pg://u:${DB_PASSWORD}@h\n    volumes:\n      - data:/data\n"
        "      - /run\n    networks: [front]\n    healthcheck:\n      test: exit 0\n      interval: 5s\n"
        "volumes:\n  data:\nnetworks:\n  front:\n"
    )
    Path("stack.override.yml").write_text("services:\n  web:\n    environment: [LEVEL=debug]\n    user: '1'\n")
    assert cli("plan")[0] == 0
    sent = engine.calls[0].body["document"]["x-orchestr8"]
    assert sent["contents"] == {}
    places = sent["origins"]["web"]
    assert "hunter2" not in str(places)
    assert {key: places[key] for key in sorted(places) if not key.startswith(("env_file", "image"))} == {
        "command": "stack.yml:5",
        "environment": "stack.override.yml:3 (masked)",
        "environment.DSN": "stack.yml:9 (masked)",
        "environment.FROM_FILE": "base.env:1",
        "environment.LEVEL": "stack.override.yml:3",
        "healthcheck": "stack.yml:14",
        "healthcheck.interval": "stack.yml:16",
        "healthcheck.test": "stack.yml:15",
        "networks": "stack.yml:13",
        "networks.front": "stack.yml:13",
        "user": "stack.override.yml:4",
        "volumes": "stack.yml:10",
        "volumes./data": "stack.yml:11",
        "volumes./run": "stack.yml:12",
    }


def test_places_are_the_same_from_wherever_the_command_is_called(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine.routes["POST /stacks/shop/plan"] = {"steps": [], "text": ""}
    Path("stack.yml").write_text("name: shop\nservices:\n  web:\n    image: rootfs:/\n")
    cli("plan")
    monkeypatch.chdir(tmp_path)
    cli("-f", "work/stack.yml", "plan")
    monkeypatch.chdir("/")
    cli("-f", str(tmp_path / "work/stack.yml"), "plan")
    places = [call.body["document"]["x-orchestr8"]["origins"]["web"]["image"] for call in engine.calls]
    assert places == ["stack.yml:4"] * 3
