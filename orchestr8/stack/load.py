"""Stack files to the canonical document, phase by phase.

    locate        which files, which directory, which variables        project, environment
    parse         YAML to nodes that know their place                  source, parse
    name          flags, variables, `name:`, the directory             project
    interpolate   `${V}` in values                                     interpolate
    shape         each key by its rule, in its long form               rules, types, records, lists
    extend        services laid over others                            extends
    include       what other projects bring, read in the same way      include
    merge         later documents over earlier ones                    include, records
    select        profiles                                             profiles
    complete      what follows from all files together                 records
    resolve       absolute paths                                       normalise
    normalise     default network, implied dependencies                normalise
    validate      what must hold between keys, and on this machine     validate, order, preflight
    environment   env files, label files                               environment
    support       what this engine does not act on                     support
    document      full names, plain values                             normalise

Every phase goes on after an error, so that one run tells all that is wrong.
"""

from __future__ import annotations

from orchestr8.errors import Diagnostic, NotFound, Span
from orchestr8.stack.environment import resolve_labels, resolve_service
from orchestr8.stack.files import Document, Files, TooMuch
from orchestr8.stack.include import Assembly
from orchestr8.stack.interpolate import Interpolation
from orchestr8.stack.limit_checks import check_limits
from orchestr8.stack.nodes import Mapping, Node, Scalar
from orchestr8.stack.normalise import document, normalise, resolve_paths, used_resources
from orchestr8.stack.order import with_dependencies
from orchestr8.stack.parse import UNREADABLE
from orchestr8.stack.preflight import check_bind_sources
from orchestr8.stack.problems import Problems
from orchestr8.stack.profiles import active_profiles, disabled_services
from orchestr8.stack.project import NAME_RULE, LoadOptions, Project, derived_name, directory_name, locate
from orchestr8.stack.records import Named, unknown_name
from orchestr8.stack.rules import SERVICE, STACK
from orchestr8.stack.source import ARGUMENTS
from orchestr8.stack.support import SupportLook
from orchestr8.stack.types import Reading
from orchestr8.stack.validate import Model, validate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LoadOptions", "Loaded", "load"]


class Loaded:
    """A stack that is right: the document, and what the user should know about it."""

    def __init__(
        self, *, document: dict[str, Any], warnings: list[Diagnostic], sources: dict[str, str], working_dir: str,
        config_files: list[str], services_disabled: dict[str, list[str]], contents: dict[str, str], root: Mapping,
        project: Project, cwd: str,
    ) -> None:  # fmt: skip
        self.document = document
        self.warnings = warnings
        self.sources = sources
        self.working_dir = working_dir
        self.config_files = config_files
        self.services_disabled = services_disabled  # name -> the profiles that would turn it on
        self.root = root  # the values of the document with their places, those of services that are off too
        self.project = project
        self.cwd = cwd  # what the names of `sources` start from
        self.contents = contents  # `secrets.NAME` or `configs.NAME` -> what a variable gives it; never printed


def load(options: LoadOptions) -> Loaded:
    """The canonical document of the stack.

    Raises InvalidStack with all that is wrong; NotFound for a missing file or an unknown service on the command line;
    InvalidInput for a bad -p.
    """
    problems = Problems()
    project = locate(options, problems)
    files = Files(problems, options.working_dir, options.stdin)
    documents = [document for path in project.files for document in files.read(path)]
    if options.over:
        documents += files.given(options.over, project.directory)
    if any(each.code == UNREADABLE for each in problems.errors):
        problems.raise_errors()  # nothing can be said of a file that is not YAML
    if not any(document.root.items for document in documents):
        _tell_empty(project, files, problems)
    project.name = name_of(project, documents, problems)

    run = Reading(problems, interpolated=options.interpolate)
    assembly = Assembly(files, run, project, options)
    root = _assembled(assembly, documents, project)
    _check_services(root, options, run)
    disabled = _disabled(root, project, options)
    root = _completed(root, disabled, run)
    if options.resolve_paths:
        root = resolve_paths(root, project.directory, project.environment, interpolated=options.interpolate)
    if options.normalize:
        root = normalise(root, project.name, project.environment)

    model = Model(root, disabled, run)
    if options.consistency:
        validate(model)
        if options.interpolate:
            check_bind_sources(model.active(), problems)
    environments = _environments(model, project, options) if options.resolve_environment else None
    look = SupportLook(problems, acting=options.acting)
    _look(root, model.active(), look)
    problems.raise_errors(strict=options.strict)
    return Loaded(
        document=document(
            root, project.name, _selected(model, options), environments, normalized=options.normalize,
            all_resources=options.all_resources,
        ),
        warnings=problems.ordered(problems.warnings),
        sources=problems.sources,
        working_dir=project.directory,
        config_files=project.files,
        services_disabled=disabled,
        contents=_contents(root, assembly),
        root=root,
        project=project,
        cwd=options.working_dir,
    )  # fmt: skip


def _tell_empty(project: Project, files: Files, problems: Problems) -> None:
    """End the run: of several files some may be empty, but not all."""
    problems.error(
        "O8-102", "the stack file is empty", Span(files.shown(project.files[0]), 1, 1),
        helps=["it needs at least `services:`"],
    )  # fmt: skip
    problems.raise_errors()


def _selected(model: Model, options: LoadOptions) -> dict[str, Mapping]:
    """The services that are in the document."""
    active = model.active()
    if not options.narrow or not options.services:
        return active
    named = with_dependencies(options.services, model.services) if options.dependencies else set(options.services)
    wanted = named & active.keys()
    return {name: _needing(service, wanted) for name, service in active.items() if name in wanted}


def _needing(service: Mapping, services: set[str]) -> Mapping:
    """The service, which depends only on these: what is off and not required is not in the document."""
    dependencies = service.items.get("depends_on")
    if not isinstance(dependencies, Mapping) or dependencies.items.keys() <= services:
        return service
    kept = Mapping(at=dependencies)
    for name in dependencies.items.keys() & services:
        kept.set(name, dependencies.items[name], dependencies.keys[name])
    found = Mapping(service.items, service.keys, at=service)
    found.set("depends_on", kept)
    return found


def _environments(model: Model, project: Project, options: LoadOptions) -> dict[str, dict[str, str | None]]:
    """The final variables of each active service; its labels get those of its label files."""
    touched = with_dependencies(options.services, model.services) if options.services else None
    found: dict[str, dict[str, str | None]] = {}
    for name, service in model.active().items():
        lenient = touched is not None and name not in touched
        found[name] = resolve_service(
            service, project.environment, model.problems, options.working_dir, lenient=lenient
        )  # fmt: skip
        resolve_labels(service, project.environment, model.problems, options.working_dir, lenient=lenient)
    return found


def _contents(root: Mapping, assembly: Assembly) -> dict[str, str]:
    """What secrets and configs have from variables, of the caller or of what includes them."""
    found: dict[str, str] = {}
    for section in ("configs", "secrets"):
        for name, node in _section(root, section).items.items():
            variable = node.items.get("environment") if isinstance(node, Mapping) else None
            if variable is None:
                continue
            place = f"{section}.{name}"
            environment = assembly.environments.get(place, assembly.project.environment)
            if (value := environment.get(str(variable.plain()))) is not None:
                found[place] = value
    return found


def _look(root: Mapping, services: dict[str, Mapping], look: SupportLook) -> None:
    """What is asked of the engine: the active services, and what they use."""
    used = used_resources(services)
    for name, service in services.items():
        SERVICE.support(service, f"services.{name}", look)
        check_limits(service, f"services.{name}", look)
    for section, names in used.items():
        kind = STACK.keys[section].kind
        assert isinstance(kind, Named)
        for name, node in _section(root, section).items.items():
            if name in names:
                kind.kind.support(node, f"{section}.{name}", look)
    look.tell()


def name_of(project: Project, documents: list[Document], problems: Problems) -> str:
    """The stack's name: from -p or COMPOSE_PROJECT_NAME, the last `name:`, or the directory."""
    if project.name:
        return project.name
    node = next((each.root.items["name"] for each in reversed(documents) if "name" in each.root.items), None)
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        return directory_name(project.directory)  # a `name:` that is no text is told by its rule
    quiet = Problems()  # variables are told when the whole file is interpolated
    quiet.sources = problems.sources
    written = str(Interpolation(project.environment.get, tuple, [], quiet).document(node, "name").plain())
    if quiet.errors or not written:  # an empty one says nothing, as a variable may have it
        return directory_name(project.directory)
    name = derived_name(written)
    if not name:
        problems.error("O8-108", f"invalid project name `{written}`", node, notes=[NAME_RULE])
    elif name != written:
        problems.warn("O8-108", f"the project name `{written}` is taken as `{name}`", node, notes=[NAME_RULE])
    return name or directory_name(project.directory)


def _assembled(assembly: Assembly, documents: list[Document], project: Project) -> Mapping:
    """All documents as one, in the long form, with what they extend and include."""
    try:
        return assembly.together(documents, assembly.scope(project.directory, project.environment))
    except TooMuch:
        assembly.run.problems.raise_errors()
        raise AssertionError("it was told") from None


def _section(root: Mapping, name: str) -> Mapping:
    found = root.items.get(name)
    return found if isinstance(found, Mapping) else Mapping(at=root)


def _check_services(root: Mapping, options: LoadOptions, run: Reading) -> None:
    """There are services, and those of the command line are among them."""
    services = _section(root, "services")
    said = {name for name, service in services.items.items() if not (options.over and _only_laid_over(service))}
    if options.acting and not {"services", "include"} & {*root.items, *run.broken}:
        run.problems.error("O8-105", "the stack has no `services`", next(iter(root.keys.values()), root))
    for name in options.services:
        if name not in said and f"services.{name}" not in run.broken:
            run.problems.raise_errors()
            _, helps = unknown_name("service", name, sorted(said))
            raise NotFound(f"no such service: {name}", code="O8-203", helps=helps)


def _only_laid_over(service: Node) -> bool:
    """Whether the command line alone speaks of it."""
    keys = service.keys.values() if isinstance(service, Mapping) else ()
    return bool(keys) and all(key.file == ARGUMENTS for key in keys)


def _disabled(root: Mapping, project: Project, options: LoadOptions) -> dict[str, list[str]]:
    services = _section(root, "services")
    wanted = options.profiles or (project.environment.get("COMPOSE_PROFILES") or "").split(
        ","
    )  # a flag beats a variable
    active = active_profiles(services, filter(None, map(str.strip, wanted)), options.services)
    return disabled_services(services, active)


def _completed(root: Mapping, disabled: dict[str, list[str]], run: Reading) -> Mapping:
    """With what follows from the files together. Services that are off may lack anything."""
    services = _section(root, "services")
    active = Mapping(at=services)
    for name, service in services.items.items():
        if name not in disabled:
            active.set(name, service, services.keys[name])
    copy = Mapping(root.items, root.keys, at=root)
    copy.set("services", active)
    found = STACK.complete(copy, "", run)
    assert isinstance(found, Mapping)
    known = _section(found, "services")
    for name in disabled:  # still known by name, for who depends on them
        known.set(name, services.items[name], services.keys[name])
    return found
