import pytest

TEXT = """\
services:
  one: {image: 'rootfs:/'}
  two: {image: 'rootfs:/', profiles: [foo], depends_on: [one]}
  three: {image: 'rootfs:/', profiles: [bar], depends_on: [two]}
  four: {image: 'rootfs:/', profiles: [zot], depends_on: {two: {condition: service_started, required: false}}}
  five: {image: 'rootfs:/', profiles: [zot, more]}
"""


@pytest.mark.parametrize(
    ("options", "active"),
    [
        ({}, ["one"]),
        ({"profiles": ["foo"]}, ["one", "two"]),
        ({"environ": {"COMPOSE_PROFILES": "foo, more"}}, ["five", "one", "two"]),
        ({"environ": {"COMPOSE_PROFILES": "more"}, "profiles": ["foo"]}, ["one", "two"]),  # a flag beats the variable
        ({"profiles": ["*"]}, ["five", "four", "one", "three", "two"]),
        ({"services": ["two"]}, ["one", "two"]),
        ({"services": ["four"]}, ["five", "four", "one"]),
        ({"services": ["five"], "profiles": ["more"]}, ["five", "one"]),
    ],
)
def test_profiles_decide_which_services_are_in_the_document(stack, options, active) -> None:
    found = stack(TEXT, **options)
    assert list(found.services) == active


def test_what_is_off_is_told_with_its_profiles(stack) -> None:
    found = stack(TEXT, profiles=["foo"])
    assert found.loaded.services_disabled == {"three": ["bar"], "four": ["zot"], "five": ["zot", "more"]}


def test_a_dependency_that_is_off_is_an_error_unless_it_is_optional(stack) -> None:
    assert (
        stack(TEXT, profiles=["bar"]).text
        == """\
error[O8-202]: `three` depends on `two`, whose profile is not active
 --> stack.yml:4:60
4 |   three: {image: 'rootfs:/', profiles: [bar], depends_on: [two]}
  |                                                            ^^^
3 |   two: {image: 'rootfs:/', profiles: [foo], depends_on: [one]}
  |   --- has profiles foo
  = help: turn it on: --profile foo
  = help: or write `required: false`
"""
    )
    assert stack(TEXT, profiles=["zot"]).services["four"]["depends_on"] == {
        "two": {"condition": "service_started", "required": False}
    }


def test_services_that_are_off_may_ask_for_what_is_not_supported(stack) -> None:
    text = "services: {web: {image: 'rootfs:/'}, dev: {build: ., gpus: all, logging: {}, profiles: [dev]}}"
    assert stack(text).warnings == []
    assert len(stack(text, profiles=["dev"]).errors) == 2
