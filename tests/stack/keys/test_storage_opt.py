"""`storage_opt`: how much the container's own layer holds."""


def test_options_become_text(key) -> None:
    assert key.values("{size: 1g}", "{size: 67108864}") == [{"size": "1g"}, {"size": "67108864"}]
    assert key.unsaid() is None


def test_a_later_file_replaces_an_option(key) -> None:
    assert key.merged("{size: 1g}", "{size: 2g}") == {"size": "2g"}


def test_it_is_a_size_that_a_layer_can_have(key) -> None:
    assert key.acted_on("{size: 5m}") == [
        "stack.yml:4:25: error[O8-305] `services.web.storage_opt.size`: `5m` is no size of at least 8m"
    ]
    assert key.acted_on("{inodes: 5}") == [
        "stack.yml:4:19: error[O8-305] `services.web.storage_opt.inodes`: a layer has no such option"
    ]


def test_an_option_is_one_value(key) -> None:
    assert key.printed("{size: true}") == """\
error[O8-104]: `services.web.storage_opt.size` must be text or a number, found the boolean true
 --> stack.yml:4:25
4 |     storage_opt: {size: true}
  |                         ^^^^
"""  # fmt: skip
