"""Keys that speak to the machine: devices, GPUs, limits, hosts, hooks, what to watch, providers, models."""

import pytest

REST = "models: {m: {model: ai/m}}\n"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("devices: [/dev/a, '/dev/a:/dev/b:r', 'vendor.com/class=x', {source: /dev/z, target: /dev/y}]", [
            {"source": "/dev/a", "target": "/dev/a", "permissions": "rwm"},
            {"source": "/dev/a", "target": "/dev/b", "permissions": "r"},
            {"source": "vendor.com/class=x", "target": "vendor.com/class=x", "permissions": "rwm"},
            {"source": "/dev/z", "target": "/dev/y"}]),
        ("gpus: all", [{"count": -1}]),
        ("gpus: [{driver: x, count: '2'}, {device_ids: [a]}]", [{"driver": "x", "count": 2}, {"device_ids": ["a"]}]),
        ("ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}", {"nproc": 5, "nofile": {"soft": 1, "hard": 2}}),
        ("blkio_config: {weight: 10, device_read_bps: [{path: /dev/a, rate: 1k}]}",
         {"weight": 10, "device_read_bps": [{"path": "/dev/a", "rate": "1024"}]}),
        ("extra_hosts: ['a=1.2.3.4,1.2.3.5', 'b:[::1]', 'a:9.9.9.9']", ["a=1.2.3.4", "a=1.2.3.5", "a=9.9.9.9", "b=::1"]),
        ("extra_hosts: {b: '[::1]', a: [1.2.3.4, host-gateway]}", ["a=1.2.3.4", "a=host-gateway", "b=::1"]),
        ("sysctls: [a=1, b]", {"a": "1", "b": ""}), ("sysctls: {a: 1}", {"a": "1"}),
        ("cpu_rt_runtime: 950ms", 950_000), ("cpu_period: 1000", 1000), ("mem_swappiness: 60", "60"),
        ("expose: [80, '90-91/udp']", ["80", "90-91/udp"]), ("group_add: [1, x]", ["1", "x"]),
        ("dns: 1.1.1.1", ["1.1.1.1"]), ("storage_opt: {size: 1g}", {"size": "1g"}),
        ("develop: {watch: [{path: /a, action: sync, target: /b, ignore: c}]}",
         {"watch": [{"path": "/a", "action": "sync", "target": "/b", "ignore": ["c"], "exec": {"command": None}}]}),
        ("credential_spec: {file: ./x}", {"file": "./x"}), ("pull_policy: every_2d", "every_2d"), ("attach: true", True),
        ("oom_kill_disable: 'true'", True), ("cgroup: private", "private"), ("isolation: any", "any"),
    ],
)  # fmt: skip
def test_a_value_is_taken_in_its_long_form(service, line: str, value: object) -> None:
    assert service(line, REST, acting=False).web.get(line.partition(":")[0]) == value


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("devices: ['a:b:c:d']", "a device is HOST, HOST:CONTAINER or HOST:CONTAINER:PERMISSIONS"),
        ("devices: [{source: a}]", "`services.web.devices[0]` has no `target`"),
        ("gpus: some", "`services.web.gpus` must be all, or a list of device requests, found the text `some`"),
        ("ulimits: {nofile: {soft: 1}}", "`services.web.ulimits.nofile` has no `hard`"),
        ("ulimits: {nofile: many}", "`services.web.ulimits.nofile` must be an integer, found the text `many`"),
        ("blkio_config: {weight: 1001}", "must be less than or equal to 1000, found 1001"),
        ("extra_hosts: [a]", "missing an address: a"), ("extra_hosts: ['=::1']", "bad host name: =::1"),
        ("extra_hosts: {a: 5}", "`services.web.extra_hosts.a` must be an address, or a list of addresses, found the number 5"),
        ("cpu_period: soon", "must be a number of microseconds, or a duration such as 950ms, found the text `soon`"),
        ("oom_score_adj: 1001", "must be less than or equal to 1000, found 1001"),
        ("expose: [true]", "`services.web.expose[0]` must be text or a number, found the boolean true"),
        ("develop: {watch: [{path: x, action: sync}]}", "`services.web.develop.watch[0]` has no `target`, and `sync` copies"),
        ("develop: {watch: [{path: x}]}", "`services.web.develop.watch[0]` has no `action`"),
        ("cgroup: x", "`services.web.cgroup` must be host or private, found the text `x`"),
        ("pull_policy: sometimes", "`services.web.pull_policy` must be a pull policy, found the text `sometimes`"),
        ("links: [nobody]", "no service is called `nobody`"), ("network_mode: service:nobody", "no service is called `nobody`"),
        ("network_mode: none\nnetworks: [default]", "network_mode and networks exclude each other"),
    ],
)  # fmt: skip
def test_what_it_cannot_be_is_an_error(service, line: str, error: str) -> None:
    (found,) = service(line, REST, acting=False).errors
    assert error in found


def test_names_of_others_are_dependencies(stack) -> None:
    found = stack(
        "services: {a: {image: x, links: ['b:c'], volumes_from: ['c:ro', 'container:z'], network_mode: 'service:d'}, "
        "b: {image: x}, c: {image: x}, d: {image: x}}", acting=False,
    )  # fmt: skip
    started = {"condition": "service_started", "required": True}
    assert found.services["a"]["depends_on"] == {
        "b": {**started, "restart": True},
        "c": started,
        "d": {**started, "restart": True},
    }
