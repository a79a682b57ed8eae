"""`port`: one address for scripts, and what there is instead."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.fake_engine import FakeEngine, container


@pytest.fixture(autouse=True)
def _stack(engine: FakeEngine) -> None:
    Path("stack.yml").write_text('name: shop\nservices: {web: {image: "rootfs:/"}}\n')
    six = [{"host_ip": "::1", "published": 5353, "target": 53, "protocol": "udp"}]
    stopped = container(number=3, ports=[], state="exited", status="Exited (0) 2 seconds ago")
    engine.routes["GET /stacks/shop/containers"] = [container(), container(number=2, ports=six), stopped]


@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("web 80", "0.0.0.0:8080"),
        ("shop-web-1 80/tcp", "0.0.0.0:8080"),
        ("--index 2 --protocol udp web 53", "[::1]:5353"),
        ("web --index=2 53/udp", "[::1]:5353"),
    ],
)
def test_the_address_alone(cli: Cli, words: str, address: str) -> None:
    assert cli("port", *words.split()) == (0, f"{address}\n", "")


def test_what_is_not_published_is_told_with_what_is(cli: Cli) -> None:
    code, out, err = cli("port", "web", "81")
    assert (code, out) == (1, "")
    assert "shop-web-1 publishes no port 81/tcp" in err
    assert "help: 80/tcp is published at 0.0.0.0:8080" in err
    assert "note: it is not running: Exited (0) 2 seconds ago" in cli("port", "--index", "3", "web", "80")[2]


@pytest.mark.parametrize("port", ["http", "0", "65536", "8080:80", "²"])
def test_what_is_no_port_is_a_mistake(cli: Cli, port: str) -> None:
    code, _, err = cli("port", "web", port)
    assert code == 2
    assert f"{port} is no port" in err
