"""Every example is a stack that loads, and says on its first lines what it shows."""

import os
from pathlib import Path

import pytest

from orchestr8.stack.load import Loaded, load
from orchestr8.stack.project import LoadOptions
from tests.conftest import EXAMPLES

NAMES = sorted(path.name for path in EXAMPLES.iterdir())


def loaded(name: str, **environ: str) -> Loaded:
    return load(LoadOptions(working_dir=str(EXAMPLES / name), environ=environ))


@pytest.mark.parametrize("name", NAMES)
def test_an_example_loads(name: str) -> None:
    found = loaded(name)
    made_when_missing = [each for each in found.warnings if each.code == "O8-402"]
    assert found.warnings == made_when_missing
    assert found.document["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_an_example_begins_with_what_it_shows(name: str) -> None:
    assert (EXAMPLES / name / "stack.yml").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_downloads_nothing_and_mounts_its_programs_read_only(name: str) -> None:
    for service in loaded(name).document["services"].values():
        assert service["image"] == "rootfs:/"
        (programs,) = [mount for mount in service["volumes"] if mount["target"] == "/app"]
        assert programs["read_only"]
        assert Path(programs["source"], os.path.basename(service["command"][-1])).is_file()


def test_the_quickstart_starts_in_the_order_that_its_picture_shows() -> None:
    services = loaded("quickstart").document["services"]
    waits = {
        name: {target: each["condition"] for target, each in service.get("depends_on", {}).items()}
        for name, service in services.items()
    }
    assert waits == {
        "api": {"migrate": "service_completed_successfully"},
        "migrate": {"store": "service_healthy"},
        "store": {},
        "web": {"api": "service_healthy"},
        "worker": {"migrate": "service_completed_successfully"},
    }


def test_the_quickstart_is_published_on_loopback_only_and_where_the_user_wants_it() -> None:
    for environ, published in (({}, "8080"), ({"WEB_PORT": "9000"}, "9000")):
        (port,) = loaded("quickstart", **environ).document["services"]["web"]["ports"]
        assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", published, 80)
