"""The exported schema takes and refuses what the loader takes and refuses.

Of the reference's files: each document as the loader checks it, with its variables filled in, and the stack as a whole.
What the loader can tell and a schema cannot is listed, with the reason. Of values of our own: each kind of value that
stands in the table of keys, with each of `schema_values`; and documents of which it is written here what they are.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator

from orchestr8.errors import Diagnostic, InvalidInput, InvalidStack
from orchestr8.stack.duplicates import TREE, tell_duplicates
from orchestr8.stack.lists import ListOf
from orchestr8.stack.load import LoadOptions, load
from orchestr8.stack.nodes import Node, Scalar, bare
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.ports import Port
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import Record
from orchestr8.stack.rules import STACK, StackName
from orchestr8.stack.source import instead_of
from orchestr8.stack.types import Anything, Number, Reading, Type
from tests.stack.conftest import Outcome
from tests.stack.reference import ROOT, SHARED, Case, files_of, options_of, parameters, rows
from tests.stack.schema_values import VALUES

SCHEMA: Final = json.loads((Path(__file__).parents[2] / "schema" / "stack.schema.json").read_text())
VALIDATOR: Final = Draft7Validator(SCHEMA)

# What a schema cannot tell: a code, what the message has, and why.
BEYOND: Final = (
    ("O8-102", r"", "there is no document: the text is no YAML, or no mapping, or more than any stack has"),
    ("O8-103", r"", "what reads YAML has dropped one of two equal keys before a schema sees any"),
    ("O8-104", r"^a key must be text", "all keys of JSON are text"),
    ("O8-104", r"cannot be overridden by", "it takes two files"),
    ("O8-105", r"has no source of its content$", "another file of the stack may give it"),
    ("O8-106", r"", "a circle of files or services: a schema follows no names"),
    ("O8-107", r"", "a file that is not there: a schema opens none"),
    ("O8-201", r"", "a circle of names"),
    ("O8-202", r"", "which profiles are on"),
    ("O8-203", r"", "names that must be defined elsewhere"),
    ("O8-204", r"^(?!.* is external, so|.*`count` and `device_ids`)",
     "two values that must be equal, or two keys of which another file may drop one"),
    ("O8-205", r"", "another file, or the service that it extends, may name an image"),
    ("O8-301", r"", "the values of variables"),
    ("O8-303", r"", "the grammar of variables, which it lets pass as they stand"),
    ("O8-304", r"", "a file that is not there"),
    ("O8-305", r"the ranges .* differ in length$", "arithmetic within a text"),
)  # fmt: skip


NOT_TEXT: Final = re.compile(r"^a key must be text")


def is_beyond(error: Diagnostic) -> bool:
    return any(error.code == code and re.search(message, error.message) for code, message, _ in BEYOND)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The documents that the loader checks, as they come."""
    found: list[Any] = []
    read = STACK.read

    def watched(node: Node, where: str, run: Reading) -> Node | None:
        found.append(bare(node).plain())
        return read(node, where, run)

    monkeypatch.setattr(STACK, "read", watched)
    return found


def errors_of(options: LoadOptions) -> list[Diagnostic]:
    try:
        load(options)
    except InvalidStack as failure:
        return [each for each in failure.diagnostics if each.severity == "error"]
    except InvalidInput as failure:  # of the command line
        return [Diagnostic(failure.code, failure.message)]
    return []


def refusals(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def assert_agreed(errors: list[Diagnostic], documents: list[Any]) -> None:
    told = [f"{each.code} {each.message}" for each in errors if not is_beyond(each)]
    refused = [each for document in documents for each in refusals(document)]
    if any(NOT_TEXT.search(each.message) for each in errors):  # the schema sees text, which may be an unknown key
        refused = refused if told else []
    assert bool(told) == bool(refused), f"the loader: {told}\nthe schema: {refused}"


# Not those whose stack comes from elsewhere, nor those of which it only counts that they end.
OF_CASES: Final = [
    each for each in parameters("")
    if each.values[0]["outcome"] != "valid or error"
    and any(name.endswith((".yaml", ".yml")) for name in each.values[0]["files"])
]  # fmt: skip


@pytest.mark.parametrize("case", OF_CASES)
def test_a_case_is_taken_by_both_or_by_none(case: Case, checked: list[Any]) -> None:
    with instead_of(files_of(case)):
        errors = errors_of(options_of(case))
    assert_agreed(errors, checked)


FILES: Final = sorted((ROOT.parent).rglob("*.y*ml")) if SHARED else []


@pytest.mark.parametrize("path", FILES, ids=[str(each.relative_to(ROOT.parent)) for each in FILES])
def test_a_file_alone_is_taken_by_both_or_by_none(path: Path, checked: list[Any]) -> None:
    errors = errors_of(LoadOptions(files=[str(path)], environ={"HOME": "/root"}, project_name="p"))
    assert_agreed(errors, checked)


@pytest.mark.parametrize("path", FILES, ids=[str(each.relative_to(ROOT.parent)) for each in FILES])
def test_an_editor_has_nothing_to_say_of_a_file_that_loads(path: Path) -> None:
    """It sees variables as they are written."""
    if errors_of(LoadOptions(files=[str(path)], environ={"HOME": "/root"}, project_name="p")):
        return
    documents = parse_documents(path.read_text(), "f", Problems())
    assert [each for document in documents for each in refusals(bare(document).plain())] == []


# A table of the reference, and the line of a service that has a row's text.
TABLES: Final = {
    "bytes": "mem_limit: {}",
    "extra_hosts": "extra_hosts: {}",
    "ports_short": "ports: [{}]",
    "volume_short": "volumes: [{}]",
}


@pytest.mark.parametrize(("table", "row"), [pytest.param(table, *row.values, id=f"{table}-{row.id}")
                                            for table in TABLES for row in rows(table)])  # fmt: skip
def test_a_row_of_a_table_is_taken_by_both_or_by_none(table: str, row: dict[str, Any], checked: list[Any]) -> None:
    line = TABLES[table].format(json.dumps(row["in"]).replace("$", "$$"))
    text = f"services: {{web: {{image: x, {line}}}}}"
    errors = errors_of(LoadOptions(files=["-"], stdin=lambda: text, environ={}, project_name="p"))
    assert_agreed(errors, checked)


# ------------------------------------------------------------------------------------------------- each kind of value


def kinds(kind: Type, path: str) -> Iterator[tuple[str, Type]]:
    """Every kind that stands below this one, with a path that leads to it."""
    if isinstance(kind, Anything | StackName):  # what a name is made of is told where it is made
        return
    yield path, kind
    kind = getattr(kind, "long", kind)
    if isinstance(kind, Record):
        for key, rule in kind.keys.items():
            yield from kinds(rule.kind, f"{path}.{key}")
    elif hasattr(kind, "kind"):
        yield from kinds(kind.kind, f"{path}.*")


KINDS: Final = {(type(kind).__name__, json.dumps(kind.schema())): (path, kind) for path, kind in kinds(STACK, "")}


def node_of(value: str) -> Node:
    (document,) = parse_documents(f"value: {value}", "f", Problems())
    return document.items["value"]


NODES: Final = [(each, node_of(each)) for each in dict.fromkeys(VALUES)]


def is_taken(kind: Type, node: Node) -> bool:
    run = Reading(Problems())
    found = kind.read(node, "value", run)
    if found is not None and not isinstance(found, Scalar):
        kind.complete(found, "value", run)
    return not run.problems.errors


def is_unsayable(kind: Type, value: str, plain: Any) -> bool:
    """What a schema takes, and cannot but take.

    To JSON, 80.0 is 80. Texts are matched, not reckoned with: which end of a range is higher, what a power of ten is.
    """
    if has_whole_fraction(plain):
        return True
    one = kind.kind if isinstance(kind, ListOf) else kind
    if isinstance(one, Port) or type(one).__name__ == "_Published":
        return value in ('"9-3"', '"1-3:1-2"', '[{target: 80, published: "9-3"}]')
    return isinstance(one, Number) and one.fraction and one.most is not None and isinstance(plain, str)


def has_whole_fraction(plain: Any) -> bool:
    if isinstance(plain, dict | list):
        return any(map(has_whole_fraction, plain.values() if isinstance(plain, dict) else plain))
    return isinstance(plain, float) and plain.is_integer()


@pytest.mark.parametrize(("path", "kind"), list(KINDS.values()), ids=[path for path, _ in KINDS.values()])
def test_a_kind_takes_what_its_schema_takes(path: str, kind: Type) -> None:
    schema = Draft7Validator(kind.schema())
    stricter, laxer = [], []
    for value, node in NODES:
        plain = node.plain()
        taken, valid = is_taken(kind, node), schema.is_valid(plain)
        if taken and not valid:
            stricter.append(value)
        elif valid and not taken and not is_unsayable(kind, value, plain):
            laxer.append(value)
    assert (stricter, laxer) == ([], []), path


def leaves(tree: dict[str, Any], steps: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for step, rest in tree.items():
        yield from leaves(rest, (*steps, step)) if rest else [(*steps, step)]


@pytest.mark.parametrize("steps", list(leaves(TREE)), ids=".".join)
def test_lists_in_which_nothing_stands_twice_are_the_same_to_both(steps: tuple[str, ...]) -> None:
    def lies_within(items: list[Any]) -> dict[str, Any]:
        value: Any = items
        for step in reversed(steps):
            value = [value] if step == "[]" else {"x" if step == "*" else step: value}
        return dict(value)

    def is_distinct(items: list[Any]) -> bool:
        problems = Problems()
        (document,) = parse_documents(json.dumps(lies_within(items)), "f", problems)
        tell_duplicates(document, problems)
        return not problems.errors

    def is_valid(items: list[Any]) -> bool:
        return not any("non-unique" in each.message for each in every(VALIDATOR.iter_errors(lies_within(items))))

    for items in (["a", "a"], ["a", "b"], ["a", "b", "a"]):
        assert is_distinct(items) == is_valid(items) == (len(items) == len(set(items)))


def every(errors: Any) -> Iterator[Any]:
    """Each error, and what was wrong with each alternative."""
    for error in errors:
        yield error
        yield from every(error.context)


# ------------------------------------------------------------------------------- documents, and what each of them is

# A line of a service, with {} for the value; values that are right; and values that are not.
LINES: Final = (
    ("image: {}", ["nginx", "rootfs:/"], ["1", "[a]", "''"]),
    ("command: {}", ["a b", "[a, b]", "null", "'a > b \"'"], ["[1]", "'a \"b'", "true"]),
    ("init: {}", ["true", "'yes'", "Off"], ["maybe", "1", "''"]),
    ("scale: {}", ["0", "'3'", "2.0"], ["-1", "1.5", "'-1'", "many"]),
    ("oom_score_adj: {}", ["-1000", "'1000'"], ["1001", "'-1001'"]),
    ("cpus: {}", ["0.5", "'1.5'", "'2'"], ["-1", "'-1'", "half"]),
    ("mem_limit: {}", ["512m", "1.5GiB", "64", "'-1'", "-1"], ["lots", "-2", "5x", "true"]),
    ("stop_grace_period: {}", ["1m30s", "500ms", "'0'"], ["5", "soon", "-5s"]),
    ("healthcheck: {{test: {}}}", ["a b", "[CMD, a]", "[CMD-SHELL, a b]", "[NONE]", "[]"], ["[curl]", "[CMD]", "[CMD-SHELL, a, b]"]),
    ("restart: {}", ["always", "on-failure:3", "no"], ["on-failure:x", "false", "sometimes"]),
    ("environment: {}", ["{A: 1, B: null}", "[A=1, B]"], ["A=1", "[[A]]", "{A: [1]}", "['=1']", "{'A ': 1}"]),
    ("extra_hosts: {}", ["['a=1.2.3.4']", "['a:::1']", "{a: [1.2.3.4, '::1']}"], ["[a]", "{a: 5}"]),
    ("depends_on: {}", ["[b]", "{b: {condition: service_healthy, required: false}}"], ["[b, b]", "{b: {condition: up}}", "b", "{b: {required: true}}"]),
    ("ports: [{}]", ["80", "'8080:80'", "'127.0.0.1:80-82:90-92/udp'", "'[::1]:80:80'", "{target: 80, published: 8000-8010}"],
     ["0", "70000", "'x:80'", "'80/xyz'", "'300.0.0.1:80:80'", "{published: 80}", "{target: 80, host_ip: nope}", "true"]),
    ("volumes: [{}]", ["/a", "'./a:/b:ro'", "{type: bind, source: /a, target: /b}", "{type: tmpfs, target: /a, tmpfs: {size: 1m, mode: 0700}}"],
     ["'/a::ro'", "'/a:/b:ro:x'", "{type: bind, target: /b}", "{type: tmpfs, source: a, target: /b}", "{type: tmp, target: /b}", "{target: /b}"]),
    ("tmpfs: {}", ["/run", "['/run:size=64m,mode=755,noexec']"], ["run", "'/run:size=big'", "'/run:mode=9'"]),
    ("devices: [{}]", ["/dev/a", "'/dev/a:/dev/b:r'", "{source: /dev/a, target: /dev/b}"], ["'a:b:c:d'", "{source: /dev/a}"]),
    ("gpus: {}", ["all", "[{count: 1}]"], ["some", "[{count: 1, device_ids: [a]}]"]),
    ("ulimits: {}", ["{nproc: 5}", "{nofile: {soft: 1, hard: '2'}}"], ["{nofile: {soft: 1}}", "{no-file: 1}", "{nproc: x}"]),
    ("secrets: [{}]", ["s", "{source: s, mode: 0440, uid: '1'}"], ["''", "{target: t}", "{source: s, mode: '9'}", "{source: s, uid: 1}"]),
    ("build: {}", [".", "{ssh: [default, id=./k], tags: [a]}"], ["{ssh: [key]}", "{additional_contexts: [a]}", "{contxt: .}", "null"]),
    ("develop: {{watch: [{}]}}", ["{path: a, action: rebuild}", "{path: a, action: sync, target: /a}"], ["{path: a, action: sync}", "{path: a}"]),
    ("group_add: {}", ["[a, 1, '1']"], ["[a, a]", "[1.5]"]),
    ("imag: {}", [], ["nginx"]),
    ("x-any: {}", ["{a: [1, null]}"], []),
)  # fmt: skip
AT_THE_TOP: Final = (
    ("volumes: {{v: {}}}", ["{external: true, name: x}", "{external: {name: x}}", "null"], ["{external: true, driver: x}", "{external: {}, labels: {a: b}}"]),
    ("networks: {{n: {}}}", ["{ipam: {config: [{subnet: 10.0.0.0/24}]}}", "{external: {}, name: y}", "{ipam: {config: [{subnet: 'fd00::/64'}]}}"],
     ["{ipam: {config: [{subnet: 10.0.0.0/33}]}}", "{drivr: x}", "{driver_opts: {a: true}}"]),
    ("models: {{m: {}}}", ["{model: x}"], ["{name: x}", "null"]),
    ("name: {}", ["my-app", "My App", "''"], ["'---'", "1"]),
    ("include: {}", ["null", "[]"], ["a.yml", "[{path: [a, a]}]", "[{}]"]),
    ("{}", ["x-any: 1"], ["servics: {}", "secrets:", "volumes: {a b: }"]),
)  # fmt: skip
REST: Final = "  b: {image: x, healthcheck: {test: a}}\nsecrets: {s: {file: x}}\n"


def documents() -> Iterator[Any]:
    """Each as a test of its own: its text, and whether it is right."""
    for lines, indent, rest in ((LINES, "    ", REST), (AT_THE_TOP, "", "")):
        for line, right, wrong in lines:
            image = "" if line.startswith("image:") else "    image: rootfs:/\n"
            for value in (*right, *wrong):
                written = line.format(value)
                text = f"services:\n  web:\n{image}{indent}{written}\n{rest}"
                yield pytest.param(text, value in right, id=written)


@pytest.mark.parametrize(("text", "is_right"), list(documents()))
def test_a_document_is_what_it_is_to_both(stack: Callable[..., Outcome], text: str, is_right: bool) -> None:
    errors = stack(text, acting=False).errors
    (document,) = parse_documents(text, "f", Problems())
    assert (errors == [], refusals(document.plain()) == []) == (is_right, is_right)


def test_the_schema_refers_to_nothing_outside_of_itself() -> None:
    """Its dialect is named, which every editor has of its own; nothing else is to be fetched."""
    Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"
    text = json.dumps({**SCHEMA, "$schema": ""})
    assert "$ref" not in text
    assert "http" not in text
