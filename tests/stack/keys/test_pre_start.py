"""`pre_start`: containers of their own that run to their end, one after the other, before the service starts."""


def test_each_has_the_services_image_unless_it_names_one(key) -> None:
    assert key.value("[{user: root}, {image: x, command: a b, per_replica: 'yes', environment: [A=1]}]") == [
        {"user": "root", "image": "rootfs:/"},
        {"image": "x", "command": ["a", "b"], "per_replica": True, "environment": {"A": "1"}},
    ]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert [each["user"] for each in key.merged("[{user: a}]", "[{user: b}]")] == ["a", "b"]


def test_it_is_a_list(key) -> None:
    assert key.printed("{command: a}") == """\
error[O8-104]: `services.web.pre_start` must be a list of hooks, found a mapping
 --> stack.yml:4:16
4 |     pre_start: {command: a}
  |                ^
  = help: put a dash in front of it: it is one item of a list
"""  # fmt: skip


def test_up_refuses_it(key) -> None:
    assert key.acted_on("[{command: a}]") == [
        "stack.yml:4:5: error[O8-110] `services.web.pre_start` is not supported yet"
    ]
