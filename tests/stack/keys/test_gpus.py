"""`gpus`: how many of the machine's GPUs the container has, or which."""


def test_all_is_a_request_without_a_number(key) -> None:
    assert key.values("all", "[{driver: x, count: '2'}, {device_ids: [a]}]", "[{capabilities: [gpu]}]") == [
        [{"count": -1}], [{"driver": "x", "count": 2}, {"device_ids": ["a"]}], [{"capabilities": ["gpu"], "count": -1}],
    ]  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[{count: 1}]", "[{device_ids: [a]}]") == [{"count": 1}, {"device_ids": ["a"]}]


def test_up_refuses_it(key) -> None:
    assert key.acted_on("all") == ["stack.yml:4:5: error[O8-110] `services.web.gpus` is not supported yet"]


def test_it_is_a_number_or_names(key) -> None:
    assert key.errors("some", "[{count: many}]") == [
        "O8-104 `services.web.gpus` must be all, or a list of device requests, found the text `some`",
        "O8-305 `services.web.gpus[0].count` must be all, or a number, found the text `many`",
    ]
    assert key.printed("[{count: 1, device_ids: [a]}]") == """\
error[O8-204]: `services.web.gpus[0]`: `count` and `device_ids` exclude each other
 --> stack.yml:4:13
4 |     gpus: [{count: 1, device_ids: [a]}]
  |             ^^^^^
  = help: keep one of them
"""  # fmt: skip
