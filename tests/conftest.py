"""What tests of several packages share: a network of one's own, an engine of one's own, and stories told with it."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import hypothesis
import pytest

from e2e.engine import Engine, own_engine
from e2e.network import own_network as enter_own_network
from e2e.scenario import Scenario

# Their assertions show values, as those of test modules do.
pytest.register_assert_rewrite("tests.backends.contract")

# What runs tests in the background may have them ignore Ctrl-C, and every program that they start with them.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no mistake of an example that takes long there.
hypothesis.settings.register_profile("orchestr8", deadline=None)
hypothesis.settings.load_profile("orchestr8")

EXAMPLES: Final = Path(__file__).parent.parent / "examples" / "stacks"


@pytest.fixture(autouse=True)
def umask_is_left_alone() -> Iterator[None]:
    """It is the whole process's: a test that leaves another one behind spoils those that come later."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    assert os.umask(before) == before


@pytest.fixture
def own_network() -> Iterator[None]:
    """The test, and what it starts, in a network namespace without neighbours."""
    with enter_own_network():
        yield


@pytest.fixture
def engine(own_network: None, tmp_path: Path) -> Iterator[Engine]:
    """An engine with its own root, sockets and network; that it leaves nothing behind is part of each test."""
    with own_engine(str(tmp_path)) as engine:
        yield engine


@pytest.fixture
def scenario(engine: Engine, tmp_path: Path) -> Callable[..., Scenario]:
    """`scenario("services: …")` in a directory called shop, or `scenario(example="quickstart")` on a copy of it."""

    def tell(stack: str = "", *, example: str = "", environment: dict[str, str] | None = None) -> Scenario:
        directory = tmp_path / (example or "shop")
        if example:
            shutil.copytree(EXAMPLES / example, directory, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            directory.mkdir(exist_ok=True)
            (directory / "stack.yml").write_text(stack, encoding="utf-8")
        return Scenario(engine, str(directory), environment)

    return tell
