"""No input gives a traceback, hangs, or eats memory. Each of these once did, or does so elsewhere.

Time is not measured: what would hang runs into the limit that every test has.
"""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.errors import InvalidInput, InvalidStack, Orchestr8Error
from orchestr8.stack.load import LoadOptions, load
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.problems import MAX_TOLD, Problems
from orchestr8.stack.render import render
from orchestr8.stack.rules import SERVICE


def services(lines: str, count: int) -> str:
    """A stack of `count` services, each of this line with its number put in."""
    return "services:\n" + "".join(f"  s{number}: {lines.replace('%', str(number))}\n" for number in range(count))


def web(lines: str) -> str:
    return f"services: {{web: {{image: x, {lines}}}}}\n"


TOO_MUCH = {
    "unknown keys": web(", ".join(f"key{number}: 1" for number in range(20_000))),
    "wrong values by alias": "x-h: &h {" + ", ".join(f"k{number}a: 1" for number in range(90)) + "}\n"
    + services("{image: x, healthcheck: *h}", 2_000),
    "undefined networks": services("{image: x, networks: [n%]}", 3_000),
    "container names": services("{image: x, container_name: same}", 3_000),
    "ports in a range": web('ports: ["1-65535:1-65535", "1-65535"]'),
    "short cycles": "services:\n" + "".join(f"  s{n}: {{image: x, depends_on: [s{n ^ 1}]}}\n" for n in range(3_000)),
    "one long cycle": "services:\n" + "".join(
        f"  s{n}: {{image: x, depends_on: [s{(n + 1) % 3000}]}}\n" for n in range(3_000)),
    "braces": web('labels: {a: "' + "${A:-{" * 30_000 + '"}'),
    "operands": web('labels: {a: "' + "${A:-" * 20_000 + "}" * 20_000 + '"}'),
    "unclosed variables": web("labels: [" + ", ".join('"${A:-' + "{" * 150 + '"' for _ in range(2_000)) + "]"),
    "long numbers": web(f"scale: {'1' * 9_000}, mem_limit: {'9' * 5_000}, cpus: '{'9' * 5_000}'"),
    "long durations": web(f"stop_grace_period: '{'9' * 30_000}'"),
    "infinite sizes": web(f"mem_limit: '{'9' * 400}.5g'"),
    "digits of other scripts": web("deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: '²'}]}}}"),
    "a huge line of one word": web("labels: {a: " + "A_TOKEN_" * 100_000 + "}, foo: 1"),
    "a huge line of assignments": web("foo: " + "TOKEN=" * 100_000),
    "infinity": web("labels: {a: .inf}"),
    "levels in a block": "".join(" " * level + f"a{level}:\n" for level in range(500)),
    "what is dropped in a list": web("volumes: [{type: !reset bind, source: /a, target: !reset /b}]"),
}  # fmt: skip


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in TOO_MUCH.items()])
def test_it_ends_with_errors_and_not_with_too_many(stack, text: str) -> None:
    found = stack(text, acting=False)
    assert 0 < len(found.errors) <= MAX_TOLD + 1
    assert "O8-9" not in found.text


MUCH = {
    "mounts on one target": web("volumes: [" + ", ".join(f'"/v{number}:/t"' for number in range(5_000)) + "]"),
    "ports on many addresses": services("{image: x, ports: ['10.0.0.1:%:80']}", 3_000),
    "variables that are not set": web("labels: {" + ", ".join(f"k{n}: $V{n}" for n in range(20_000)) + "}"),
    "documents": "services: {web: {image: x}}\n---\n" * 3_000,
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in MUCH.items()])
def test_it_loads_and_does_not_warn_for_ever(stack, text: str) -> None:
    found = stack(text)
    assert found.errors == []
    assert len(found.warnings) <= MAX_TOLD + 1


def test_what_variables_become_is_bounded(stack) -> None:
    long = {".env": f"A={'x' * 100_000}\n"}
    found = stack({"stack.yml": web(f"labels: {{a: '{'$A' * 100}'}}"), **long})
    assert "it becomes longer than 4 MiB" in found.text
    many = ", ".join(f"k{number}: '{'$A' * 30}'" for number in range(40))
    found = stack({"stack.yml": web(f"labels: {{{many}}}"), **long})
    assert "all variables of the stack together become longer than 64 MiB" in found.text


def test_env_files_of_many_services_are_bounded(stack) -> None:
    found = stack({"stack.yml": services("{image: x, env_file: big.env}", 1_000),
                   "big.env": "".join(f"K{number}=v\n" for number in range(1_000))})  # fmt: skip
    assert [error.partition("] ")[2] for error in found.errors] == [
        "the env files of all services and includes together have more than 400000 lines"
    ]


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/dev/zero", "is a device: /dev/zero"),
        ("pipe", "is a named pipe, which may never end: {}/pipe"),
        (".", "is a directory: {}"),
        ("loop", "cannot be read: {}/loop: Too many levels of symbolic links"),
        ("long" * 100, "cannot be read: {}/" + "long" * 100 + ": File name too long"),
        ("binary", "is not UTF-8 text: {}/binary: invalid start byte at byte 3, in line 2"),
        ("half", "is not UTF-16-LE text: {}/half: truncated data at byte 2"),
        ("big", "is larger than 32 MiB: {}/big"),
    ],
)
def test_what_a_stack_names_is_read_only_when_it_is_a_file(stack, project_dir, path: str, error: str) -> None:
    os.mkfifo(project_dir / "pipe")
    (project_dir / "loop").symlink_to("loop")
    (project_dir / "binary").write_bytes(b"a:\n\xff\x00")
    (project_dir / "half").write_bytes(b"\xff\xfea")
    with (project_dir / "big").open("wb") as file:
        file.truncate(33 * 2**20)
    told = error.format(project_dir)
    assert stack(f"include: [{path}]\n").errors == [f"stack.yml:1:11: error[O8-107] stack file {told}"]
    assert stack(web(f"env_file: {path}")).errors == [f"stack.yml:1:38: error[O8-304] env file {told}"]
    found = stack(f"services: {{web: {{extends: {{service: x, file: {path}}}}}}}\n")
    assert found.errors == [f"stack.yml:1:46: error[O8-107] stack file {told}"]


def test_a_variable_that_is_no_text_is_refused_where_it_is_used(stack) -> None:
    environ = {"A": os.fsdecode(b"\xff")}
    assert stack(web("labels: {a: $A}"), environ=environ).errors == [
        "stack.yml:1:40: error[O8-300] the variable A holds bytes that are not UTF-8 text"
    ]
    with pytest.raises(InvalidInput, match="the variable A holds bytes"):
        stack(web("environment: [A]"), environ=environ)


WORDS = st.sampled_from([
    "", "null", "true", "no", "5", "-1", "1.5", "x", "a:b", "/a:/b", "80:80", "1-3:4-6/udp", "10s", "${A}", "${A:?m}", "$", "$$",
    "=", "a=b", "²", "9" * 5000, "\x85", " ", "service:web", "::1", "~", "..", "\N{GRINNING FACE}",
])  # fmt: skip
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(["source", "target", "type", "x-a"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
STACKS = st.fixed_dictionaries(
    {"services": st.dictionaries(
        st.sampled_from(["web", "db"]), st.dictionaries(st.sampled_from(sorted(SERVICE.keys)), VALUES, max_size=3), max_size=2,
    )},
    optional=dict.fromkeys(("name", "include", "networks", "volumes", "configs", "secrets", "models", "x-a"), VALUES),
)  # fmt: skip


@settings(max_examples=300)
@given(STACKS, st.booleans(), st.booleans())
def test_any_values_at_any_keys_load_or_are_told(document: dict, interpolate: bool, consistency: bool) -> None:
    options = LoadOptions(
        files=["-"], environ={"A": "a"}, stdin=lambda: json.dumps(document), project_directory="/nowhere",
        interpolate=interpolate, consistency=consistency,
    )  # fmt: skip
    try:
        json.dumps(load(options).document)
    except InvalidStack as failure:
        render(failure.diagnostics, failure.sources)
    except Orchestr8Error:
        pass  # told, as it should be


PIECES = st.sampled_from([
    "a", "b: ", "c:\n", "\n", "  ", "- ", "[", "]", "{", "}", ", ", "*a", "&a ", "<<: ", "!reset ", "!!int ", "!x ", '"', "'", "|\n", ">",
    "? ", "---\n", "...\n", "%YAML 1.2\n", "# c\n", "\t", "\r\n", "\ufeff", "\x00", "\x85", "\u2028", "é", "\U0001f600", "1_0", "0o7", ".inf", "~",
])  # fmt: skip


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_text_is_parsed_or_refused_with_a_place_in_it(text: str) -> None:
    problems = Problems()
    problems.sources["f.yml"] = text
    documents = parse_documents(text, "f.yml", problems)
    assert render(problems.errors, problems.sources) or not problems.errors
    lines = problems.lines("f.yml")
    for error in problems.errors:
        assert all(1 <= span.line <= len(lines) for span in error.spans)
    for document in documents:
        assert isinstance(document.plain(), dict)


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp")), max_size=20)
JSON = st.recursive(
    TEXT | st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_json_is_yaml(document: dict) -> None:
    problems = Problems()
    found = parse_documents(json.dumps(document, ensure_ascii=False), "f.yml", problems)
    assert problems.errors == []
    assert [each.plain() for each in found] == [document]


def test_a_variable_in_the_place_of_a_mounts_type_needs_a_target_too(stack) -> None:
    found = stack(web("volumes: [{type: $A, source: ./b}, './b:/b']"), interpolate=False)
    assert found.errors == ["stack.yml:1:38: error[O8-105] `services.web.volumes[0]` has no `target`"]
