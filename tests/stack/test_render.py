import json

from orchestr8.errors import Diagnostic, Span
from orchestr8.stack.render import render

TEXT = "services:\n  web:\n    image: rootfs:/\n    depends_on: [a, b]\n"
FIRST = Diagnostic("O8-203", "no service is called `a`", [Span("stack.yml", 4, 18, 19, label="in services.web.depends_on")],
                   helps=["did you mean `api`?"])  # fmt: skip
SECOND = Diagnostic("O8-111", "`x` has no effect", [Span("b.yml", 1, 1, 2)], severity="warning", notes=["why"])


def test_the_place_is_shown_and_underlined() -> None:
    assert (
        render([FIRST], {"stack.yml": TEXT})
        == """\
error[O8-203]: no service is called `a`
 --> stack.yml:4:18
4 |     depends_on: [a, b]
  |                  ^ in services.web.depends_on
  = help: did you mean `api`?
"""
    )


def test_more_than_one_is_counted() -> None:
    assert (
        render([FIRST, SECOND], {"stack.yml": TEXT, "b.yml": "x: 1"})
        == """\
error[O8-203]: no service is called `a`
 --> stack.yml:4:18
4 |     depends_on: [a, b]
  |                  ^ in services.web.depends_on
  = help: did you mean `api`?

warning[O8-111]: `x` has no effect
 --> b.yml:1:1
1 | x: 1
  | ^
  = note: why

1 error, 1 warning in b.yml, stack.yml
"""
    )


def test_a_second_place_in_another_file_is_named() -> None:
    spans = [Span("a.yml", 12, 1, 4, label="here"), Span("b.yml", 3, 1, 4, label="there", primary=False)]
    found = Diagnostic("O8-204", "they differ", spans)
    assert (
        render([found], {"a.yml": "\n" * 11 + "abc\n", "b.yml": "\n\nxyz\n"})
        == """\
error[O8-204]: they differ
  --> a.yml:12:1
12 | abc
   | ^^^ here
  ::: b.yml:3:1
 3 | xyz
   | --- there
"""
    )


def test_concise_is_one_line_each_and_json_has_it_all() -> None:
    assert render([FIRST, SECOND], {}, style="concise") == (
        "stack.yml:4:18: error[O8-203] no service is called `a`\nb.yml:1:1: warning[O8-111] `x` has no effect\n"
    )
    (first, second) = map(json.loads, render([FIRST, SECOND], {}, style="json").splitlines())
    assert (first["code"], first["severity"], first["helps"]) == ("O8-203", "error", ["did you mean `api`?"])
    assert first["spans"] == [
        {
            "file": "stack.yml",
            "line": 4,
            "column": 18,
            "end_column": 19,
            "label": "in services.web.depends_on",
            "primary": True,
        }
    ]
    assert second["severity"] == "warning"


def test_colour_changes_nothing_but_colour() -> None:
    import re

    plain, coloured = (render([FIRST], {"stack.yml": TEXT}, colour=colour) for colour in (False, True))
    assert plain != coloured
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == plain


def test_nothing_is_rendered_as_nothing_and_no_place_as_no_place() -> None:
    assert render([], {}) == ""
    assert render([Diagnostic("O8-107", "no file")], {}) == "error[O8-107]: no file\n"


def test_wide_letters_tabs_and_long_lines_keep_the_mark_in_place() -> None:
    def lines(text: str, span: Span) -> list[str]:
        return render([Diagnostic("O8-104", "x", [span])], {"f": text}).splitlines()[2:]

    assert lines("日本: x", Span("f", 1, 5, 6)) == ["1 | 日本: x", "  |       ^"]
    assert lines("a:\tx", Span("f", 1, 4, 5)) == ["1 | a: x", "  |    ^"]
    shown, mark = lines("k: " + "a" * 500 + "B" + "a" * 500, Span("f", 1, 504, 505))
    assert len(shown) < 220
    assert shown[mark.index("^")] == "B"
