"""`ipc`: whose shared memory and queues the program has."""


def test_a_mode_stays_as_it_is_written(key) -> None:
    modes = ["host", "none", "private", "shareable", "container:x"]
    assert key.values(*modes) == modes
    assert key.unsaid() is None


def test_a_service_is_a_dependency(key) -> None:
    found = key.outcome("service:db", "  db: {image: x}\n")
    assert list(found.web["depends_on"]) == ["db"]


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("host", "private") == "private"


def test_there_is_such_a_mode(key) -> None:
    assert key.acted_on("shared") == [
        "stack.yml:4:10: error[O8-305] `services.web.ipc` must be one of host, none, private, shareable, service:NAME, container:NAME, found `shared`"
    ]


def test_the_service_is_there(key) -> None:
    assert key.printed("service:db") == """\
error[O8-203]: no service is called `db`
 --> stack.yml:4:10
4 |     ipc: service:db
  |          ^^^^^^^^^^
"""  # fmt: skip
