import pytest

from orchestr8.stack.nodes import Mapping, Scalar
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.problems import Problems


def parse(text: str) -> tuple[list[object], list[str]]:
    problems = Problems()
    documents = parse_documents(text, "f.yml", problems)
    return [each.plain() for each in documents], [repr(each) for each in problems.errors]


def test_every_value_keeps_its_place() -> None:
    problems = Problems()
    (document,) = parse_documents("a:\n  b: [one, 'two three']\nü: 5\n", "f.yml", problems)
    sequence = document.items["a"].items["b"]
    places = [(each.line, each.column, each.end_column) for each in (*sequence.items, document.keys["ü"])]
    assert places == [(2, 7, 10), (2, 12, 23), (3, 1, 2)]


def test_quoted_and_tagged_text_is_not_resolved() -> None:
    assert parse("a: 5\nb: '5'\nc: !!str 5\nd: !!int '5'\ne: |\n  5\n") == (
        [{"a": 5, "b": "5", "c": "5", "d": 5, "e": "5\n"}], [],
    )  # fmt: skip


def test_merge_keys_give_what_the_mapping_lacks() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: *a, y: 3}\nd: {<<: [*a, *b]}\ne: &l [*a, *b]\nf: {<<: *l}\n"
    assert parse(text)[0][0]["c"] == {"y": 3, "x": 1}
    assert parse(text)[0][0]["d"] == {"x": 1, "y": 1, "z": 2}
    assert parse(text)[0][0]["f"] == {"x": 1, "y": 1, "z": 2}


def test_a_merge_key_may_be_tagged_and_stands_once() -> None:
    assert parse("a: {!!merge <<: {x: 1}}\nb: {'<<': 1}\n") == ([{"a": {"x": 1}, "b": {"<<": 1}}], [])
    (error,) = parse("a: {<<: {x: 1}, <<: {y: 1}}\n")[1]
    assert error == "error[O8-103]: the key `<<` stands here twice --> f.yml:1:17"


def test_an_anchor_holds_in_later_documents() -> None:
    assert parse("a: &a 1\n---\nb: *a\n") == ([{"a": 1}, {"b": 1}], [])


def test_a_tag_says_what_a_value_is() -> None:

    text = "a: [!!int '5', !!float 3, !!bool 'true', !!null '', !!binary aGk=, !foo 5]"
    assert parse(text) == ([{"a": [5, 3.0, True, None, "hi", "5"]}], [])
    assert parse("a: !!int x")[1] == ["error[O8-104]: `x` is not what its tag `!!int` says --> f.yml:1:4"]
    assert parse("a: !!binary =")[1] == ["error[O8-104]: `!!binary` takes base64 of text --> f.yml:1:4"]
    assert parse("a: .inf")[1] == ["error[O8-104]: .inf is not a number that can be passed on --> f.yml:1:4"]


def test_a_tag_that_nothing_knows_is_warned_of() -> None:
    problems = Problems()
    text = "a: !overide [1]\nb: !foo x\nc: !!python/name:x y\nd: !reset\ne: !!str 5\nf: ! 5\n"
    parse_documents(text, "f.yml", problems)
    assert [(repr(each), each.helps) for each in problems.warnings] == [
        ("warning[O8-111]: the tag `!overide` has no effect --> f.yml:1:4", ["did you mean `!override`?"]),
        ("warning[O8-111]: the tag `!foo` has no effect --> f.yml:2:4", []),
        ("warning[O8-111]: the tag `!!python/name:x` has no effect --> f.yml:3:4", []),
    ]
    assert not problems.errors


def test_what_cannot_be_merged_is_told_where_that_is_asked_for() -> None:
    problems = Problems()
    parse_documents("a: &a foo\nb: {<<: *a}\nc: {<<: [*a]}\n", "f.yml", problems)
    places = [[(span.line, span.column) for span in error.spans] for error in problems.errors]
    assert places == [[(2, 9), (1, 4)], [(3, 9), (1, 4)]]


def test_a_port_with_a_space_in_it_is_to_be_one_text() -> None:
    problems = Problems()
    parse_documents("a: [{80: 8080}]\n", "f.yml", problems)
    (error,) = problems.errors
    assert error.helps == ['if it is one text, leave no space in it, and quote it: "80:8080"', 'quote it: "80"']
    assert error.fix is None


def test_a_sign_that_begins_no_plain_value_is_to_be_quoted() -> None:
    problems = Problems()
    parse_documents("a: @b\n", "f.yml", problems)
    assert problems.errors[0].helps == ["quote a value that begins with @"]


def test_an_anchor_may_be_defined_again() -> None:
    assert parse("a: &x 1\nb: *x\nc: &x 2\nd: *x\n") == ([{"a": 1, "b": 1, "c": 2, "d": 2}], [])


def test_several_documents_are_several_mappings_and_empty_ones_are_none() -> None:
    assert parse("a: 1\n---\n---\nb: 2\n") == ([{"a": 1}, {"b": 2}], [])


def test_a_duplicate_key_is_an_error_that_shows_both() -> None:
    problems = Problems()
    parse_documents("a: 1\nb: 2\na: 3\n", "f.yml", problems)
    (error,) = problems.errors
    assert (error.code, error.message) == ("O8-103", "the key `a` stands here twice")
    assert [(span.line, span.label) for span in error.spans] == [(3, "again here"), (1, "first here")]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a:\n\t- b\n", "error[O8-102]: this is not YAML: a tab is used for indentation --> f.yml:2:1"),
        ("a: b: c\n", "error[O8-102]: this is not YAML: mapping values are not allowed in this context --> f.yml:1:5"),
        ("a: [1", "error[O8-102]: this is not YAML: did not find expected ',' or ']' --> f.yml:1:6"),
        ("a: \x01\n", "error[O8-102]: this is not YAML: control characters are not allowed --> f.yml:1:4"),
        (
            "a: ééé\r\n\u2028# é\nb: é\x01",
            "error[O8-102]: this is not YAML: control characters are not allowed --> f.yml:4:5",
        ),
        (
            "a:\x85b: c: d\n",
            "error[O8-102]: this is not YAML: mapping values are not allowed in this context --> f.yml:2:5",
        ),
        ("a: *b\n", "error[O8-102]: no anchor is called `&b` --> f.yml:1:4"),
        ("a: &a [*a]\n", "error[O8-102]: `*a` stands inside of what it names --> f.yml:1:8"),
        ("[a, b]\n", "error[O8-102]: a stack file is a mapping of keys such as `services:` --> f.yml:1:1"),
        ("zoo\n", "error[O8-102]: a stack file is a mapping of keys such as `services:` --> f.yml:1:1"),
        ("{1: a}\n", "error[O8-104]: a key must be text; `1` is not --> f.yml:1:2"),
        ("{[a]: b}\n", "error[O8-104]: a key must be text, not a list or a mapping --> f.yml:1:2"),
        (
            'a: "x\\0y"\n',
            "error[O8-104]: a text cannot hold the character NUL: no program can be given it --> f.yml:1:4",
        ),
        ("{<<: 5}\n", "error[O8-104]: `<<` takes a mapping, or a list of mappings --> f.yml:1:6"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, error: str) -> None:
    assert parse(text)[1] == [error]


def test_a_variable_that_ends_a_mapping_is_to_be_quoted() -> None:
    problems = Problems()
    parse_documents("a: {b: ${C}}\n", "f.yml", problems)
    assert problems.errors[0].helps == ['between { } and [ ] a value with a variable is quoted: "${...}"']


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a:\n    b: 1\n   c: 2\n", "this line begins in column 4: what continues something above begins in column 1 or 5"),
        ("a:\n   - 1\n  - 2\n", "this line begins in column 3: what continues something above begins in column 1 or 4"),
        ("a:\n- b: 1\n  c:\n     d: 2\n\n # e\n    f: 3\n", "this line begins in column 5: what continues something above begins in column 1 or 3 or 6"),
        ('a:\n  b: "c" d\n', "a value that begins with a quote ends with it: quote all of it"),
    ],
)  # fmt: skip
def test_an_indentation_that_fits_nothing_above_is_told_with_those_that_would(text: str, told: str) -> None:
    problems = Problems()
    parse_documents(text, "f.yml", problems)
    assert problems.errors[0].helps == [told]


def test_an_alias_bomb_is_refused() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    text += "".join(
        f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert [error[:22] for error in parse(text)[1]] == ["error[O8-102]: the fil"]


def test_a_hundred_levels_load_and_more_do_not() -> None:
    assert parse("a: " + "[" * 98 + "x" + "]" * 98)[1] == []
    error = "error[O8-102]: the file exceeds the limit of 100 levels --> f.yml:1:"
    assert parse("a: " + "[" * 500 + "]" * 500)[1] == [f"{error}103"]
    assert parse("a: " + "{b: " * 500 + "}" * 500)[1] == [f"{error}397"]
    for deep in ("[" * 5_000 + "]" * 5_000, "{b: " * 50_000):  # deeper than the reader of YAML goes itself
        assert [each[: len(error)] for each in parse("a: " + deep)[1]] == [error]


def test_levels_are_counted_through_aliases() -> None:
    text = "k0: &k0 [x]\n" + "".join(f"k{level}: &k{level} [*k{level - 1}]\n" for level in range(1, 5_000))
    assert parse(text)[1] == ["error[O8-102]: the file exceeds the limit of 100 levels --> f.yml:99:12"]


def test_fifty_thousand_values_load_and_a_hundred_thousand_do_not() -> None:
    assert parse("k: [" + "v, " * 50_000 + "]")[1] == []
    assert parse("k: [" + "v,\n " * 100_000 + "]")[1] == [
        "error[O8-102]: the file exceeds the limit of 100000 values --> f.yml:99999:2"
    ]


def test_a_node_is_a_scalar_or_holds_more() -> None:
    (document,) = parse_documents("a: 1\n", "f.yml", Problems())
    assert isinstance(document, Mapping)
    assert isinstance(document.items["a"], Scalar)
