"""`profiles`: on which occasions the service is there at all."""

from tests.stack.conftest import Outcome


def test_names_are_kept_each_once(key) -> None:
    assert key.value("[debug, test, debug]", profiles=["debug"]) == ["debug", "test"]
    assert key.values("[]") == [None]
    assert key.unsaid() is None


def test_a_service_is_off_until_one_of_its_profiles_is_on(key) -> None:
    def services(**options: object) -> list[str]:
        found: Outcome = key.outcome("[debug, test]", "  db: {image: x}\n", **options)
        return sorted(found.services)

    assert services() == ["db"]
    assert services(profiles=["test"]) == services(profiles=["*"]) == services(services=["web"]) == ["db", "web"]
    assert services(environ={"COMPOSE_PROFILES": "other,debug"}) == ["db", "web"]


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[a]", "[b, a]", "", profiles=["a"]) == ["a", "b"]


def test_it_is_a_list_of_names(key) -> None:
    assert key.printed("dev") == """\
error[O8-104]: `services.web.profiles` must be a list of names, found the text `dev`
 --> stack.yml:4:15
4 |     profiles: dev
  |               ^^^
  = help: write [dev]
"""  # fmt: skip
    assert key.errors("['']", "[1]") == [
        "O8-104 `services.web.profiles[0]` must be a name, found an empty text",
        "O8-104 `services.web.profiles[0]` must be a name, found the number 1",
    ]
