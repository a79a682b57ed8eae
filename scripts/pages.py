"""Writes the pages of docs/ that are made from tables: `python -m scripts.pages`. A test says when one is stale."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from orchestr8.codes import CODES
from orchestr8.stack.schema import build_schema

DOCS: Final = Path(__file__).parents[1] / "docs"


def errors_page() -> str:
    """docs/errors.md: what `orchestr8 explain` says of each code."""
    head = "Made from `orchestr8/codes.py` by `python -m scripts.pages`; `orchestr8 explain CODE` prints one of them."
    parts = [f"# Errors and warnings\n\n{head}\n"]
    parts += [f"## {code}: {title}\n\n{text}" for code, (title, text) in CODES.items()]
    return "\n".join(parts)


_SECTIONS: Final = ("services", "networks", "volumes", "configs", "secrets", "models")
_STATUS: Final = {"not supported yet": "refused", "no effect": "warned of"}  # as the schema's descriptions begin
_KEYS_HEAD: Final = """\
# Keys of a stack file

Made from the table of rules that the loader goes by (`orchestr8/stack/rules.py`), by `python -m scripts.pages`.

- **in effect**: orchestr8 does what the format says.
- **warned of**: the key is understood, and changes nothing here; one warning at its first place says so. `--strict`
  makes it an error.
- **refused**: leaving it out would run something else than was asked for, so what acts (`up`, `run`, `plan`) refuses it,
  and `config` and `check` warn. A value that asks for nothing, such as null, an empty list or the default, is no error.

`*` stands for a name of yours, `[]` for each item of a list. `x-…` keys may stand anywhere and mean what you want.
"""


def keys_page() -> str:
    """docs/keys.md: every key of the format, and what becomes of it here."""
    parts = [_KEYS_HEAD]
    rows = dict(schema_keys(build_schema()))
    titles = {"": "the file", **{section: f"{section}.*" for section in _SECTIONS}}
    for section, title in titles.items():
        prefix = (section, "*") if section else ()
        mine = {
            path: found for path, found in rows.items()
            if path[: len(prefix)] == prefix and len(path) > len(prefix) and (section or path[0] not in _SECTIONS or len(path) == 1)
        }  # fmt: skip
        parts.append(f"\n## {title}\n\n| key | here | why |\n|---|---|---|\n")
        for path in sorted(mine):
            status, reason = _status(path, rows)
            name = ".".join(path[len(prefix) :]).replace(".[]", "[]")
            parts.append(f"| `{name}` | {status} | {_cell(reason)} |\n")
    return "".join(parts)


def schema_keys(schema: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every key that a schema names, and what it says of it; names of the user's are `*`, items are `[]`."""
    for alternative in schema.get("oneOf", ()):
        yield from schema_keys(alternative)
    for key, value in schema.get("properties", {}).items():
        yield (key,), str(value.get("description", ""))
        yield from (((key, *path), found) for path, found in schema_keys(value))
    named = [value for pattern, value in schema.get("patternProperties", {}).items() if pattern != "^x-"]
    if isinstance(schema.get("additionalProperties"), dict):
        named.append(schema["additionalProperties"])
    for value in named:
        yield from ((("*", *path), found) for path, found in schema_keys(value))
    if isinstance(schema.get("items"), dict):
        yield from ((("[]", *path), found) for path, found in schema_keys(schema["items"]))


def _status(path: tuple[str, ...], rows: dict[tuple[str, ...], str]) -> tuple[str, str]:
    """A key's own status, or that of the key that it stands under when that one is not in effect."""
    if path == ("version",):  # the loader's own business, not the rules'
        return _STATUS["no effect"], "it is obsolete; `orchestr8 check --fix` removes it"
    for length in range(1, len(path) + 1):
        start, _, reason = rows.get(path[:length], "").partition(": ")
        if start in _STATUS:
            return _STATUS[start], reason if length == len(path) else f"as `{path[length - 1]}`"
    return "in effect", ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES: Final[dict[str, Callable[[], str]]] = {"errors.md": errors_page, "keys.md": keys_page}


def main() -> int:
    DOCS.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
        print(DOCS / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
