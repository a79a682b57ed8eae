"""Every code that is raised is explained, and every explanation is of a code that is raised."""

import ast
import re
from pathlib import Path

from orchestr8.codes import CODES
from scripts.pages import DOCS, PAGES

PACKAGE = Path(__file__).parents[1] / "orchestr8"
CODE = re.compile(r"O8-\d{3}")


def raised() -> dict[str, str]:
    """Codes in the source, as text that is nothing else, and where."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "codes.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.setdefault(node.value, f"{path.relative_to(PACKAGE.parent)}:{node.lineno}")
    return found


def test_every_code_that_is_raised_is_explained() -> None:
    assert {code: place for code, place in raised().items() if code not in CODES} == {}


def test_nothing_is_explained_that_is_never_raised() -> None:
    assert sorted(CODES.keys() - raised().keys()) == []


def test_explanations_are_in_order_and_fit_a_terminal() -> None:
    assert list(CODES) == sorted(CODES)
    for code, (title, text) in CODES.items():
        assert CODE.fullmatch(code)
        assert title, code
        assert text.endswith("\n"), code
        assert [line for line in text.splitlines() if len(line) > 120 or line != line.rstrip()] == [], code


def test_what_explanations_refer_to_exists() -> None:
    for title, text in CODES.values():
        assert set(CODE.findall(title + text)) <= CODES.keys()


def test_the_pages_of_the_docs_are_up_to_date() -> None:
    stale = [name for name, page in PAGES.items() if (DOCS / name).read_text(encoding="utf-8") != page()]
    assert stale == [], "python -m scripts.pages"
