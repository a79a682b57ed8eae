"""Every example of the repository is a stack that loads without a word. What it does is tested end to end."""

from pathlib import Path

import pytest

from orchestr8.stack.load import LoadOptions, load

STACKS = sorted((Path(__file__).parents[2] / "examples" / "stacks").glob("*/stack.yml"))


@pytest.mark.parametrize("path", STACKS, ids=lambda path: path.parent.name)
def test_an_example_loads(path: Path) -> None:
    loaded = load(LoadOptions(files=[str(path)], environ={}))
    assert loaded.document["name"] == path.parent.name
    assert {each.code for each in loaded.warnings} <= {"O8-402"}  # a folder that the first `up` makes


def test_there_are_examples() -> None:
    assert {path.parent.name for path in STACKS} >= {"quickstart", "volumes", "healthchecks"}
