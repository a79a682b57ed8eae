"""`config`: the stack as it is understood, after variables, defaults and profiles. No engine is needed."""

from __future__ import annotations

from orchestr8.cli.documents import no_such_service
from orchestr8.errors import InvalidInput

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.stack.load import Loaded


def run(context: Context, options: Options) -> int:
    loaded = context.load(options.services, interpolate=not options.no_interpolate)
    document = loaded.document
    for name in options.services:
        if name not in document["services"]:
            raise no_such_service(name, document["services"])
    if options.services:
        document = {
            **document,
            "services": {name: document["services"][name] for name in sorted(set(options.services))},
        }
    if options.quiet:
        return 0
    names = _names(document, loaded, options)
    text = _document(document, options) if names is None else "".join(f"{name}\n" for name in sorted(set(names)))
    if options.output:
        _write(options.output, text)
    else:
        context.out.write(text)
    return 0


def _names(document: dict[str, Any], loaded: Loaded, options: Options) -> Iterable[str] | None:
    """The names that were asked for; None: the whole document was."""
    services = document["services"]
    if options.list_services:
        return list(services)
    if options.list_networks:
        return list(document.get("networks", {}))
    if options.list_volumes:
        return list(document.get("volumes", {}))
    if options.list_images:
        return [service["image"] for service in services.values() if "image" in service]
    if options.list_profiles:
        on = [name for service in services.values() for name in service.get("profiles", ())]
        return [*on, *(name for names in loaded.services_disabled.values() for name in names)]
    return None


def _document(document: dict[str, Any], options: Options) -> str:
    from orchestr8.stack.dump import to_json, to_yaml

    return (to_json if options.format == "json" else to_yaml)(document, escape=not options.no_interpolate)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
