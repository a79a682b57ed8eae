import json
import re
from pathlib import Path

import pytest

from orchestr8.stack.rules import STACK
from orchestr8.stack.schema import build_schema, schema_text
from orchestr8.stack.shapes import NOW, Named, Record

ROOT = Path(__file__).parents[2]


def test_the_schema_in_the_repository_is_up_to_date() -> None:
    stored = (ROOT / "schema" / "stack.schema.json").read_text()
    assert stored == schema_text(), "run: python -m orchestr8.stack.schema"


def test_every_pattern_is_one_that_editors_understand() -> None:
    for pattern in re.findall(r'"pattern": (".*")', schema_text()):
        re.compile(json.loads(pattern))


def test_the_schema_names_every_key_of_a_service() -> None:
    (service,) = build_schema()["properties"]["services"]["patternProperties"].values()
    assert service["additionalProperties"] is False
    assert service["properties"]["build"]["description"] == "not supported yet (O8-110)"
    assert service["properties"]["logging"]["description"] == "has no effect yet (O8-111)"
    assert service["properties"]["restart"]["pattern"] == "^(?:no|always|unless-stopped|on-failure(:\\d+)?)?$|\\$"


def keys(name: str) -> set[str]:
    named = STACK.keys[name].kind
    assert isinstance(named, Named)
    assert isinstance(named.kind, Record)
    return set(named.kind.keys)


def test_every_key_of_the_compose_format_is_known(reference: Path) -> None:
    definitions = json.loads((reference / "compose-spec.json").read_text())
    assert set(definitions["properties"]) <= set(STACK.keys)
    for name, definition in (("services", "service"), ("networks", "network"), ("volumes", "volume")):
        assert set(definitions["definitions"][definition]["properties"]) <= keys(name)
    service = STACK.keys["services"].kind.kind
    for name, definition in (("healthcheck", "healthcheck"), ("deploy", "deployment")):
        assert set(definitions["definitions"][definition]["properties"]) == set(service.keys[name].kind.keys)


IN_EFFECT = {
    "image",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "working_dir",
    "user",
    "hostname",
    "init",
    "tty",
    "stdin_open",
    "depends_on",
    "healthcheck",
    "restart",
    "deploy",
    "scale",
    "ports",
    "volumes",
    "tmpfs",
    "networks",
    "labels",
    "stop_signal",
    "stop_grace_period",
    "mem_limit",
    "cpus",
    "pids_limit",
    "read_only",
    "profiles",
    "container_name",
}


def test_the_keys_in_effect_are_these() -> None:
    service = STACK.keys["services"].kind.kind
    assert {name for name, rule in service.keys.items() if rule.status == NOW} == IN_EFFECT


@pytest.mark.parametrize("key", sorted(keys("services") - IN_EFFECT))
def test_every_other_key_of_a_service_is_refused_or_warned_of_at_its_line(stack, key: str) -> None:
    value = {"expose": "['1']", "oom_kill_disable": "true", "attach": "false", "shm_size": "1m", "mem_reservation": "1m",
             "memswap_limit": "1m", "mem_swappiness": "1", "oom_score_adj": "1", "logging": "{driver: x}",
             "annotations": "{a: b}"}.get(key, "x")  # fmt: skip
    found = stack(f"services:\n  web:\n    image: rootfs:/\n    {key}: {value}\n")
    (line,) = found.errors + found.warnings
    assert line.startswith(("stack.yml:4:5: error[O8-110]", "stack.yml:4:5: warning[O8-111]"))
