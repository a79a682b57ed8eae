"""A graph in its five forms; each is compared whole, or read back by who reads such files."""

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestr8.stack.drawings import DRAWINGS
from orchestr8.stack.graph import Graph

DOCUMENT = {
    "name": "shop",
    "services": {
        "api": {
            "image": "rootfs:/api", "networks": {"default": None},
            "depends_on": {"db": {"condition": "service_healthy", "required": True},
                           "migrate": {"condition": "service_completed_successfully", "required": True}},
        },
        "db": {"image": "rootfs:/db", "networks": {"default": None},
               "volumes": [{"type": "volume", "source": "pgdata", "target": "/d"}, {"type": "tmpfs", "target": "/t"}]},
        "migrate": {"image": "rootfs:/api", "networks": {"default": None},
                    "depends_on": {"db": {"condition": "service_healthy", "required": True}}},
        "web": {
            "image": "rootfs:/web", "networks": {"default": None, "front": None},
            "depends_on": {"api": {"condition": "service_started", "required": False, "restart": True}},
        },
    },
}  # fmt: skip
GRAPH = Graph(DOCUMENT, {"mail": ["debug", "mail"]})


def test_ascii() -> None:
    assert (
        DRAWINGS["ascii"](GRAPH)
        == """\
web
└─ api ─ service_started, not required, restart
   ├─ db ─ service_healthy
   └─ migrate ─ service_completed_successfully
      └─ db ─ service_healthy

networks  default: all
          front: web

volumes   pgdata: db

not started: mail (profile debug, mail)
"""
    )


def test_what_was_opened_is_not_opened_again() -> None:
    services = {
        "a": {"depends_on": {"b": {}, "c": {}}}, "b": {"depends_on": {"c": {}}}, "c": {"depends_on": {"d": {}}}, "d": {},
    }  # fmt: skip
    assert (
        DRAWINGS["ascii"](Graph({"name": "x", "services": services}, {}))
        == """\
a
├─ b ─ service_started
│  └─ c ─ service_started
│     └─ d ─ service_started
└─ c ─ service_started (shown above)
"""
    )


def test_mermaid() -> None:
    assert (
        DRAWINGS["mermaid"](GRAPH)
        == """\
flowchart TD
  s0["api"]
  s1["db"]
  s2["migrate"]
  s3["web"]
  s0 -->|service_healthy| s1
  s0 -->|service_completed_successfully| s2
  s2 -->|service_healthy| s1
  s3 -.->|service_started, not required, restart| s0
"""
    )


def test_dot() -> None:
    assert (
        DRAWINGS["dot"](GRAPH)
        == """\
digraph "shop" {
  rankdir=TB;
  node [shape=box, style=rounded];
  "api" [tooltip="rootfs:/api"];
  "db" [tooltip="rootfs:/db"];
  "migrate" [tooltip="rootfs:/api"];
  "web" [tooltip="rootfs:/web"];
  "api" -> "db" [label="service_healthy"];
  "api" -> "migrate" [label="service_completed_successfully"];
  "migrate" -> "db" [label="service_healthy"];
  "web" -> "api" [label="service_started, not required, restart", style=dashed];
}
"""
    )


def test_json() -> None:
    found = json.loads(DRAWINGS["json"](GRAPH))
    assert [(each["name"], each["row"]) for each in found["services"]] == [
        ("api", 1),
        ("db", 3),
        ("migrate", 2),
        ("web", 0),
    ]
    assert found["services"][3]["depends_on"] == [
        {"service": "api", "condition": "service_started", "required": False, "restart": True}
    ]
    assert found["services"][1]["volumes"] == ["pgdata"]
    assert found["disabled"] == {"mail": ["debug", "mail"]}


SVG = "{http://www.w3.org/2000/svg}"
LEAST_LETTER = 7.8  # px; what a letter of 13px monospace takes, 0.6 em


def boxes(text: str) -> list[tuple[float, float, float, float]]:
    return [
        (
            float(each.get("x", "")),
            float(each.get("y", "")),
            float(each.get("width", "")),
            float(each.get("height", "")),
        )
        for each in ET.fromstring(text).iter(f"{SVG}rect")
    ]


def test_svg_has_every_service_and_every_condition() -> None:
    text = DRAWINGS["svg"](GRAPH)
    root = ET.fromstring(text)
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert sorted(words) == sorted(
        [
            "api",
            "db",
            "migrate",
            "web",
            "healthy",
            "healthy",
            "completed_successfully",
            "started, not required, restart",
        ]
    )
    assert len([each for each in root.iter(f"{SVG}path") if "edge" in each.get("class", "")]) == 4
    assert "prefers-color-scheme:dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@given(st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=40), st.integers(1, 15))
@settings(deadline=None, max_examples=60)
def test_no_box_lies_over_another_or_outside(pairs: list[tuple[int, int]], count: int) -> None:
    names = [f"service-{number}" * (1 + number % 3) for number in range(count)]
    services = {name: {"depends_on": {}} for name in names}
    for one, other in pairs:
        if one < other < count:
            services[names[one]]["depends_on"][names[other]] = {}
    graph = Graph({"name": "x", "services": services}, {})
    text = DRAWINGS["svg"](graph)
    found = boxes(text)
    assert len(found) == count
    root = ET.fromstring(text)
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert root.get("viewBox") == f"0 0 {width:.0f} {height:.0f}"
    for x, y, w, h in found:
        assert x >= 0
        assert x + w <= width + 1
        assert y + h <= height + 1
    for group in root.iter(f"{SVG}g"):  # a name stands in the middle of its box, which is wide enough for it
        box, name = group.find(f"{SVG}rect"), group.find(f"{SVG}text")
        assert box is not None
        assert name is not None
        left, wide = float(box.get("x", "")), float(box.get("width", ""))
        assert float(name.get("x", "")) == pytest.approx(left + wide / 2, abs=0.2)
        assert wide >= LEAST_LETTER * len(name.text or "")
    for number, (x, y, w, _) in enumerate(found):
        for x2, y2, w2, _ in found[number + 1 :]:
            assert y != y2 or x + w < x2 or x2 + w2 < x
    for style in ("ascii", "mermaid", "dot", "json"):
        assert DRAWINGS[style](graph)


@pytest.mark.parametrize("style", DRAWINGS)
def test_names_that_mean_something_to_the_form_are_only_names(style: str) -> None:
    name = '<a href="x">&\\'
    services = {name: {"image": name, "depends_on": {"b": {"condition": name}}}, "b": {}}
    text = DRAWINGS[style](Graph({"name": name, "services": services}, {}))
    if style == "svg":
        assert name in [each.text for each in ET.fromstring(text).iter(f"{SVG}text")]
    elif style == "json":
        assert json.loads(text)["services"][0]["name"] == name
    elif style == "mermaid":
        assert "<" not in text
    elif style == "dot":
        assert '\\"x\\"' in text


def test_a_long_chain_is_drawn_in_every_form() -> None:
    count = 1500
    services = {
        f"s{number}": {"depends_on": {f"s{number + 1}": {}} if number < count else {}} for number in range(count + 1)
    }
    graph = Graph({"name": "x", "services": services}, {})
    for style, draw in DRAWINGS.items():
        assert f"s{count}" in draw(graph), style


def test_an_empty_stack_is_drawn() -> None:
    for draw in DRAWINGS.values():
        draw(Graph({"name": "x", "services": {}}, {}))
