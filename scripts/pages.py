"""Writes the pages of docs/ that are made from tables: `python -m scripts.pages`. A test says when one is stale."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestr8.codes import CODES

DOCS: Final = Path(__file__).parents[1] / "docs"


def errors_page() -> str:
    """docs/errors.md: what `orchestr8 explain` says of each code."""
    head = "Made from `orchestr8/codes.py` by `python -m scripts.pages`; `orchestr8 explain CODE` prints one of them."
    parts = [f"# Errors and warnings\n\n{head}\n"]
    parts += [f"## {code}: {title}\n\n{text}" for code, (title, text) in CODES.items()]
    return "\n".join(parts)


PAGES: Final[dict[str, Callable[[], str]]] = {"errors.md": errors_page}


def main() -> int:
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(DOCS / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
