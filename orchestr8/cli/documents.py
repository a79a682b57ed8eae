"""What the CLI adds to a canonical document before it is sent, and the options of `up` that `plan` shares."""

from __future__ import annotations

from orchestr8.cli.output import is_true
from orchestr8.cli.parser import UsageError
from orchestr8.errors import InvalidStack, NotFound

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from orchestr8.cli.context import Context
    from orchestr8.cli.parser import Options
    from orchestr8.cli.remembered import Answer
    from orchestr8.stack.load import Loaded


def sent_document(
    context: Context, services: Iterable[str] = (), scale: Iterable[str] = (), *, acting: bool = False,
    complete: bool = False, over: str = "",
) -> dict[str, Any]:  # fmt: skip
    """The stack's document with where it came from, and with the replicas that the command line asks for.

    `services`: those that the command line names. `acting`: what the engine cannot do is refused. `complete`: with all
    that containers are made of, what secrets and configs hold included; of these a hash needs no more than digests.
    `over`: a document that is laid over those of the files. Warnings are told. Raises InvalidStack with all that is wrong, or for files that cannot be read.
    """
    from orchestr8.cli.remembered import Answer

    named = list(services)

    def make(environ: Mapping[str, str]) -> Answer:
        loaded = context.load_quietly(named, environ, acting=acting, over=over)
        try:
            document = whole_document(loaded, complete=complete)
        except InvalidStack:
            context.warn(loaded.warnings, loaded.sources)
            raise
        secret = document["x-orchestr8"]["contents"] or "files" in document["x-orchestr8"]
        return Answer(document, loaded.warnings, loaded.sources, lasting=not secret)

    document: dict[str, Any] = context.remembered(["document", named, acting, complete, over], make)
    for name, count in map(_scale, scale):
        known = document["services"]
        if name not in known:
            raise no_such_service(name, known)
        document["services"] = {**known, name: _scaled(known[name], count)}
    return document


def whole_document(loaded: Loaded, *, complete: bool = False) -> dict[str, Any]:
    """The document and where it came from, as the engine takes it. Raises as `sent_document` does."""
    from orchestr8.stack.contents import digests, read_contents, read_profiles
    from orchestr8.stack.origins import settings

    document = dict(loaded.document)
    document["x-orchestr8"] = {
        "working_dir": loaded.working_dir,
        "config_files": list(loaded.config_files),
        "origins": settings(loaded),  # for the reasons of plans
        "contents": digests(loaded),  # a secret that changed makes another container
    }
    _add_contents(document["x-orchestr8"], read_contents(loaded) if complete else {}, read_profiles(loaded))
    services = document["services"]
    document["services"] = {name: _among(service, services) for name, service in services.items()}
    return document


def _add_contents(meta: dict[str, Any], files: Mapping[str, bytes], profiles: Mapping[str, Any]) -> None:
    """`files`: what secrets and configs hold, in base64. The engine takes it out again before it stores the document."""
    if files:
        from base64 import b64encode  # only for the few stacks that have any

        meta["files"] = {name: b64encode(data).decode() for name, data in files.items()}
    if profiles:
        meta["seccomp"] = dict(profiles)


def _among(service: dict[str, Any], services: Mapping[str, Any]) -> dict[str, Any]:
    """Without optional dependencies on services that are off: the engine knows nothing of them."""
    wanted = service.get("depends_on", {})
    if all(name in services for name in wanted):
        return service
    return {**service, "depends_on": {name: each for name, each in wanted.items() if name in services}}


def _scaled(service: dict[str, Any], count: int) -> dict[str, Any]:
    service = {**service, "scale": count}
    if "replicas" in service.get("deploy", {}):
        service["deploy"] = {**service["deploy"], "replicas": count}
    return service


def _scale(text: str) -> tuple[str, int]:
    name, equals, count = text.partition("=")
    if not name or not equals or not (count.isascii() and count.isdigit()):
        raise UsageError(f"--scale {text} does not say SERVICE=N", helps=["write it as --scale web=3"])
    return name, int(count)


def no_such_service(name: str, services: Iterable[str]) -> NotFound:
    from orchestr8.stack.records import unknown_name  # only errors need it

    return NotFound(f"no such service: {name}", helps=unknown_name("service", name, services)[1])


def check_recreate(options: Options) -> None:
    if options.force_recreate and options.no_recreate:
        raise UsageError("--force-recreate and --no-recreate contradict each other")


def check_wait(options: Options) -> None:
    if options.wait_timeout is not None and not options.wait:
        raise UsageError("--wait-timeout needs --wait")


def up_options(options: Options, environ: Mapping[str, str]) -> dict[str, Any]:
    """The options of `up` as the engine takes them; `plan` has some of the flags only."""
    return {
        "services": options.services or None,
        "force_recreate": options.force_recreate,
        "no_recreate": options.no_recreate,
        "no_deps": getattr(options, "no_deps", False),
        "renew_anon_volumes": getattr(options, "renew_anon_volumes", False),
        "remove_orphans": remove_orphans(options, environ),
        "wait": getattr(options, "wait", False),
        "wait_timeout_s": getattr(options, "wait_timeout", None),
        "timeout_s": getattr(options, "timeout", None),
    }


def remove_orphans(options: Options, environ: Mapping[str, str]) -> bool:
    return bool(options.remove_orphans) or is_true(environ.get("COMPOSE_REMOVE_ORPHANS", ""))
