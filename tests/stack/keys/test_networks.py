"""`networks` of a service, and at the top."""


def test_a_service_joins_the_default_network_unless_it_names_its_own(stack) -> None:
    found = stack("services: {a: {image: x}, b: {image: x, networks: [back]}}\nnetworks: {back: }\n")
    assert found.document["networks"] == {"back": {"name": "shop_back"}, "default": {"name": "shop_default"}}
    assert found.services["a"]["networks"] == {"default": None}
    found = stack("services: {b: {image: x, networks: [back]}}\nnetworks: {back: , default: }\n")
    assert list(found.document["networks"]) == ["back"]


def test_the_default_network_can_be_set_up(stack) -> None:
    found = stack("services: {a: {image: x}}\nnetworks: {default: {name: mine, labels: [a=b]}}\n")
    assert found.document["networks"] == {"default": {"name": "mine", "labels": {"a": "b"}}}


def test_aliases_are_kept_and_other_settings_warn(service) -> None:
    found = service("networks: {back: {aliases: [a, a, b], ipv4_address: 10.0.0.5}}", "networks: {back: }\n")
    assert found.web["networks"] == {"back": {"aliases": ["a", "b"], "ipv4_address": "10.0.0.5"}}
    assert found.warnings == [
        "stack.yml:4:43: warning[O8-111] `ipv4_address` has no effect yet (`services.*.networks.back.ipv4_address`)"
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
