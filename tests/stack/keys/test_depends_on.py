import pytest

REST = "  db: {image: x}\n  job: {image: x}\n"


def test_short_and_long_form(service) -> None:
    assert service("depends_on: [db, job]", REST).web == {
        "depends_on": {
            "db": {"condition": "service_started", "required": True},
            "job": {"condition": "service_started", "required": True},
        }
    }
    found = service(
        "depends_on: {job: {condition: service_completed_successfully, required: false}, "
        "db: {condition: service_healthy, restart: true}}",
        REST,
    )
    assert found.web == {
        "depends_on": {
            "db": {"condition": "service_healthy", "restart": True, "required": True},
            "job": {"condition": "service_completed_successfully", "required": False},
        }
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("{db: {condition: healthy}}", ("34: error[O8-305] `services.web.depends_on.db.condition` must be one of "
         "service_started, service_healthy, service_completed_successfully, found the text `healthy`")),
        ("{db: {required: true}}", "23: error[O8-105] `services.web.depends_on.db` has no `condition`"),
        ("{db: }", "18: error[O8-104] `services.web.depends_on.db` must be a mapping (a dependency), found nothing"),
        ("db", "17: error[O8-104] `services.web.depends_on` must be a list of services, or a mapping, found the text `db`"),
        ("[[db]]", "18: error[O8-104] `services.web.depends_on[0]` must be a name, found a list"),
    ],
)  # fmt: skip
def test_what_is_no_dependency_is_an_error(service, value: str, error: str) -> None:
    assert service(f"depends_on: {value}", REST).errors == [f"stack.yml:4:{error}"]
