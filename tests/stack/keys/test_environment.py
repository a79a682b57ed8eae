"""`environment` and `labels`: mappings, or lists of KEY=VALUE."""

import pytest


def test_values_become_text(service) -> None:
    found = service('environment: {A: 1, B: 2.5, C: true, D: no, E: "", F: 22:22, G: null, "H": 0x10}')
    assert found.web == {
        "environment": {
            "A": "1", "B": "2.5", "C": "true", "D": "no", "E": "", "F": "22:22", "G": None, "H": "16",
        }
    }  # fmt: skip


def test_a_number_that_changes_by_being_one_is_warned_of(service) -> None:
    found = service("environment: {UMASK: 022, VERSION: 1.10}")
    assert found.web == {"environment": {"UMASK": "18", "VERSION": "1.1"}}
    assert found.warnings == [
        "stack.yml:4:26: warning[O8-112] `services.web.environment.UMASK`: 022 is a number to YAML, and becomes 18",
        "stack.yml:4:40: warning[O8-112] `services.web.environment.VERSION`: 1.10 is a number to YAML, and becomes 1.1",
    ]


def test_labels_without_a_value_are_empty(service) -> None:
    assert service("labels: {a: , b: 1}").web == {"labels": {"a": "", "b": "1"}}
    assert service("labels: [a, b=1=2]").web == {"labels": {"a": "", "b": "1=2"}}


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("FOO=1", "18: error[O8-104] `services.web.environment` must be a mapping, or a list of KEY=VALUE, found the text `FOO=1`"),
        ("{A: [1]}", "22: error[O8-104] `services.web.environment.A` must be a single value, found a list"),
        ("[A: b]", "19: error[O8-104] `services.web.environment[0]` must be text of the form KEY=VALUE, found a mapping"),
        ("[5]", "19: error[O8-104] `services.web.environment[0]` must be text of the form KEY=VALUE, found the number 5"),
        ("['=x']", "19: error[O8-305] `services.web.environment[0]`: no name in front of ="),
        ("['A =x']", "19: error[O8-305] `services.web.environment[0]`: the name `A ` has a space around it"),
        ("{'A ': x}", "19: error[O8-305] `services.web.environment.A `: the name has a space around it"),
        ("", "5: error[O8-104] `services.web.environment` must be a mapping, or a list of KEY=VALUE, found nothing"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_an_error(service, value: str, error: str) -> None:
    assert service(f"environment: {value}").errors == [f"stack.yml:4:{error}"]


def test_a_variable_has_a_name(service) -> None:
    assert service('environment: {"": a}').errors == [
        "stack.yml:4:19: error[O8-305] `services.web.environment`: a name is empty"
    ]
