import json
import os

import pytest

from orchestr8.errors import Diagnostic, Edit, Fix, Span
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


def test_github_marks_the_place_and_escapes() -> None:
    found = Diagnostic("O8-104", "a: 100%\nb", [Span("a,b:c.yml", 2, 3, 5)], severity="warning", helps=["x"])
    assert render([found, Diagnostic("O8-107", "no file")], {}, style="github") == (
        "::warning file=a%2Cb%3Ac.yml,line=2,endLine=2,col=3,endColumn=5,title=O8-104::a: 100%25%0Ab%0Ax\n"
        "::error title=O8-107::no file\n"
    )


def test_sarif_has_rules_places_and_fixes() -> None:
    fix = Fix("write `b`", [Edit("d/a b.yml", 1, 1, 1, 2, "b")])
    spans = [Span("d/a b.yml", 1, 1, 2, label="here"), Span("/x/b.yml", 3, 1, 4, label="there", primary=False)]
    (run,) = json.loads(render([Diagnostic("O8-101", "unknown", spans, fix=fix)], {}, style="sarif"))["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["O8-101"]
    (result,) = run["results"]
    assert result["locations"] == [{
        "physicalLocation": {"artifactLocation": {"uri": "d/a%20b.yml"},
                             "region": {"startLine": 1, "startColumn": 1, "endColumn": 2}},
        "message": {"text": "here"},
    }]  # fmt: skip
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"] == {"uri": "file:///x/b.yml"}
    region = {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2}
    assert result["fixes"] == [{
        "description": {"text": "write `b`"},
        "artifactChanges": [{
            "artifactLocation": {"uri": "d/a%20b.yml"},
            "replacements": [{"deletedRegion": region, "insertedContent": {"text": "b"}}],
        }],
    }]  # fmt: skip


def test_what_can_be_mended_is_said_in_both_places() -> None:
    fix = Fix("write `b`", [Edit("f", 1, 1, 1, 2, "b")])
    assert render([Diagnostic("O8-101", "unknown", [Span("f", 1, 1, 2)], fix=fix)], {"f": "a: 1"}, count=True) == (
        "error[O8-101]: unknown\n"
        " --> f:1:1\n"
        "1 | a: 1\n"
        "  | ^\n"
        "  = fix:  orchestr8 check --fix   (write `b`)\n"
        "\n"
        "1 error in f; 1 can be mended by: orchestr8 check --fix\n"
    )


def test_nothing_in_a_file_or_a_message_reaches_the_terminal_as_a_control_code() -> None:
    found = Diagnostic(
        "O8-104", "a\x1b[2Jb\nc", [Span("f\x07", 1, 4, 5, label="\x1b[1m")], notes=["\r"], helps=["\x9b"]
    )
    out = render([found], {"f\x07": "a: \x1b[31mred\x00"})
    assert [letter for letter in out if letter != "\n" and not letter.isprintable()] == []
    assert len(out.splitlines()) == 6


def test_places_are_found_whatever_ends_the_lines() -> None:
    for text in ("x\r\nab: c\r\n", "x\rab: c", "x\x85ab: c", "x\u2028ab: c", "x\nab: c"):
        out = render([Diagnostic("O8-104", "m", [Span("f", 2, 5, 6)])], {"f": text})
        assert out.splitlines()[2:4] == ["2 | ab: c", "  |     ^"], repr(text)


def test_a_place_behind_the_end_is_shown_at_the_end() -> None:
    def lines(text: str, span: Span) -> list[str]:
        return render([Diagnostic("O8-102", "m", [span])], {"f": text}).splitlines()[1:]

    assert lines("ab", Span("f", 1, 9, 12)) == [" --> f:1:9", "1 | ab", "  |   ^"]
    assert lines("", Span("f", 1, 1)) == [" --> f:1:1", "1 |", "  | ^"]
    assert lines("ab", Span("f", 7, 1)) == [" --> f:7:1"]


def test_letters_that_take_no_room_or_two_columns_are_counted_so() -> None:
    def mark(text: str, column: int, end: int) -> str:
        return render([Diagnostic("O8-104", "m", [Span("f", 1, column, end)])], {"f": text}).splitlines()[3]

    assert mark("e\u0301x: 日本", 3, 4) == "  |  ^"
    assert mark("k: 日本", 4, 6) == "  |    ^^^^"
    assert mark("\t\tk: v", 3, 4) == "  |   ^"


def test_the_first_primary_place_leads_though_another_stands_first() -> None:
    spans = [Span("b", 1, 1, 2, label="because", primary=False), Span("a", 1, 1, 2, label="here")]
    out = render([Diagnostic("O8-104", "m", spans)], {"a": "x", "b": "y"})
    assert out == ("error[O8-104]: m\n --> a:1:1\n1 | x\n  | ^ here\n ::: b:1:1\n1 | y\n  | - because\n")


@pytest.mark.parametrize("style", ["full", "concise", "json", "github", "sarif"])
def test_a_files_name_need_not_be_text(style: str) -> None:
    file = os.fsdecode(b"/d\xff/s 1.yml")
    found = render([Diagnostic("O8-101", "m", [Span(file, 1, 1)])], {file: "a: 1\n"}, style=style)
    assert "m" in found
    assert style != "sarif" or '"uri": "file:///d%FF/s%201.yml"' in found
