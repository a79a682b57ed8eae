"""`models`: language models whose addresses the program is given."""

TOP = "models: {m: {model: ai/m}, n: {model: ai/n}}\n"


def test_a_list_is_a_mapping_of_which_nothing_is_said(key) -> None:
    assert key.value("[m, n]", TOP) == {"m": None, "n": None}
    assert key.value("{m: {model_var: M, endpoint_var: E}, n: }", TOP) == {
        "m": {"model_var": "M", "endpoint_var": "E"}, "n": None,
    }  # fmt: skip
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[m]", "{n: {model_var: N}}", TOP) == {"m": None, "n": {"model_var": "N"}}
    assert key.merged("{m: {model_var: M}}", "[m]", TOP) == {"m": {"model_var": "M"}}


def test_each_is_defined_at_the_top(key) -> None:
    assert key.printed("[x]", TOP) == """\
error[O8-203]: no model is called `x`
 --> stack.yml:4:14
4 |     models: [x]
  |              ^
  = help: there is: m, n
  = help: or define it at the top of the file, under models:
"""  # fmt: skip


def test_up_refuses_it(key) -> None:
    assert key.acted_on("[m]", TOP) == ["stack.yml:4:5: error[O8-110] `services.web.models` is not supported yet"]
