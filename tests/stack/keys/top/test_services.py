"""`services`: what runs, by name."""


def test_a_service_without_more_than_an_image_has_this(key) -> None:
    assert key.value("{web: {image: x}}") == {
        "web": {"image": "x", "command": None, "entrypoint": None, "networks": {"default": None}}
    }


def test_names_are_letters_digits_and_some_signs(key) -> None:
    assert list(key.value("{web.1_x-y: {image: x}, X: {image: x}}")) == ["X", "web.1_x-y"]
    assert key.printed("{'a b': {image: x}}") == """\
error[O8-108]: `services`: `a b` cannot be a name
 --> stack.yml:1:12
1 | services: {'a b': {image: x}}
  |            ^^^^^
  = help: letters, digits and . _ - make up a name
"""  # fmt: skip


def test_keys_of_ones_own_begin_with_x(key) -> None:
    assert key.value("{web: {image: x, x-any: {a: [1, b]}}}")["web"]["x-any"] == {"a": [1, "b"]}
    assert key.printed("{web: {image: x, colour: red}}") == """\
error[O8-101]: unknown key `colour` in `services.web`
 --> stack.yml:1:28
1 | services: {web: {image: x, colour: red}}
  |                            ^^^^^^ not a service setting
"""  # fmt: skip


def test_a_key_that_asks_for_nothing_is_never_refused(key) -> None:
    assert key.acted_on("{web: {image: 'rootfs:/', build: , dns: [], gpus: [], use_api_socket: false}}") != []
    assert key.acted_on("{web: {image: 'rootfs:/', dns: [], links: [], use_api_socket: false, extra_hosts: {}}}") == []


def test_a_later_file_adds_services_and_lays_over_those_of_one_name(key) -> None:
    found = key.merged("{a: {image: x, tty: true}, b: {image: x}}", "{a: {image: y}, c: {image: z}}")
    assert {name: (each["image"], each.get("tty")) for name, each in found.items()} == {
        "a": ("y", True), "b": ("x", None), "c": ("z", None),
    }  # fmt: skip


def test_a_service_is_a_mapping(key) -> None:
    assert key.errors("[web]", "{web: }") == [
        "O8-104 `services` must be a mapping of services, found a list",
        "O8-104 `services.web` must be a mapping (a service), found nothing",
    ]


def test_who_acts_needs_some(stack) -> None:
    assert stack("volumes: {x: }\n").errors == ["stack.yml:1:1: error[O8-105] the stack has no `services`"]
