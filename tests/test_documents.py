"""What the project's pages say of its files, routes and annotations is so."""

import os
import re
from typing import Any, cast

import pytest

from orchestr8.api.routes import all_routes
from orchestr8.api.services import Services
from orchestr8.runtime import bundle, messages
from scripts.transcripts import TOP

PAGES = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")


def text_of(page: str) -> str:
    with open(f"{TOP}/{page}", encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page: str) -> None:
    """In backticks and with a slash: from the top, or from the package."""
    named = re.findall(r"`((?:[a-z0-9_]+/)+[a-z0-9_]*(?:\.[a-z]+)?)`", text_of(page))
    named += re.findall(r"\]\(([^):]+)\)", text_of(page))
    missing = [path for path in named if not any(os.path.exists(f"{TOP}/{base}{path}") for base in ("", "orchestr8/"))]
    assert missing == []


def test_the_table_of_routes_is_whole() -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return None

    services = cast("Services", Anything())
    routes = {(route.method, route.pattern) for route in all_routes(services)}
    rows = re.findall(r"^\| (GET|POST|DELETE|PUT|HEAD) \| `([^`]+)` \|", text_of("ARCHITECTURE.md"), re.MULTILINE)
    assert sorted(rows) == sorted(routes)


def test_the_table_of_annotations_is_whole() -> None:
    rows = re.findall(r"^\| `(org\.orchestr8\.[a-z-]+)` \|", text_of("ARCHITECTURE.md"), re.MULTILINE)
    named = {value for value in vars(bundle).values() if isinstance(value, str) and value.startswith("org.orchestr8.")}
    assert sorted(rows) == sorted(named)


def test_every_message_of_the_shim_protocol_is_named() -> None:
    paragraph = text_of("ARCHITECTURE.md").split("**Shim protocol**")[1].split("\n\n**")[0]
    assert {each.__name__ for each in messages.Message.__subclasses__()} <= set(re.findall(r"\w+", paragraph))
    assert f"version {messages.PROTOCOL}," in paragraph
