"""Several files laid over one another, and the two tags that steer it."""

from hypothesis import given
from hypothesis import strategies as st

from orchestr8.stack.nodes import Mapping, Node
from orchestr8.stack.parse import parse_documents
from orchestr8.stack.problems import Problems
from orchestr8.stack.records import without_resets
from orchestr8.stack.rules import STACK
from orchestr8.stack.types import Reading, merge


def merged(*texts: str) -> dict:
    run = Reading(Problems())
    result: Node | None = None
    for text in texts:
        for document in parse_documents(text, "f.yml", run.problems):
            shaped = STACK.read(document, "", run)
            assert isinstance(shaped, Mapping)
            result = merge(STACK, result, shaped) if result else shaped
    assert run.problems.errors == []
    assert result
    return without_resets(result).plain()


def web(*texts: str) -> dict:
    return merged(*(f"services: {{web: {text}}}" for text in texts))["services"]["web"]


def test_scalars_and_commands_are_replaced() -> None:
    assert web("{image: a, command: [a, b], user: u}", "{image: b, command: c d}") == {
        "image": "b", "command": ["c", "d"], "user": "u",
    }  # fmt: skip


def test_the_test_of_a_healthcheck_is_replaced_and_its_settings_are_kept() -> None:
    assert web("{healthcheck: {test: [CMD, a], retries: 3}}", "{healthcheck: {test: b c}}") == {
        "healthcheck": {"test": ["CMD-SHELL", "b c"], "retries": 3}
    }


def test_mapping_and_list_forms_mix() -> None:
    assert web("{environment: {A: 1, B: 2}, labels: [x=1]}", "{environment: [B=3, C], labels: {y: 2}}") == {
        "environment": {"A": "1", "B": "3", "C": None},
        "labels": {"x": "1", "y": "2"},
    }


def test_a_dependency_named_again_takes_the_later_settings() -> None:
    assert web("{depends_on: [a, b]}", "{depends_on: {b: {condition: service_healthy}}}")["depends_on"] == {
        "a": {"condition": "service_started", "required": True},
        "b": {"condition": "service_healthy", "required": True},
    }


def test_a_dependency_may_be_made_optional_by_a_later_file(stack) -> None:
    found = stack({"compose.yaml": "services: {web: {image: x, depends_on: {db: {condition: service_healthy}}}, db: {image: x}}",
                   "compose.override.yaml": "services: {web: {depends_on: {db: {required: false}}}}"})  # fmt: skip
    assert found.services["web"]["depends_on"] == {"db": {"condition": "service_healthy", "required": False}}


def test_a_network_named_again_without_settings_keeps_its_own() -> None:
    assert web("{networks: {a: {aliases: [x]}}}", "{networks: [a, b]}")["networks"] == {
        "a": {"aliases": ["x"]},
        "b": None,
    }
    assert web("{networks: [a]}", "{networks: {a: {aliases: [x]}}}")["networks"] == {"a": {"aliases": ["x"]}}


def test_ports_are_added_and_equal_ones_are_one() -> None:
    found = web("{ports: ['80:80', '81:81']}", "{ports: ['81:81', '82:82', {target: 80, published: 80}]}")["ports"]
    assert [(port["published"], port["target"]) for port in found] == [("80", 80), ("81", 81), ("82", 82)]


def test_a_mount_on_the_same_target_replaces_the_earlier_in_its_place() -> None:
    found = web("{volumes: ['a:/a', 'b:/b']}", "{volumes: ['./c:/a', 'd:/d']}")["volumes"]
    assert [(mount["source"], mount["target"]) for mount in found] == [("./c", "/a"), ("b", "/b"), ("d", "/d")]


def test_single_values_and_lists_of_them_add_up() -> None:
    found = web("{tmpfs: /a, env_file: a.env, profiles: [p]}", "{tmpfs: [/b, /a], env_file: [b.env], profiles: [p, q]}")
    assert found["tmpfs"] == ["/a", "/b"]
    assert [each["path"] for each in found["env_file"]] == ["a.env", "b.env"]
    assert found["profiles"] == ["p", "q"]


def test_address_pools_are_merged_by_subnet() -> None:
    found = merged(
        "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.1}]}}}",
        "networks: {n: {ipam: {config: [{subnet: 10.0.0.0/24, gateway: 10.0.0.9}, {subnet: 10.1.0.0/24}]}}}",
    )
    assert found["networks"]["n"]["ipam"]["config"] == [
        {"subnet": "10.0.0.0/24", "gateway": "10.0.0.9"}, {"subnet": "10.1.0.0/24"},
    ]  # fmt: skip


def test_another_logging_driver_brings_its_own_options() -> None:
    first = "{logging: {driver: a, options: {x: 1}}}"
    assert web(first, "{logging: {driver: b, options: {y: 2}}}")["logging"] == {"driver": "b", "options": {"y": "2"}}
    assert web(first, "{logging: {options: {y: 2}}}")["logging"] == {"driver": "a", "options": {"x": "1", "y": "2"}}


def test_reset_drops_a_key_and_override_replaces_it() -> None:
    base = "{image: a, ports: ['80:80'], environment: {A: 1, B: 2}, command: [x]}"
    assert web(base, "{ports: !reset [], environment: {A: !reset null}, command: !reset null}") == {
        "image": "a", "environment": {"B": "2"},
    }  # fmt: skip
    found = web(base, "{ports: !override ['90:90'], environment: !override {C: 3}}")
    assert [port["published"] for port in found["ports"]] == ["90"]
    assert found["environment"] == {"C": "3"}


def test_the_value_of_a_reset_is_never_looked_at() -> None:
    assert web("{image: a, scale: 2}", "{scale: !reset {any: thing}}") == {"image": "a"}


def test_a_whole_service_can_be_dropped() -> None:
    found = merged("services: {web: {image: a}, debug: {image: b}}", "services: {debug: !reset null}")
    assert list(found["services"]) == ["web"]


def test_a_tag_works_through_an_anchor() -> None:
    found = merged("services: {a: {image: a, ports: ['80:80']}, b: {image: b, ports: ['81:81']}}",
                   "x-none: &none !reset []\nservices: {a: {ports: *none}, b: {ports: *none}}")  # fmt: skip
    assert found["services"] == {"a": {"image": "a"}, "b": {"image": "b"}}


def test_documents_of_one_file_are_laid_over_each_other() -> None:
    assert merged("services: {web: {image: a, user: u}}\n---\nservices: {web: {image: b}}")["services"]["web"] == {
        "image": "b", "user": "u",
    }  # fmt: skip


def test_keys_that_are_no_ones_are_merged_too() -> None:
    assert merged("x-a: {b: {c: 1}, l: [1]}", "x-a: {b: {d: 2}, l: [2]}") == {
        "x-a": {"b": {"c": 1, "d": 2}, "l": [1, 2]}
    }


def test_a_key_without_a_value_says_nothing_over_one_that_has_one(stack) -> None:
    found = stack({
        "a.yml": "services: {web: {image: x, user: u, ports: ['80:80'], environment: {A: 1}, command: c, deploy: "
                 "{replicas: 2}}}\nx-a: {b: 1}",
        "b.yml": "services: {web: {user: , ports: , environment: {A: }, command: , deploy: {replicas: }}}\nx-a: \n",
    }, files=["a.yml", "b.yml"])  # fmt: skip
    web = found.services["web"]
    assert (web["user"], web["ports"][0]["target"], web["deploy"]["replicas"]) == ("u", 80, 2)
    assert (web["command"], web["environment"]) == (None, {"A": None})
    assert found.document["x-a"] == {"b": 1}
    found = stack(
        {"a.yml": "services: {web: {image: x}}", "b.yml": "services: {web: {user: }}"}, files=["a.yml", "b.yml"]
    )
    assert len(found.errors) == 1


def test_what_is_no_ones_is_not_overridden_by_another_kind(stack) -> None:
    found = stack({"a.yml": "services: {web: {image: x}}\nx-a:\n  b: [1]\n", "b.yml": "x-a:\n  b: 5\n"},
                  files=["a.yml", "b.yml"])  # fmt: skip
    assert (
        found.text
        == """\
error[O8-104]: a list cannot be overridden by the number 5
 --> b.yml:2:6
2 |   b: 5
  |      ^
 ::: a.yml:3:6
3 |   b: [1]
  |      - this is overridden
"""
    )


def test_a_key_that_is_not_supported_can_be_dropped_by_an_override(stack) -> None:
    found = stack(
        {
            "compose.yaml": "services: {web: {build: ., privileged: true}}",
            "compose.override.yaml": "services: {web: {image: 'rootfs:/', build: !reset null, privileged: false}}",
        }
    )
    assert found.services["web"]["image"] == "rootfs:/"


WORDS = st.sampled_from(["a", "b", "c", "d"])
PAIRS = st.dictionaries(WORDS, WORDS, max_size=3)
SERVICES = st.fixed_dictionaries(
    {},
    optional={
        "image": WORDS,
        "environment": PAIRS | PAIRS.map(lambda pairs: [f"{key}={value}" for key, value in pairs.items()]),
        "labels": PAIRS,
        "command": st.lists(WORDS, max_size=3),
        "ports": st.lists(st.integers(1, 4).map(lambda port: f"{port}:{port}"), max_size=3),
        "volumes": st.lists(st.tuples(WORDS, WORDS).map(lambda pair: f"./{pair[0]}:/{pair[1]}"), max_size=3),
        "tmpfs": st.lists(WORDS.map("/{}".format), max_size=3) | WORDS.map("/{}".format),
        "depends_on": st.lists(WORDS, unique=True, max_size=3),
        "networks": st.lists(WORDS, unique=True, max_size=2) | st.dictionaries(WORDS, st.none(), max_size=2),
        "scale": st.integers(0, 3),
    },
)


def load(service: dict) -> str:
    import json

    return json.dumps({"services": {"web": service}})


def same(first: dict, second: dict) -> bool:
    """Equal, the order of keys included: it decides what `config` prints."""
    return repr(first) == repr(second)


@given(SERVICES)
def test_a_file_laid_over_itself_changes_nothing(service: dict) -> None:
    once = merged(load(service))
    assert same(merged(load(service), load(service)), once)


@given(SERVICES)
def test_an_empty_service_changes_nothing_on_either_side(service: dict) -> None:
    once = merged(load(service))
    assert merged(load(service), load({})) == once
    assert merged(load({}), load(service)) == once


@given(SERVICES, SERVICES, SERVICES)
def test_it_does_not_matter_in_which_steps_files_are_merged(first: dict, second: dict, third: dict) -> None:
    run = Reading(Problems())
    shaped = [STACK.read(parse_documents(load(each), "f", run.problems)[0], "", run) for each in (first, second, third)]
    a, b, c = shaped
    assert a
    assert b
    assert c
    left = merge(STACK, merge(STACK, a, b), c)
    right = merge(STACK, a, merge(STACK, b, c))
    assert left.plain() == right.plain()


@given(SERVICES, SERVICES)
def test_the_later_file_wins_and_nothing_of_it_is_lost(first: dict, second: dict) -> None:
    found = merged(load(first), load(second))["services"]["web"]
    later = merged(load(second))["services"]["web"]
    for key, value in later.items():
        if isinstance(value, dict):
            assert found[key] | value == found[key]
        elif isinstance(value, list) and key != "command":
            assert all(item in found[key] for item in value)
        else:
            assert found[key] == value
