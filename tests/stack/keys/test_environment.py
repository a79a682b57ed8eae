"""`environment`: the program's variables, as a mapping or a list of KEY=VALUE."""

import pytest


def test_values_become_text(key) -> None:
    assert key.value('{A: 1, B: 2.5, C: true, D: no, E: "", F: 22:22, "H": 0x10}') == {
        "A": "1", "B": "2.5", "C": "true", "D": "no", "E": "", "F": "22:22", "H": "16",
    }  # fmt: skip
    assert key.value("[A=1, B=x=y, 'C=']") == {"A": "1", "B": "x=y", "C": ""}
    assert key.unsaid() is None


def test_a_name_alone_has_the_callers_value_or_none(key) -> None:
    assert key.value("{A: , B: }", environ={"A": "here"}) == {"A": "here", "B": None}
    assert key.value("[A, B]", environ={"A": "here"}) == {"A": "here", "B": None}


def test_a_later_file_lays_its_variables_over_the_earlier_ones_in_either_form(key) -> None:
    assert key.merged("{A: 1, B: 2}", "[B=3, C]") == {"A": "1", "B": "3", "C": None}
    assert key.merged("[A=1]", "{A: 2}") == {"A": "2"}


def test_a_number_that_changes_by_being_one_is_warned_of(key) -> None:
    assert key.value("{UMASK: 022, VERSION: 1.10}") == {"UMASK": "18", "VERSION": "1.1"}
    assert key.warned("{UMASK: 022, VERSION: 1.10}") == """\
warning[O8-112]: `services.web.environment.UMASK`: 022 is a number to YAML, and becomes 18
 --> stack.yml:4:26
4 |     environment: {UMASK: 022, VERSION: 1.10}
  |                          ^^^
  = help: quote it to keep it as written: "022"

warning[O8-112]: `services.web.environment.VERSION`: 1.10 is a number to YAML, and becomes 1.1
 --> stack.yml:4:40
4 |     environment: {UMASK: 022, VERSION: 1.10}
  |                                        ^^^^
  = help: quote it to keep it as written: "1.10"

2 warnings in stack.yml
"""  # fmt: skip


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("FOO=1", "18: error[O8-104] `services.web.environment` must be a mapping, or a list of KEY=VALUE, found the text `FOO=1`"),
        ("{A: [1]}", "22: error[O8-104] `services.web.environment.A` must be a single value, found a list"),
        ("[5]", "19: error[O8-104] `services.web.environment[0]` must be text of the form KEY=VALUE, found the number 5"),
        ("['=x']", "19: error[O8-305] `services.web.environment[0]`: no name in front of ="),
        ("['A =x']", "19: error[O8-305] `services.web.environment[0]`: the name `A ` has a space around it"),
        ("{'A ': x}", "19: error[O8-305] `services.web.environment.A `: the name has a space around it"),
        ('{"": a}', "19: error[O8-305] `services.web.environment`: a name is empty"),
        ("", "5: error[O8-104] `services.web.environment` must be a mapping, or a list of KEY=VALUE, found nothing"),
    ],
)  # fmt: skip
def test_what_is_no_pair_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written).errors == [f"stack.yml:4:{error}"]


def test_a_mapping_in_a_list_is_most_likely_a_dash_too_many(key) -> None:
    assert key.printed("[A: b]") == """\
error[O8-104]: `services.web.environment[0]` must be text of the form KEY=VALUE, found a mapping
 --> stack.yml:4:19
4 |     environment: [A: b]
  |                   ^
  = help: in a list, write `- A=...`; in a mapping, write `A: ...` without the dash
"""  # fmt: skip
