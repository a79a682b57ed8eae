"""`pid`: whose processes the program sees."""


def test_a_mode_stays_as_it_is_written(key) -> None:
    assert key.values("host", "container:x", "''") == ["host", "container:x", None]
    assert key.unsaid() is None


def test_a_service_is_a_dependency(key) -> None:
    found = key.outcome("service:db", "  db: {image: x}\n")
    assert found.web["depends_on"] == {"db": {"condition": "service_started", "required": True, "restart": True}}


def test_a_later_file_replaces_it(key) -> None:
    assert key.merged("host", "container:x") == "container:x"


def test_there_is_such_a_mode(key) -> None:
    assert key.acted_on("hst") == [
        "stack.yml:4:10: error[O8-305] `services.web.pid` must be one of host, service:NAME, container:NAME, found `hst`"
    ]


def test_the_service_is_there(key) -> None:
    assert key.printed("service:db") == """\
error[O8-203]: no service is called `db`
 --> stack.yml:4:10
4 |     pid: service:db
  |          ^^^^^^^^^^
"""  # fmt: skip
