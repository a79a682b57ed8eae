import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestr8.stack.records import NOW, Named, Record, Rule
from orchestr8.stack.rules import STACK
from orchestr8.stack.schema import build_schema, schema_text

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
    assert service["properties"]["gpus"]["description"].startswith("not supported yet: it would give GPUs")
    assert service["properties"]["expose"]["description"].startswith("no effect: containers of one network")
    assert service["properties"]["restart"]["pattern"] == "^(?:no|always|unless-stopped|on-failure(:[0-9]+)?)?$|\\$"


def properties(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Every property that a schema names, with its path; names of the user's are `*`, items are `[]`."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for alternative in schema.get("oneOf", ()):
        yield from properties(alternative, definitions)
    for key, value in schema.get("properties", {}).items():
        yield (key,), value
        yield from (((key, *path), found) for path, found in properties(value, definitions))
    named = {pattern: value for pattern, value in schema.get("patternProperties", {}).items() if pattern != "^x-"}
    if isinstance(schema.get("additionalProperties"), dict):
        named["additional"] = schema["additionalProperties"]
    for value in named.values():
        yield from ((("*", *path), found) for path, found in properties(value, definitions))
    if isinstance(schema.get("items"), dict):
        yield from ((("[]", *path), found) for path, found in properties(schema["items"], definitions))


def test_every_property_of_the_compose_format_is_known(reference: Path) -> None:
    theirs = json.loads((reference / "compose-spec.json").read_text())
    wanted = {path for path, _ in properties(theirs, theirs["definitions"])}
    known = {path for path, _ in properties(build_schema(), {})}
    assert len(wanted) > 300
    assert wanted - known == set()


def test_every_key_that_is_not_acted_on_says_what_happens_instead() -> None:
    def rules(kind: Any) -> Iterator[tuple[str, Rule]]:
        kind = getattr(kind, "long", kind)
        if isinstance(kind, Record):
            for key, rule in kind.keys.items():
                yield key, rule
                yield from rules(rule.kind)
        elif hasattr(kind, "kind"):
            yield from rules(kind.kind)

    found = list(rules(STACK))
    assert len(found) > 200
    assert [key for key, rule in found if rule.status != NOW and not rule.reason] == []


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
    "configs",
    "secrets",
    "shm_size",
    "storage_opt",
    "volumes_from",
    "networks",
    "labels",
    "stop_signal",
    "stop_grace_period",
    "mem_limit",
    "cpus",
    "pids_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "oom_kill_disable",
    "oom_score_adj",
    "blkio_config",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpuset",
    "cgroup",
    "cgroup_parent",
    "ulimits",
    "device_cgroup_rules",
    "read_only",
    "profiles",
    "container_name",
    "extends",
    "label_file",
    "cap_add",
    "cap_drop",
    "devices",
    "domainname",
    "group_add",
    "ipc",
    "pid",
    "privileged",
    "security_opt",
    "sysctls",
    "uts",
    "userns_mode",
    "runtime",
    "logging",
}


def test_the_keys_in_effect_are_these() -> None:
    service = STACK.keys["services"].kind.kind
    assert {name for name, rule in service.keys.items() if rule.status == NOW} == IN_EFFECT


def keys(name: str) -> set[str]:
    named = STACK.keys[name].kind
    assert isinstance(named, Named)
    assert isinstance(named.kind, Record)
    return set(named.kind.keys)


VALUES = {
    "annotations": "{a: b}", "attach": "false", "build": ".",
    "credential_spec": "{file: x}", "depends_on": "[]", "develop": "{watch: [{path: x, action: rebuild}]}",
    "extra_hosts": "[a=1.2.3.4]", "gpus": "all", "pull_policy": "always", "provider": "{type: x}",
    "storage_opt": "{size: 1g}",
    "models": "[m]", "post_start": "[{command: x}]", "pre_start": "[{command: x}]", "pre_stop": "[{command: x}]",
    "links": "[db]", "expose": "[1]",
}  # fmt: skip
LISTS = {
    "dns_opt",
    "external_links",
}
NUMBERS = {"cpu_count", "cpu_percent", "shm_size"}
FLAGS = {"use_api_socket"}
REST = "  db: {image: x}\nconfigs: {c: {content: x}}\nsecrets: {s: {file: x}}\nmodels: {m: {model: x}}\n"


@pytest.mark.parametrize("key", sorted(keys("services") - IN_EFFECT))
def test_every_other_key_of_a_service_is_refused_or_warned_of_at_its_line(stack, key: str) -> None:
    value = VALUES.get(key) or ("[x]" if key in LISTS else "1" if key in NUMBERS else "true" if key in FLAGS else "x")
    text = f"services:\n  web:\n    image: rootfs:/\n    {key}: {value}\n{REST}"
    found = stack(text)
    (line,) = found.errors + found.warnings
    assert line.startswith(("stack.yml:4:5: error[O8-110]", "stack.yml:4:5: warning[O8-111]"))
    only_told = stack(text, acting=False)
    assert only_told.errors == []
    assert key in only_told.services["web"]
    assert len(only_told.warnings) == 1
