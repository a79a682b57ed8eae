"""Each key has a test file of its own; what each of those has to show is in CONTRIBUTING.md."""

import json
from pathlib import Path

from orchestr8.stack.rules import SERVICE, STACK_KEYS

HERE = Path(__file__).parent


def files_of(directory: Path) -> set[str]:
    return {path.stem.removeprefix("test_") for path in directory.glob("test_*.py")} - {"every_key"}


def test_each_key_of_a_service_has_a_file_of_its_own() -> None:
    assert files_of(HERE) == set(SERVICE.keys)


def test_each_key_at_the_top_has_one() -> None:
    assert files_of(HERE / "top") == set(STACK_KEYS)


def test_each_key_that_the_format_gives_a_service_has_one(reference: Path) -> None:
    theirs = json.loads((reference / "compose-spec.json").read_text())["definitions"]["service"]["properties"]
    assert len(theirs) > 80
    assert set(theirs) - files_of(HERE) == set()
