import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.dump import to_json, to_yaml
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.problems import Problems

DOCUMENT = {
    "name": "shop",
    "services": {"web": {"command": None, "environment": {"A": "yes", "B": "010", "C": "$x", "D": "a\nb\n", "E": None},
                         "ports": [{"target": 80}], "labels": {}, "cpus": 0.5}},
}  # fmt: skip


def test_yaml_reads_as_a_stack_file_does() -> None:
    assert (
        to_yaml(DOCUMENT)
        == """\
name: shop
services:
  web:
    command: null
    environment:
      A: "yes"
      B: "010"
      C: $$x
      D: |
        a
        b
      E: null
    ports:
      - target: 80
    labels: {}
    cpus: 0.5
"""
    )


def test_dollars_are_doubled_unless_variables_were_kept() -> None:
    assert json.loads(to_json(DOCUMENT))["services"]["web"]["environment"]["C"] == "$$x"
    assert json.loads(to_json(DOCUMENT, escape=False)) == DOCUMENT
    assert "C: $x" in to_yaml(DOCUMENT, escape=False)


TEXT = st.text(
    alphabet=st.characters(blacklist_categories=("Cs", "Cc", "Co", "Cn")) | st.sampled_from("\n\t"), max_size=15
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(TEXT, VALUES, min_size=1, max_size=3))
def test_what_is_printed_reads_back_the_same(document) -> None:
    problems = Problems()
    (found,) = parse_documents(to_yaml(document, escape=False), "f", problems)
    assert (found.plain(), problems.errors) == (document, [])
    assert yaml.safe_load(to_yaml(document, escape=False)) == document
