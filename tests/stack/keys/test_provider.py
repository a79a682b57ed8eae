"""`provider`: a program that makes the service in place of a container."""


def test_options_are_one_value_or_several_and_become_lists_of_texts(key) -> None:
    assert key.value("{type: x, options: {a: 1, b: [x, true]}}") == {
        "type": "x", "options": {"a": ["1"], "b": ["x", "true"]},
    }  # fmt: skip
    assert key.value("{type: x}") == {"type": "x"}
    assert key.unsaid() is None


def test_it_stands_for_an_image_and_for_networks(stack) -> None:
    found = stack("services: {web: {provider: {type: x}}}", acting=False)
    assert found.services["web"] == {"provider": {"type": "x"}, "command": None, "entrypoint": None}


def test_a_later_file_replaces_options_by_name(key) -> None:
    assert key.merged("{type: x, options: {a: 1, b: 2}}", "{options: {b: 3}}") == {
        "type": "x", "options": {"a": ["1"], "b": ["3"]},
    }  # fmt: skip


def test_it_has_a_type(key) -> None:
    assert key.printed("{options: {a: 1}}") == """\
error[O8-105]: `services.web.provider` has no `type`
 --> stack.yml:4:16
4 |     provider: {options: {a: 1}}
  |                ^^^^^^^
  = help: add `type:`
"""  # fmt: skip
