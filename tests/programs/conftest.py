"""A stack of `e2e/programs`, told as a story on a copy of its folder."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e import programs
from e2e.engine import Engine
from e2e.programs.images import IMAGES, is_made
from e2e.scenario import Scenario

STACKS = Path(programs.__file__).parent


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Scenario]:
    """`program("redis", USERNS_MODE="private")`. The test is skipped where the image is not made."""

    def tell(name: str, **environment: str) -> Scenario:
        if not is_made(name):
            pytest.skip(f"the image {name} is not made: `make programs` makes it")
        engine: Engine = request.getfixturevalue("engine")
        directory = tmp_path / name
        shutil.copytree(STACKS / name, directory)
        return Scenario(engine, str(directory), {"IMAGES": str(IMAGES), **environment})

    return tell
