"""`config`: the stack as it is understood, after variables, defaults and profiles. No engine is needed.

Flags and forms are compose's. Of the lists, the first in `LISTS` that is asked for is printed.
"""

from __future__ import annotations

from orchestr8.cli.documents import no_such_service
from orchestr8.errors import InvalidInput, Unsupported

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Final

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.stack.load import Loaded

    Listing = Callable[[Loaded, Options], str]


def run(context: Context, options: Options) -> int:
    if options.resolve_image_digests or options.lock_image_digests:
        flag = "--resolve-image-digests" if options.resolve_image_digests else "--lock-image-digests"
        raise Unsupported(
            f"{flag} needs a registry, and there is none yet", notes=["images are directories: rootfs:PATH"]
        )
    listing = next((LISTS[name] for name in LISTS if getattr(options, name)), None)
    loaded = _load(context, options)
    for name in options.services:
        if name not in loaded.document["services"]:
            raise no_such_service(name, loaded.document["services"])
    if options.quiet:
        return 0
    text = (listing or _document)(loaded, options)
    if options.output:
        _write(options.output, text)
    else:
        context.out.write(text)
    return 0


def _load(context: Context, options: Options) -> Loaded:
    if options.variables:  # whatever they are, and whatever is wrong besides
        return context.load(
            interpolate=False, consistency=False, normalize=False, resolve_paths=False, resolve_environment=False
        )  # fmt: skip
    whole = bool(options.no_interpolate)  # what a variable would choose is not known: all of the file is shown
    if whole:
        options.profiles = ["*"]
    return context.load(
        () if whole else options.services, interpolate=not options.no_interpolate, narrow=not whole,
        consistency=not (options.no_consistency or whole), normalize=not options.no_normalize,
        resolve_paths=not options.no_path_resolution, all_resources=whole,
        resolve_environment=not (options.no_env_resolution or whole),
    )  # fmt: skip


def _document(loaded: Loaded, options: Options) -> str:
    from orchestr8.stack.dump import to_json, to_yaml

    as_json = options.format == "json"
    document = loaded.document if as_json and not options.no_interpolate else _without_nothing(loaded.document)
    return (to_json if as_json else to_yaml)(document, escape=not options.no_interpolate)


_NOTHING: Final[dict[str, dict[str, Any]]] = {
    "services": {"command": None, "entrypoint": None},
    "networks": {"ipam": {}},
}


def _without_nothing(document: dict[str, Any]) -> dict[str, Any]:
    """Without what stands there in JSON alone, as with compose: a null command, an empty ipam."""
    result = dict(document)
    for section, nothing in _NOTHING.items():
        if section in document:
            result[section] = {
                name: {key: value for key, value in each.items() if key not in nothing or value != nothing[key]}
                for name, each in document[section].items()
            }
    return result


def _names(names: Iterable[str]) -> str:
    return "".join(f"{name}\n" for name in sorted(set(names)))


def _images(loaded: Loaded, _: Options) -> str:
    document = loaded.document
    services = document["services"].items()
    built = {name: f"{document['name']}-{name}" for name, service in services if "build" in service}
    return _names(service.get("image") or built.get(name, "") for name, service in services
                  if "image" in service or name in built)  # fmt: skip


def _profiles(loaded: Loaded, _: Options) -> str:
    on = [name for service in loaded.document["services"].values() for name in service.get("profiles", ())]
    return _names([*on, *(name for names in loaded.services_disabled.values() for name in names)])


def _hashes(loaded: Loaded, options: Options) -> str:
    """`NAME HASH`, as containers carry it in their label."""
    from orchestr8.cli.documents import whole_document
    from orchestr8.plan.desired import build_desired

    document = whole_document(loaded)
    document["services"] = {
        name: {"image": f"{document['name']}-{name}", **service} for name, service in document["services"].items()
    }
    services = {str(name): each for name, each in build_desired(document).services.items()}
    wanted = services if options.hash == "*" else {each.strip() for each in options.hash.split(",")}
    for name in sorted(wanted):
        if name not in services:
            raise no_such_service(name, services)
    return "".join(f"{name} {services[name].config_hash}\n" for name in sorted(wanted))


def _environment(loaded: Loaded, _: Options) -> str:
    environment = loaded.project.environment
    values = {name: environment.get(name) for name in environment.names()}
    values["COMPOSE_PROJECT_NAME"] = loaded.document["name"]
    return "".join(f"{name}={values[name]}\n" for name in sorted(values))


def _variables(loaded: Loaded, options: Options) -> str:
    from orchestr8.stack.variables import variables_of

    found = variables_of(loaded.root)
    if options.format == "json":
        import json

        return json.dumps({
            each.name: {"Name": each.name, "DefaultValue": each.default, "PresenceValue": each.alternate,
                        "Required": each.required}
            for each in found
        }, indent=4, ensure_ascii=False) + "\n"  # fmt: skip
    rows = [("NAME", "REQUIRED", "DEFAULT VALUE", "ALTERNATE VALUE")]
    rows += [(each.name, "true" if each.required else "false", each.default, each.alternate) for each in found]
    widths = [max(20, *(len(row[column]) + 3 for row in rows)) for column in range(3)]
    return "".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + row[3] + "\n" for row in rows
    )


def _origins(loaded: Loaded, options: Options) -> str:
    from orchestr8.stack.origins import every_value, outside

    places = every_value(loaded)
    elsewhere = outside(loaded)
    if options.format == "json":
        import json

        values = {path: {"file": each.file, "line": each.line} for path, each in sorted(places.items())}
        return json.dumps({"values": values, "outside": elsewhere}, indent=2, ensure_ascii=False) + "\n"
    width = max(map(len, places), default=0)
    text = "".join(f"{path:<{width}}  {place}\n" for path, place in sorted(places.items()))
    if elsewhere:
        text += "\nread from outside of the project:\n" + "".join(f"  {path}\n" for path in elsewhere)
    return text


LISTS: Final[dict[str, Listing]] = {
    "variables": _variables,
    "environment": _environment,
    "origin": _origins,
    "hash": _hashes,
    "list_services": lambda loaded, _: _names(loaded.document["services"]),
    "list_networks": lambda loaded, _: _names(loaded.document.get("networks", {})),
    "list_volumes": lambda loaded, _: _names(loaded.document.get("volumes", {})),
    "list_models": lambda loaded, _: _names(loaded.document.get("models", {})),
    "list_images": _images,
    "list_profiles": _profiles,
}


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error
