"""Keys that hold one value: what they take, and what they are in the document."""

import pytest


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("image: debian:12", "debian:12"), ("user: '1000:1000'", "1000:1000"), ("working_dir: /srv", "/srv"),
        ("hostname: web-1.example", "web-1.example"), ("hostname: my_host", "my_host"),
        ("init: true", True), ("init: 'no'", False), ("init: yes", True), ("tty: true", True), ("stdin_open: on", True),
        ("read_only: true", True),
        ("restart: no", "no"), ("restart: always", "always"), ("restart: on-failure:3", "on-failure:3"),
        ("stop_signal: SIGINT", "SIGINT"), ("stop_signal: USR1", "USR1"), ("stop_signal: SIGRTMIN+3", "SIGRTMIN+3"),
        ("stop_grace_period: 1m30s", "1m30s"), ("mem_limit: 512m", "536870912"), ("mem_limit: 64000000", "64000000"),
        ("cpus: 0.5", 0.5), ("cpus: '1.5'", 1.5), ("cpus: 2", 2), ("pids_limit: 100", 100), ("pids_limit: -1", -1),
        ("scale: 3", 3), ("scale: 0", 0), ("container_name: c-1", "c-1"), ("profiles: []", None),
        ("restart: ''", None), ("hostname: ''", None), ("stop_signal: ''", None), ("user: ''", None),
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
        ("user: 1000", "must be a user, such as 1000:1000 or www-data, found the number 1000"),
        ("hostname: -x", "must be a host name, found the text `-x`"),
        ("init: maybe", "must be true or false, found the text `maybe`"),
        (
            "restart: on-falure",
            "must be no, always, unless-stopped, on-failure or on-failure:N, found the text `on-falure`",
        ),
        ("restart: false", "must be no, always, unless-stopped, on-failure or on-failure:N, found the boolean false"),
        ("stop_signal: sigint", "must be a signal, such as SIGINT, found the text `sigint`"),
        ("stop_grace_period: soon", "must be a duration such as 30s or 1m30s, found the text `soon`"),
        ("mem_limit: lots", "must be a size such as 512m, found the text `lots`"),
        ("cpus: many", "must be a number of processors such as 0.5, found the text `many`"),
        ("cpus: -1", "must be greater than or equal to 0, found -1"),
        ("pids_limit: -2", "must be greater than or equal to -1, found -2"),
        ("scale: 1.5", "must be an integer, found the number 1.5"),
        ("container_name: x", "must be a container's name, found the text `x`"),
        ("profiles: dev", "must be a list of names, found the text `dev`"),
        ("image:", "must be an image, such as rootfs:/, found nothing"),
        ("image: ''", "must be an image, such as rootfs:/, found an empty text"),
        ("working_dir: [a]", "must be a path in the container, found a list"),
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
