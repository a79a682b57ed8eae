import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.interpolate import BadTemplate, RequiredVariable, substitute

ENV = {"FOO": "first", "BAR": "", "NAME": "web"}


def expand(text: str, env: dict[str, str] | None = None) -> tuple[str, list[str]]:
    unset: list[str] = []
    return substitute(text, (ENV if env is None else env).get, unset.append), unset


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$FOO-${FOO}", "first-first"),
        ("$$FOO $${FOO}", "$FOO ${FOO}"),
        ("cost: 5$ or $5", "cost: 5$ or $5"),
        ("${BAR:-d}${BAR-d}${NO:-d}${NO-d}", "ddd"),
        ("${FOO:+r}${BAR:+r}${BAR+r}${NO+r}", "rr"),
        ("${NO:-${BAR:-${NAME}}_x}", "web_x"),
        ('${NO:-{"json":1}}', '{"json":1}'),
        ("${NO-a?b:-c}", "a?b:-c"),
        ("${FOO:?never} ${BAR?never}", "first "),
    ],
)
def test_operators_choose_between_value_and_operand(text: str, result: str) -> None:
    assert expand(text) == (result, [])


def test_an_unset_variable_is_blank_and_told() -> None:
    assert expand("a${NO}b$MORE") == ("ab", ["NO", "MORE"])


def test_an_operand_that_is_not_used_is_not_looked_at() -> None:
    assert expand("${FOO:-${NO}} ${FOO-${NO:?x}}${NO+${OTHER}}") == ("first first", [])


@pytest.mark.parametrize("text", ["${", "${}", "${ }", "${FOO", "${FOO }", "${FOO!}", "${9}", "a ${FOO:-${BAR}"])
def test_what_is_not_of_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        expand(text)


def test_a_required_variable_says_why() -> None:
    with pytest.raises(RequiredVariable, match=r"required variable NO is missing a value: set first in CI"):
        expand("${NO:?set $FOO in CI}")
    with pytest.raises(RequiredVariable, match=r"required variable BAR is missing a value$"):
        expand("${BAR:?}")


NAMES = st.from_regex(r"[_a-zA-Z][_a-zA-Z0-9]{0,8}", fullmatch=True)
VALUES = st.text(max_size=8)
PLAIN = st.text(alphabet=st.characters(blacklist_characters="$"), max_size=12)


@given(PLAIN)
def test_text_without_a_dollar_is_unchanged(text: str) -> None:
    assert expand(text) == (text, [])


@given(st.text(max_size=30))
def test_doubled_dollars_keep_any_text(text: str) -> None:
    assert expand(text.replace("$", "$$")) == (text, [])


@given(NAMES, VALUES, PLAIN, PLAIN)
def test_a_value_is_put_in_once_and_not_looked_into(name: str, value: str, before: str, after: str) -> None:
    assert expand(f"{before}${{{name}}}{after}", {name: value}) == (before + value + after, [])


@given(NAMES, st.none() | VALUES, VALUES.filter(lambda text: not set(text) & set("${}")))
def test_each_operator_follows_its_rule(name: str, value: str | None, operand: str) -> None:
    env = {} if value is None else {name: value}
    assert expand(f"${{{name}:-{operand}}}", env)[0] == (value or operand)
    assert expand(f"${{{name}-{operand}}}", env)[0] == (operand if value is None else value)
    assert expand(f"${{{name}:+{operand}}}", env)[0] == (operand if value else "")
    assert expand(f"${{{name}+{operand}}}", env)[0] == ("" if value is None else operand)


@given(st.text(alphabet="${}:-?+ab ", max_size=25))
def test_any_text_is_either_replaced_or_refused(text: str) -> None:
    with contextlib.suppress(BadTemplate, RequiredVariable):
        expand(text)


def test_keys_are_never_interpolated(stack) -> None:
    found = stack("services: {web: {image: 'rootfs:/', labels: {$A: $A}}}", environ={"A": "x"})
    assert found.services["web"]["labels"] == {"$A": "x"}


def test_an_unset_variable_is_warned_of_once_with_its_place(stack) -> None:
    found = stack("services:\n  web:\n    image: rootfs:/\n    user: a${DB_PASSWORD}b\n    hostname: h$DB_PASSWORD\n",
                  environ={"DB_PASWORD": "x"})  # fmt: skip
    assert (
        found.text
        == """\
warning[O8-302]: variable `DB_PASSWORD` is not set; it is taken as blank
 --> stack.yml:4:12
4 |     user: a${DB_PASSWORD}b
  |            ^^^^^^^^^^^^^^
  = note: looked in: the shell
  = note: a close name exists: `DB_PASWORD`
  = help: allow empty without a warning: ${DB_PASSWORD:-}
  = help: if a literal dollar was meant, double it: $$DB_PASSWORD
"""
    )


def test_a_required_variable_is_an_error_at_its_place(stack) -> None:
    found = stack({".env": "OTHER=1\n", "stack.yml": "services:\n  web:\n    image: ${IMAGE:?name an image}\n"})
    assert (
        found.text
        == """\
error[O8-301]: required variable `IMAGE` is missing a value: name an image
 --> stack.yml:3:12
3 |     image: ${IMAGE:?name an image}
  |            ^^^^^^^^^^^^^^^^^^^^^^^ needed here
  = note: looked in: the shell, .env (1 key)
  = help: set it: echo 'IMAGE=...' >> .env
  = help: or allow empty: ${IMAGE:-}
"""
    )


def test_bad_interpolation_names_key_and_place(stack) -> None:
    found = stack("services:\n  web:\n    image: rootfs:/\n    command: [echo, 'a ${b c}']\n")
    assert found.errors == ["stack.yml:4:24: error[O8-303] invalid interpolation in `services.web.command[1]`"]


def test_a_variable_in_a_block_of_text_is_found_on_its_line(stack) -> None:
    found = stack(
        "services:\n  web:\n    image: rootfs:/\n    environment:\n      A: |\n        one\n        two $MISSING\n"
    )
    assert found.warnings == ["stack.yml:7:13: warning[O8-302] variable `MISSING` is not set; it is taken as blank"]


def test_values_take_the_type_their_key_wants(stack) -> None:
    found = stack("services: {web: {image: 'rootfs:/', scale: $N, init: $YES, cpus: $C}}",
                  environ={"N": "2", "YES": "yes", "C": "0.5"})  # fmt: skip
    web = found.services["web"]
    assert (web["scale"], web["init"], web["cpus"]) == (2, True, 0.5)


def test_the_stacks_own_name_is_a_variable(stack) -> None:
    found = stack("name: till\nservices: {web: {image: 'rootfs:/', hostname: '${COMPOSE_PROJECT_NAME}-web'}}")
    assert found.services["web"]["hostname"] == "till-web"


def test_without_interpolation_variables_stay(stack) -> None:
    found = stack("services: {web: {image: $I, scale: $N, ports: ['$P:80', $Q], volumes: ['./$A:/a'], restart: $R}}",
                  interpolate=False)  # fmt: skip
    web = found.services["web"]
    assert (web["image"], web["scale"], web["restart"], web["ports"][0]) == ("$I", "$N", "$R", "$P:80")


def test_a_wrong_value_from_a_variable_shows_where_it_came_from(stack) -> None:
    found = stack("services:\n  web:\n    image: rootfs:/\n    scale: ${N}\n", environ={"N": "two"})
    assert (
        found.text
        == """\
error[O8-104]: `services.web.scale` must be an integer, found the text `two`
 --> stack.yml:4:12
4 |     scale: ${N}
  |            ^^^^
  = note: `${N}` became `two`
"""
    )


def test_the_value_of_a_secret_variable_is_not_shown(stack) -> None:
    found = stack("services:\n  web:\n    image: rootfs:/\n    scale: $DB_PASSWORD\n    ports: ['$API_TOKEN']\n",
                  environ={"DB_PASSWORD": "hunter2", "API_TOKEN": "s3cr3t"})  # fmt: skip
    assert len(found.errors) == 2
    assert "hunter2" not in found.text
    assert "s3cr3t" not in found.text
