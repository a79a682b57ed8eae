"""`networks` of a service, and at the top."""

import pytest


def test_a_service_joins_the_default_network_unless_it_names_its_own(stack) -> None:
    found = stack("services: {a: {image: x}, b: {image: x, networks: [back]}}\nnetworks: {back: }\n")
    assert found.document["networks"] == {
        "back": {"name": "shop_back", "ipam": {}},
        "default": {"name": "shop_default", "ipam": {}},
    }
    assert found.services["a"]["networks"] == {"default": None}
    found = stack("services: {b: {image: x, networks: [back]}}\nnetworks: {back: , default: }\n")
    assert list(found.document["networks"]) == ["back"]


def test_the_default_network_can_be_set_up(stack) -> None:
    found = stack("services: {a: {image: x}}\nnetworks: {default: {name: mine, labels: [a=b]}}\n")
    assert found.document["networks"] == {"default": {"name": "mine", "ipam": {}, "labels": {"a": "b"}}}


def test_aliases_are_kept_and_other_settings_warn(service) -> None:
    found = service("networks: {back: {aliases: [a, a, b], priority: 5}}", "networks: {back: }\n")
    assert found.web["networks"] == {"back": {"aliases": ["a", "b"], "priority": 5}}
    assert found.warnings == [
        "stack.yml:4:43: warning[O8-111] `priority` has no effect (`services.*.networks.back.priority`)"
    ]
    assert service("networks: {back: {ipv4_address: 10.0.0.5}}", "networks: {back: }\n").errors == [
        "stack.yml:4:23: error[O8-110] `services.web.networks.back.ipv4_address` is not supported yet"
    ]


def test_another_driver_or_isolation_is_refused(stack) -> None:
    base = "services: {a: {image: x, networks: [n]}}\nnetworks:\n  n: "
    assert stack(base + "{driver: bridge, internal: false}").errors == []
    assert stack(base + "{driver: macvlan}").errors == [
        "stack.yml:3:15: error[O8-110] `networks.n.driver`: the driver `macvlan` is not supported yet"
    ]
    assert stack(base + "{internal: true}").errors == [
        "stack.yml:3:7: error[O8-110] `networks.n.internal` is not supported yet"
    ]


def test_a_volume_by_driver_options_is_refused(stack) -> None:
    base = "services: {a: {image: x, volumes: ['v:/v']}}\nvolumes:\n  v: "
    assert stack(base + "{driver: local}").errors == []
    assert stack(base + "{driver_opts: {type: nfs}}").errors == [
        "stack.yml:3:7: error[O8-110] `volumes.v.driver_opts` is not supported yet"
    ]


@pytest.mark.parametrize(
    ("subnet", "error"),
    [
        (
            "10.0.0.0/255.0.0.0",
            "error[O8-305] `{}` must be a subnet such as 10.9.0.0/24, found the text `10.0.0.0/255.0.0.0`",
        ),
        ("garbage", "error[O8-305] `{}` must be a subnet such as 10.9.0.0/24, found the text `garbage`"),
        ("10.1.0.5/16", "error[O8-305] `{}`: 10.1.0.5/16 is an address inside of its subnet"),
        ("10.1.0.0/31", "error[O8-305] `{}`: 10.1.0.0/31 has no room for a gateway and a container"),
        ("127.0.0.0/8", "error[O8-305] `{}`: 127.0.0.0/8 is not for machines of a network"),
        ("0.0.0.0/0", "error[O8-305] `{}`: 0.0.0.0/0 is not for machines of a network"),
        ("fd00::/64", "error[O8-110] `{}`: an IPv6 subnet is not supported yet"),
    ],
)
def test_a_subnet_that_no_network_can_have_is_an_error_at_its_line(stack, subnet: str, error: str) -> None:
    text = f"services: {{a: {{image: x, networks: [n]}}}}\nnetworks:\n  n: {{ipam: {{config: [{{subnet: '{subnet}'}}]}}}}\n"
    assert stack(text).errors == [f"stack.yml:3:32: {error.format('networks.n.ipam.config[0].subnet')}"]


def test_a_second_address_pool_is_refused(stack) -> None:
    pools = "[{subnet: 10.1.0.0/16}, {subnet: 10.2.0.0/16}]"
    assert stack(
        f"services: {{a: {{image: x, networks: [n]}}}}\nnetworks: {{n: {{ipam: {{config: {pools}}}}}}}\n"
    ).errors == ["stack.yml:2:55: error[O8-110] `networks.n.ipam.config`: a second address pool is not supported yet"]


def test_turning_off_what_is_on_by_itself_is_told(stack) -> None:
    off = stack("services: {a: {image: x, attach: false, networks: [n]}}\nnetworks: {n: {enable_ipv4: false}}\n")
    assert off.warnings == [
        "stack.yml:1:26: warning[O8-111] `attach` has no effect (`services.*.attach`)",
        "stack.yml:2:16: warning[O8-111] `enable_ipv4` has no effect (`networks.*.enable_ipv4`)",
    ]
    on = stack(
        "services: {a: {image: x, attach: true, networks: [n]}}\nnetworks: {n: {enable_ipv4: true, enable_ipv6: false}}\n"
    )
    assert on.warnings == []


def test_external_without_a_name_of_its_own_takes_that_beside_it(stack) -> None:
    found = stack("services: {a: {image: x, networks: [n]}}\nnetworks: {n: {external: {}, name: y}}\n")
    assert found.document["networks"]["n"] == {"name": "y", "external": True, "ipam": {}}
