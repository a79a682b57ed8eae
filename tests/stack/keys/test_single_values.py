"""Keys that hold one value: what they take, and what they are in the document."""

import pytest


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("mem_limit: 512m", "536870912"), ("mem_limit: 64000000", "64000000"),
        ("cpus: 0.5", 0.5), ("cpus: '1.5'", 1.5), ("cpus: 2", 2), ("pids_limit: 100", 100), ("pids_limit: -1", -1),
        ("mem_limit: -1", "-1"),
    ],
)  # fmt: skip
def test_a_value_is_taken(stack, line: str, value: object) -> None:
    key = line.partition(":")[0]
    image = "" if key == "image" else "    image: rootfs:/\n"
    found = stack(f"services:\n  web:\n{image}    {line}\n")
    assert found.services["web"].get(key) == value
    assert found.warnings == []


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("mem_limit: lots", "must be a size such as 512m, found the text `lots`"),
        ("cpus: many", "must be a number of processors such as 0.5, found the text `many`"),
        ("cpus: -1", "must be greater than or equal to 0, found -1"),
        ("pids_limit: -2", "must be greater than or equal to -1, found -2"),
    ],
)
def test_what_it_cannot_be_is_an_error(stack, line: str, error: str) -> None:
    key = line.partition(":")[0]
    image = "" if key == "image" else "    image: rootfs:/\n"
    (found,) = stack(f"services:\n  web:\n{image}    {line}\n").errors
    assert found.partition(f"`services.web.{key}`")[2].lstrip(": ") == error


@pytest.mark.parametrize("line", ["privileged: false", "cap_add: []", "secrets: []", "sysctls: {}"])
def test_a_key_that_asks_for_nothing_is_no_error(service, line: str) -> None:
    found = service(line)
    assert (found.errors, found.warnings, found.web) == ([], [], {})


def test_a_service_may_have_any_x_key(service) -> None:
    assert service("x-any: {a: [1, b]}").web == {"x-any": {"a": [1, "b"]}}


def test_names_of_services_are_checked(stack) -> None:
    assert stack("services: {web.1_x-y: {image: x}, 'a b': {image: x}}").errors == [
        "stack.yml:1:35: error[O8-108] `services`: `a b` cannot be a name"
    ]
