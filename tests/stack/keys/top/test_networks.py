"""`networks`: the networks of the stack."""

import pytest

USED = "services: {a: {image: x, networks: [n]}}\nnetworks:\n  n: "


def test_nothing_said_is_a_network_with_a_name(key) -> None:
    assert key.values("", "{}", "{name: mine}") == [
        {"name": "shop_x", "ipam": {}}, {"name": "shop_x", "ipam": {}}, {"name": "mine", "ipam": {}},
    ]  # fmt: skip


def test_values_are_typed(key) -> None:
    assert key.value(
        "{driver: bridge, driver_opts: {a: 1}, attachable: 'yes', internal: false, enable_ipv4: false, enable_ipv6: 'true', labels: [a=b]}"
    ) == {
        "name": "shop_x", "driver": "bridge", "driver_opts": {"a": "1"}, "attachable": True, "enable_ipv4": False,
        "enable_ipv6": True, "labels": {"a": "b"}, "ipam": {},
    }  # fmt: skip
    ipam = "{ipam: {driver: default, config: [{subnet: 10.9.0.0/24, gateway: 10.9.0.1, aux_addresses: {h: 10.9.0.5}}], options: {a: b}}}"
    assert key.value(ipam)["ipam"] == {
        "driver": "default", "options": {"a": "b"},
        "config": [{"subnet": "10.9.0.0/24", "gateway": "10.9.0.1", "aux_addresses": {"h": "10.9.0.5"}}],
    }  # fmt: skip


def test_a_network_is_there_when_it_is_used_and_default_when_nothing_else_is(stack) -> None:
    found = stack("services: {a: {image: x}, b: {image: x, networks: [back]}}\nnetworks: {back: , front: }\n").document
    assert list(found["networks"]) == ["back", "default"]
    assert found["services"]["a"]["networks"] == {"default": None}
    found = stack("services: {b: {image: x, networks: [back]}}\nnetworks: {back: , default: }\n").document
    assert list(found["networks"]) == ["back"]
    found = stack("services: {a: {image: x}}\nnetworks: {default: {name: mine, labels: [a=b]}}\n").document
    assert found["networks"] == {"default": {"name": "mine", "ipam": {}, "labels": {"a": "b"}}}


def test_an_external_one_has_only_a_name(key) -> None:
    assert key.values("{external: true}", "{external: true, name: y}", "{external: {name: y}}", "{external: {}, name: y}") == [
        {"name": "x", "external": True, "ipam": {}}, *[{"name": "y", "external": True, "ipam": {}}] * 3,
    ]  # fmt: skip
    assert key.outcome("{external: true, labels: {a: b}}").warnings == [
        "stack.yml:2:23: warning[O8-111] `networks.x` is external, so `labels` has no effect here"
    ]
    assert key.errors("{name: new, external: {name: old}}") == [
        "O8-204 `networks.x`: `name` and `external.name` conflict; only use `name`"
    ]


def test_a_later_file_adds_to_it_and_pools_of_one_subnet_are_one(key) -> None:
    assert key.merged(
        "{labels: [a=1], ipam: {config: [{subnet: 10.1.0.0/16, gateway: 10.1.0.1}]}}",
        "{labels: {b: 2}, ipam: {config: [{subnet: 10.1.0.0/16, ip_range: 10.1.1.0/24}]}}",
    ) == {
        "name": "shop_x", "labels": {"a": "1", "b": "2"},
        "ipam": {"config": [{"subnet": "10.1.0.0/16", "gateway": "10.1.0.1", "ip_range": "10.1.1.0/24"}]},
    }  # fmt: skip


def test_an_unknown_setting_is_told_with_what_was_meant(key) -> None:
    assert key.printed("{drivr: bridge}") == """\
error[O8-101]: unknown key `drivr` in `networks.x`
 --> stack.yml:2:7
2 |   x: {drivr: bridge}
  |       ^^^^^ not a network setting
  = note: valid keys: attachable, driver, driver_opts, enable_ipv4, enable_ipv6, external, internal, ipam, labels, name
  = help: did you mean `driver`?
  = fix:  orchestr8 check --fix   (write `driver`)
"""  # fmt: skip


def test_another_driver_or_isolation_is_refused(stack) -> None:
    assert stack(USED + "{driver: bridge, internal: false}").errors == []
    assert stack(USED + "{driver: macvlan}").errors == [
        "stack.yml:3:15: error[O8-110] `networks.n.driver`: the driver `macvlan` is not supported yet"
    ]
    assert stack(USED + "{internal: true}").errors == [
        "stack.yml:3:7: error[O8-110] `networks.n.internal` is not supported yet"
    ]


MASK = "`{}` must be a subnet such as 10.9.0.0/24, found the text"


@pytest.mark.parametrize(
    ("subnet", "error"),
    [
        ("10.0.0.0/255.0.0.0", f"error[O8-305] {MASK} `10.0.0.0/255.0.0.0`"),
        ("garbage", f"error[O8-305] {MASK} `garbage`"),
        ("10.1.0.5/16", "error[O8-305] `{}`: 10.1.0.5/16 is an address inside of its subnet"),
        ("10.1.0.0/31", "error[O8-305] `{}`: 10.1.0.0/31 has no room for a gateway and a container"),
        ("127.0.0.0/8", "error[O8-305] `{}`: 127.0.0.0/8 is not for machines of a network"),
        ("0.0.0.0/0", "error[O8-305] `{}`: 0.0.0.0/0 is not for machines of a network"),
        ("fd00::/64", "error[O8-110] `{}`: an IPv6 subnet is not supported yet"),
    ],
)
def test_a_subnet_that_no_network_can_have_is_an_error_at_its_line(stack, subnet: str, error: str) -> None:
    found = stack(f"{USED}{{ipam: {{config: [{{subnet: '{subnet}'}}]}}}}\n")
    assert found.errors == [f"stack.yml:3:32: {error.format('networks.n.ipam.config[0].subnet')}"]


def test_a_second_address_pool_is_refused(stack) -> None:
    assert stack(USED + "{ipam: {config: [{subnet: 10.1.0.0/16}, {subnet: 10.2.0.0/16}]}}\n").errors == [
        "stack.yml:3:46: error[O8-110] `networks.n.ipam.config`: a second address pool is not supported yet"
    ]


def test_turning_off_what_is_on_by_itself_is_told(stack) -> None:
    assert stack(USED + "{enable_ipv4: false}").warnings == [
        "stack.yml:3:7: warning[O8-111] `enable_ipv4` has no effect (`networks.*.enable_ipv4`)"
    ]
    assert stack(USED + "{enable_ipv4: true, enable_ipv6: false}").warnings == []
