"""Plain scalars in keys of each type, as stacks of one service: what YAML spells in many ways, compose reads in its own."""

from collections.abc import Iterator
from typing import Final

PLACES: Final = {  # what stands around the value; the rest of the line is the value
    "cap_add": "cap_add: [{}]",
    "command": "command: {}",
    "container_name": "container_name: {}",
    "cpus": "cpus: {}",
    "cpu_shares": "cpu_shares: {}",
    "depends_on.required": "depends_on: {{b: {{condition: service_started, required: {}}}}}",
    "deploy.replicas": "deploy: {{replicas: {}}}",
    "deploy.resources.limits.cpus": "deploy: {{resources: {{limits: {{cpus: {}}}}}}}",
    "deploy.resources.limits.memory": "deploy: {{resources: {{limits: {{memory: {}}}}}}}",
    "dns": "dns: {}",
    "environment": "environment: {{A: {}}}",
    "expose": "expose: [{}]",
    "extra_hosts": "extra_hosts: {{a: {}}}",
    "group_add": "group_add: [{}]",
    "healthcheck.interval": "healthcheck: {{test: x, interval: {}}}",
    "healthcheck.retries": "healthcheck: {{test: x, retries: {}}}",
    "healthcheck.disable": "healthcheck: {{disable: {}}}",
    "hostname": "hostname: {}",
    "init": "init: {}",
    "labels": "labels: {{A: {}}}",
    "mem_limit": "mem_limit: {}",
    "memswap_limit": "memswap_limit: {}",
    "networks.priority": "networks: {{default: {{priority: {}}}}}",
    "oom_score_adj": "oom_score_adj: {}",
    "pids_limit": "pids_limit: {}",
    "ports": "ports: [{}]",
    "ports.published": "ports: [{{target: 80, published: {}}}]",
    "ports.target": "ports: [{{target: {}}}]",
    "privileged": "privileged: {}",
    "pull_policy": "pull_policy: {}",
    "restart": "restart: {}",
    "scale": "scale: {}",
    "secrets.mode": "secrets: [{{source: s, mode: {}}}]",
    "secrets.uid": "secrets: [{{source: s, uid: {}}}]",
    "shm_size": "shm_size: {}",
    "stop_grace_period": "stop_grace_period: {}",
    "stop_signal": "stop_signal: {}",
    "sysctls": "sysctls: {{a.b: {}}}",
    "tmpfs": "tmpfs: {}",
    "ulimits": "ulimits: {{nofile: {}}}",
    "user": "user: {}",
    "volumes.read_only": "volumes: [{{type: tmpfs, target: /a, read_only: {}}}]",
    "volumes.tmpfs.mode": "volumes: [{{type: tmpfs, target: /a, tmpfs: {{mode: {}}}}}]",
    "volumes.tmpfs.size": "volumes: [{{type: tmpfs, target: /a, tmpfs: {{size: {}}}}}]",
}
VALUES: Final = (
    "no", "yes", "on", "y", "true", "True", "TRUE", '"true"', "tRuE", "null", "~", '""', "0", "1", "-1", "+1", '"10"',
    "010", "0o17", "0x1F", "0b11", "1_000", "1e3", "1.5", ".5", "1.", "1.0", "1e100", "0.30000000000000004",
    "99999999999999999999", "22:22", "1:30:00", "2026-01-01", "2026-01-01T00:00:00Z", ".inf", "-.inf", ".nan", "1k", "1kb", "1.5gb",
    "64M", "1GiB", "1h", "90s", "1m30s", "100ms", "1.5h", "1d", "10%", "0440", '"0440"', '"="', "a b", "[]", "{{}}", "[1]", "!!str 1",
    '!!int "3"', "!!float 3", "!!binary aGk=", "80-82", "127.0.0.1:80:80",
)  # fmt: skip


def stacks() -> Iterator[tuple[str, str]]:
    """`place: value`, and the stack that has the one at the other."""
    for place, around in PLACES.items():
        for value in VALUES:
            plain = value.format()
            yield f"{place}: {plain}", STACK.format(around.format(plain))


STACK: Final = """\
services:
  a:
    image: x
    {}
  b: {{image: x}}
secrets: {{s: {{environment: HOME}}}}
"""
