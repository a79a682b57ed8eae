"""`volumes_from`: whose mounts are mounted here, too."""

REST = "  db: {image: x}\n"


def test_a_service_is_a_dependency_and_a_container_is_not(key) -> None:
    found = key.outcome("['db:ro', 'container:z']", REST)
    assert key.of(found) == ["db:ro", "container:z"]
    assert found.web["depends_on"] == {"db": {"condition": "service_started", "required": True}}
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[db]", "['container:z']", REST) == ["db", "container:z"]


def test_a_mode_is_ro_or_rw(key) -> None:
    assert key.acted_on("['db:rx']", REST) == [
        "stack.yml:4:20: error[O8-305] `services.web.volumes_from[0]`: `db:rx` names no container"
    ]
    assert key.acted_on("['db:rw', 'container:z:ro']", REST) == []


def test_the_service_is_there(key) -> None:
    assert key.printed("[dbb]", REST) == """\
error[O8-203]: no service is called `dbb`
 --> stack.yml:4:20
4 |     volumes_from: [dbb]
  |                    ^^^
  = help: did you mean `db`?
"""  # fmt: skip
