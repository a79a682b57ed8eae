"""`credential_spec`: who a container of Windows is to others."""


def test_a_source_stays_as_it_is_written(key) -> None:
    assert key.values("{file: ./x}", "{registry: r}", "{config: c}") == [
        {"file": "./x"},
        {"registry": "r"},
        {"config": "c"},
    ]
    assert key.unsaid() is None


def test_a_later_file_replaces_a_source(key) -> None:
    assert key.merged("{file: a}", "{file: b}") == {"file": "b"}


def test_up_refuses_it(key) -> None:
    assert key.acted_on("{file: x}") == [
        "stack.yml:4:5: error[O8-110] `services.web.credential_spec` is not supported yet"
    ]


def test_there_are_three_kinds_of_source(key) -> None:
    assert key.printed("{fil: x}") == """\
error[O8-101]: unknown key `fil` in `services.web.credential_spec`
 --> stack.yml:4:23
4 |     credential_spec: {fil: x}
  |                       ^^^ not a credential_spec setting
  = note: valid keys: config, file, registry
  = help: did you mean `file`?
"""  # fmt: skip
