"""`expose`: ports that are told of, and reached by other services whether they are told of or not."""


def test_numbers_become_text_and_one_stands_once(key) -> None:
    assert key.value("[80, '90-91/udp', '80']") == ["80", "90-91/udp"]
    assert key.unsaid() is None


def test_a_later_file_adds_to_it(key) -> None:
    assert key.merged("[80]", "[81, 80]") == ["80", "81"]


def test_it_has_no_effect(key) -> None:
    assert key.acted_on("[80]") == ["stack.yml:4:5: warning[O8-111] `expose` has no effect (`services.*.expose`)"]


def test_a_port_is_a_number_or_a_text(key) -> None:
    assert key.errors("[1.5]", "80") == [
        "O8-104 `services.web.expose[0]` must be text or a number, found the number 1.5",
        "O8-104 `services.web.expose` must be a list of texts, found the number 80",
    ]
    assert key.printed("[true]") == """\
error[O8-104]: `services.web.expose[0]` must be text or a number, found the boolean true
 --> stack.yml:4:14
4 |     expose: [true]
  |              ^^^^
"""  # fmt: skip
