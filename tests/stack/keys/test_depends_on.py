"""`depends_on`: services that are up before this one, and what up means."""

import pytest

REST = "  db: {image: x}\n  job: {image: x}\n"
STARTED = {"condition": "service_started", "required": True}


def test_a_list_waits_for_the_start_of_each(key) -> None:
    assert key.value("[db, job]", REST) == {"db": STARTED, "job": STARTED}
    assert key.unsaid() is None


def test_a_mapping_says_what_is_waited_for(key) -> None:
    written = "{job: {condition: service_completed_successfully, required: false}, db: {condition: service_healthy, restart: true}}"
    assert key.value(written, REST) == {
        "db": {"condition": "service_healthy", "restart": True, "required": True},
        "job": {"condition": "service_completed_successfully", "required": False},
    }


def test_a_later_file_says_more_of_a_service_or_adds_one(key) -> None:
    assert key.merged("[db]", "[job]", REST) == {"db": STARTED, "job": STARTED}
    assert key.merged("[db]", "{db: {condition: service_healthy}}", REST) == {
        "db": {"condition": "service_healthy", "required": True}
    }
    assert key.merged("{db: {condition: service_healthy}}", "{db: {required: false}}", REST) == {
        "db": {"condition": "service_healthy", "required": False}
    }


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("{db: {required: true}}", "23: error[O8-105] `services.web.depends_on.db` has no `condition`"),
        ("{db: }", "18: error[O8-104] `services.web.depends_on.db` must be a mapping (a dependency), found nothing"),
        ("db", "17: error[O8-104] `services.web.depends_on` must be a list of services, or a mapping, found the text `db`"),
        ("[[db]]", "18: error[O8-104] `services.web.depends_on[0]` must be a name, found a list"),
        ("[web]", "18: error[O8-201] dependency cycle: web -> web"),
        ("[db, db]", "22: error[O8-115] `services.web.depends_on[1]` stands in the list before"),
    ],
)  # fmt: skip
def test_what_is_no_dependency_is_an_error(key, written: str, error: str) -> None:
    assert key.outcome(written, REST).errors == [f"stack.yml:4:{error}"]


def test_there_are_three_conditions(key) -> None:
    assert key.printed("{db: {condition: healthy}}", REST) == """\
error[O8-305]: `services.web.depends_on.db.condition` must be one of service_started, service_healthy, service_completed_successfully, found the text `healthy`
 --> stack.yml:4:34
4 |     depends_on: {db: {condition: healthy}}
  |                                  ^^^^^^^
  = help: did you mean `service_healthy`?
"""  # fmt: skip


def test_a_service_that_is_not_there_is_told_with_a_suggestion(key) -> None:
    assert key.printed("[dbb]", REST) == """\
error[O8-203]: no service is called `dbb`
 --> stack.yml:4:18
4 |     depends_on: [dbb]
  |                  ^^^ in services.web.depends_on
  = help: did you mean `db`?
"""  # fmt: skip


def test_health_can_only_be_waited_for_where_there_is_a_check(key) -> None:
    rest = "  db: {image: x, healthcheck: {disable: true}}\n"
    assert key.outcome("{db: {condition: service_healthy}}", rest).errors == [
        "stack.yml:4:18: error[O8-204] `db` must be healthy here, but its healthcheck is disabled"
    ]
