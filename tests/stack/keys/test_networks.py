"""`networks`: which networks the service joins, and as whom."""

TOP = "networks: {back: , front: }\n"


def test_without_it_the_default_network_is_joined(key) -> None:
    assert key.unsaid() == {"default": None}
    assert key.value("[]") == {"default": None}


def test_a_list_is_a_mapping_of_which_nothing_is_said(key) -> None:
    assert key.value("[front, back]", TOP) == {"front": None, "back": None}
    assert key.value("{back: {aliases: [a, a, b], gw_priority: 1.5}, default: }", TOP) == {
        "back": {"aliases": ["a", "b"], "gw_priority": 1}, "default": None,
    }  # fmt: skip


def test_a_later_file_joins_more_and_says_more(key) -> None:
    assert key.merged("{back: {aliases: [a]}}", "{back: {aliases: [b]}, front: }", TOP) == {
        "back": {"aliases": ["a", "b"]}, "front": None,
    }  # fmt: skip
    assert key.merged("{back: {aliases: [a]}}", "[back]", TOP) == {"back": {"aliases": ["a"]}}


def test_what_is_no_network_is_told_with_a_suggestion(key) -> None:
    assert key.printed("[bakc]", TOP) == """\
error[O8-203]: no network is called `bakc`
 --> stack.yml:4:16
4 |     networks: [bakc]
  |                ^^^^
  = help: did you mean `back`?
  = help: or define it: networks: {bakc: }
"""  # fmt: skip
    assert key.errors("back", "[1]", "{default: 5}") == [
        "O8-104 `services.web.networks` must be a list of networks, or a mapping, found the text `back`",
        "O8-104 `services.web.networks[0]` must be a name, found the number 1",
        "O8-104 `services.web.networks.default` must be a mapping (a network), found the number 5",
    ]


def test_an_address_of_ones_own_is_refused_and_an_order_has_no_effect(key) -> None:
    assert key.acted_on("{back: {ipv4_address: 10.0.0.5}}", TOP) == [
        "stack.yml:4:23: error[O8-110] `services.web.networks.back.ipv4_address` is not supported yet"
    ]
    assert key.acted_on("{back: {priority: 5}}", TOP) == [
        "stack.yml:4:23: warning[O8-111] `priority` has no effect (`services.*.networks.back.priority`)"
    ]
