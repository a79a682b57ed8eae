"""`models`: language models that services speak to."""


def test_a_model_has_no_name_but_its_own(key) -> None:
    assert key.values("{model: ai/m}", "{model: ai/m, context_size: '1024', runtime_flags: [-a, -a], name: n}") == [
        {"model": "ai/m"}, {"model": "ai/m", "context_size": 1024, "runtime_flags": ["-a", "-a"], "name": "n"},
    ]  # fmt: skip


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("{model: a, runtime_flags: [x]}", "{model: b, runtime_flags: [y]}") == {
        "model": "b", "runtime_flags": ["x", "y"],
    }  # fmt: skip


def test_it_says_which(key) -> None:
    assert key.printed("{context_size: 1}") == """\
error[O8-105]: `models.x` has no `model`
 --> stack.yml:2:7
2 |   x: {context_size: 1}
  |       ^^^^^^^^^^^^
  = help: add `model:`
"""  # fmt: skip
    assert key.errors("") == ["O8-104 `models.x` must be a mapping (a model), found nothing"]
