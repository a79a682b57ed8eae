"""`extra_hosts`: names with addresses, for the container's own list of hosts."""


def test_every_form_is_a_list_by_name(key) -> None:
    assert key.value("['a=1.2.3.4,1.2.3.5', 'b:[::1]', 'a:9.9.9.9']") == [
        "a=1.2.3.4",
        "a=1.2.3.5",
        "a=9.9.9.9",
        "b=::1",
    ]
    assert key.value("{b: '[::1]', a: [1.2.3.4, host-gateway]}") == ["a=1.2.3.4", "a=host-gateway", "b=::1"]
    assert key.unsaid() is None


def test_a_later_file_adds_addresses_each_once(key) -> None:
    assert key.merged("['a=1.2.3.4', 'b=1.1.1.1']", "{a: [1.2.3.4, 5.6.7.8]}") == [
        "a=1.2.3.4",
        "a=5.6.7.8",
        "b=1.1.1.1",
    ]


def test_a_name_has_an_address(key) -> None:
    assert key.errors("['=::1']", "{a: 5}", "a=1.2.3.4") == [
        "O8-305 `services.web.extra_hosts[0]`: bad host name: =::1",
        "O8-104 `services.web.extra_hosts.a` must be an address, or a list of addresses, found the number 5",
        "O8-104 `services.web.extra_hosts` must be a mapping of names to addresses, or a list of NAME=ADDRESS, found the text `a=1.2.3.4`",
    ]
    assert key.printed("[a]") == """\
error[O8-305]: `services.web.extra_hosts[0]`: missing an address: a
 --> stack.yml:4:19
4 |     extra_hosts: [a]
  |                   ^
  = help: write NAME=ADDRESS, or NAME=host-gateway
"""  # fmt: skip
