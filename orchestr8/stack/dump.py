"""The canonical document as text: what `config` prints. Dollars are doubled, so that the output can be loaded again."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def to_json(document: dict[str, Any], *, escape: bool = True) -> str:
    """Indented JSON. `escape=False` keeps dollars, for `--no-interpolate`."""
    import json

    return json.dumps(_escaped(document) if escape else document, indent=2, ensure_ascii=False) + "\n"


def to_yaml(document: dict[str, Any], *, escape: bool = True) -> str:
    """Block style, keys in the document's order."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Texts of several lines as blocks, lists indented under their key, no aliases."""

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
            super().increase_indent(flow, indentless=False)

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True

    def text(dumper: Dumper, value: str) -> yaml.ScalarNode:
        style = "|" if "\n" in value else ('"' if _needs_quotes(value) else None)
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return yaml.dump(
        _escaped(document) if escape else document, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=2**31 - 1
    )


def _needs_quotes(value: str) -> bool:
    """Text that some YAML reader would take for something else."""
    from orchestr8.stack.scalars import resolve

    return not isinstance(resolve(value), str) or value.lower() in ("yes", "no", "on", "off", "y", "n")


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value
