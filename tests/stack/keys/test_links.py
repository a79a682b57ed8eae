"""`links`: services by further names; each is a dependency."""

REST = "  db: {image: x}\n"


def test_a_link_is_kept_and_its_service_a_dependency(key) -> None:
    found = key.outcome("['db:store']", REST)
    assert key.of(found) == ["db:store"]
    assert found.web["depends_on"] == {"db": {"condition": "service_started", "required": True, "restart": True}}
    assert key.unsaid() is None


def test_what_depends_on_says_of_the_service_stands(key) -> None:
    found = key.outcome("[db]\n    depends_on: {db: {condition: service_healthy}}", REST)
    assert found.web["depends_on"] == {"db": {"condition": "service_healthy", "required": True}}


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[db]", "['b:x', db]", REST, more="  b: {image: x}\n") == ["db", "b:x"]


def test_the_service_is_there(key) -> None:
    assert key.printed("[nobody]", REST) == """\
error[O8-203]: no service is called `nobody`
 --> stack.yml:4:13
4 |     links: [nobody]
  |             ^^^^^^
  = help: there is: db
"""  # fmt: skip
