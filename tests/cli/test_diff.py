"""`diff`: how what the engine tells of a container's files is shown."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import FakeEngine, container

FOUND: list[dict[str, Any]] = [
    {"Path": "/etc", "Kind": 0},
    {"Path": "/etc/new", "Kind": 1},
    {"Path": "/etc/old\nA \x1b[2J", "Kind": 2},
    {"Path": "/été/\udcff\\", "Kind": 1},
]


@pytest.fixture(autouse=True)
def _stack(engine: FakeEngine) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    engine.routes["GET /stacks/shop/containers"] = [
        container(state="exited"),
        container(number=2),
        container(number=3, name="shop-web-run-1", service="web", oneoff=True),
    ]
    engine.routes["GET /containers/000000000001/changes"] = FOUND
    engine.routes["GET /containers/000000000002/changes"] = []
    engine.routes["GET /containers/000000000003/changes"] = FOUND[:1]


def test_a_line_each_whatever_a_container_calls_its_files(cli: Cli) -> None:
    assert cli("diff", "web") == (
        0, "C /etc\nA /etc/new\nD /etc/old\\nA \\x1b[2J\nA /été/\\xff\\\n", "",
    )  # fmt: skip


def test_json_has_the_names_exactly(cli: Cli) -> None:
    code, out, _ = cli("diff", "--format", "json", "web")
    assert (code, out.splitlines()) == (
        0,
        [
            '{"Path": "/etc", "Kind": "C"}',
            '{"Path": "/etc/new", "Kind": "A"}',
            '{"Path": "/etc/old\\nA \\u001b[2J", "Kind": "D"}',
            '{"Path": "/\\u00e9t\\u00e9/\\udcff\\\\", "Kind": "A"}',
        ],
    )


def test_one_of_several_is_named_by_its_number_and_a_one_off_by_its_name(cli: Cli, engine: FakeEngine) -> None:
    assert cli("diff", "--index", "2", "web") == (0, "", "")
    assert cli("diff", "shop-web-run-1") == (0, "C /etc\n", "")
    assert cli("diff", "shop-web-1")[0] == 0
    assert 'container "shop-web-1" is not #2\n' in cli("diff", "--index", "2", "shop-web-1")[2]
    assert engine.names.count("GET /containers/000000000002/changes") == 1
    code, _, err = cli("diff", "--index", "9", "web")
    assert (code, 'service "web" has no container #9' in err) == (1, True)


def test_a_service_without_containers_says_how_to_make_one(cli: Cli, engine: FakeEngine) -> None:
    engine.routes["GET /stacks/shop/containers"] = []
    code, out, err = cli("diff", "web")
    assert (code, out) == (1, "")
    assert 'service "web" has no container\n' in err
    assert "orchestr8 up -d web" in err
