"""`extends`: another service, which this one is laid over. Circles and chains: `test_extends.py` one folder up."""

BASE = "  base: {image: x, user: u, labels: {a: 1}, command: [b]}\n"


def test_a_name_or_a_mapping_says_the_same_and_is_gone_afterwards(key) -> None:
    for written in ("base", "{service: base}"):
        found = key.outcome(written, BASE)
        assert found.web == {"user": "u", "labels": {"a": "1"}, "command": ["b"]}  # its own image stands


def test_a_service_of_another_file_has_its_paths_from_there(key, write, project_dir) -> None:
    write({"sub/base.yml": "services: {base: {image: x, env_file: a.env, volumes: ['./d:/d']}}", "sub/a.env": "A=1\n"})
    found = key.outcome("{file: sub/base.yml, service: base}").web
    assert found["environment"] == {"A": "1"}
    assert found["volumes"][0]["source"] == f"{project_dir}/sub/d"


def test_what_the_base_needs_does_not_come_with_it(key) -> None:
    base = "  base: {image: x, depends_on: [db]}\n"
    assert [each.partition("] ")[2] for each in key.outcome("base", base).errors] == ["no service is called `db`"]


def test_a_later_file_may_extend_another(key, stack) -> None:
    files = {"a.yml": key.text("base", BASE), "b.yml": key.text("other", "  other: {image: x, user: v}\n")}
    found = stack(files, files=list(files))
    assert (found.web["user"], found.web["labels"]) == ("v", {"a": "1"})


def test_the_service_is_there(key) -> None:
    assert key.printed("bsae", BASE) == """\
error[O8-203]: no service is called `bsae`
 --> stack.yml:4:14
4 |     extends: bsae
  |              ^^^^ in services.web.extends
  = note: `extends` without `file` looks in its own file, and there in its own document
  = help: did you mean `base`?
"""  # fmt: skip
    assert key.errors("''", "{file: a.yml}") == [
        "O8-104 `services.web.extends` must be the name of a service, or {service: ..., file: ...}, found an empty text",
        "O8-105 `services.web.extends` has no `service`",
    ]
