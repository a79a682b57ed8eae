"""`logging`: who keeps the program's output, and how."""


def test_options_become_text(key) -> None:
    assert key.value("{driver: json-file, options: {max-file: 3, max-size: 10m}}") == {
        "driver": "json-file", "options": {"max-file": "3", "max-size": "10m"},
    }  # fmt: skip
    assert key.unsaid() is None


def test_another_driver_brings_its_own_options(key) -> None:
    first = "{driver: a, options: {x: 1}}"
    assert key.merged(first, "{driver: b, options: {y: 2}}") == {"driver": "b", "options": {"y": "2"}}
    assert key.merged(first, "{options: {y: 2}}") == {"driver": "a", "options": {"x": "1", "y": "2"}}
    assert key.merged(first, "{driver: a, options: {x: 3}}") == {"driver": "a", "options": {"x": "3"}}


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("{driver: none}") == [
        "stack.yml:4:5: warning[O8-111] `logging` has no effect (`services.*.logging`)"
    ]


def test_a_driver_alone_is_a_mapping_too(key) -> None:
    assert key.printed("none") == """\
error[O8-104]: `services.web.logging` must be a mapping (the logging), found the text `none`
 --> stack.yml:4:14
4 |     logging: none
  |              ^^^^
"""  # fmt: skip
