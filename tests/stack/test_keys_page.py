"""docs/keys.md lists every key of the format."""

import json
import re
from pathlib import Path

from tests.stack.test_schema import properties

PAGE = Path(__file__).parents[2] / "docs" / "keys.md"


def listed() -> dict[str, str]:
    """Each key on the page with what becomes of it here."""
    found = {}
    for title, rows in re.findall(r"^## (.+)\n((?:.|\n(?!## ))*)", PAGE.read_text(), re.MULTILINE):
        prefix = "" if title == "the file" else f"{title}."
        found |= {
            f"{prefix}{key}": status for key, status in re.findall(r"^\| `(.+?)` \| (.+?) \|", rows, re.MULTILINE)
        }
    return found


def test_statuses_are_those_of_the_rules() -> None:
    page = listed()
    assert {key: page[key] for key in ("services", "services.*.image", "services.*.deploy.replicas")} == {
        "services": "in effect", "services.*.image": "in effect", "services.*.deploy.replicas": "in effect",
    }  # fmt: skip
    assert (page["version"], page["services.*.annotations"]) == ("warned of", "warned of")
    assert (page["services.*.build"], page["services.*.build.args"]) == ("refused", "refused")
    assert set(page.values()) == {"in effect", "warned of", "refused"}


def test_every_key_of_the_compose_format_is_on_the_page(reference: Path) -> None:
    theirs = json.loads((reference / "compose-spec.json").read_text())
    wanted = {".".join(path).replace(".[]", "[]") for path, _ in properties(theirs, theirs["definitions"])}
    assert len(wanted) > 300
    assert sorted(wanted - listed().keys()) == []
