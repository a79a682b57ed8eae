"""`ports`: which ports of the container are the machine's, too."""

import pytest

TCP = {"mode": "ingress", "protocol": "tcp"}


@pytest.mark.parametrize(
    ("written", "long"),
    [
        ("80", [{**TCP, "target": 80}]),
        ('"8080:80"', [{**TCP, "target": 80, "published": "8080"}]),
        ("22:22", [{**TCP, "target": 22, "published": "22"}]),
        ("80/", [{**TCP, "target": 80}]),
        ("53/UDP", [{**TCP, "protocol": "udp", "target": 53}]),
        ("127.0.0.1::80", [{**TCP, "host_ip": "127.0.0.1", "target": 80}]),
        ("'[::1]:8080:80'", [{**TCP, "host_ip": "::1", "target": 80, "published": "8080"}]),
        ("8000-9000:80", [{**TCP, "target": 80, "published": "8000-9000"}]),
        ("90-91:80-81", [{**TCP, "target": 80, "published": "90"}, {**TCP, "target": 81, "published": "91"}]),
        ("80-81", [{**TCP, "target": 80}, {**TCP, "target": 81}]),
        ("{target: 80, published: 8080, host_ip: 127.0.0.1}",
         [{**TCP, "host_ip": "127.0.0.1", "target": 80, "published": "8080"}]),
        ("{target: '80', published: 8000-8010, mode: host, name: web}",
         [{"mode": "host", "protocol": "tcp", "target": 80, "published": "8000-8010", "name": "web"}]),
        ("{target: 80, published: '', protocol: udp}", [{**TCP, "protocol": "udp", "target": 80}]),
    ],
)  # fmt: skip
def test_every_form_has_one_long_form(key, written: str, long: list[dict]) -> None:
    assert key.value(f"[{written}]") == long


def test_the_order_of_the_long_forms_keys_is_composes(key) -> None:
    (port,) = key.value("[{protocol: tcp, published: 1, target: 2, host_ip: 127.0.0.1}]")
    assert list(port) == ["mode", "host_ip", "target", "published", "protocol"]


def test_a_later_file_adds_to_it_and_equal_ones_are_one(key) -> None:
    assert key.unsaid() is None
    found = key.merged("['80:80', '81:81']", "['81:81', '81:81/udp', {target: 80, published: 80}]")
    assert [(each["published"], each["protocol"]) for each in found] == [("80", "tcp"), ("81", "tcp"), ("81", "udp")]


@pytest.mark.parametrize(
    ("written", "error"),
    [
        ("tcp", "`services.web.ports[0]`: invalid containerPort: tcp"),
        ("'70000'", "`services.web.ports[0]`: invalid containerPort: 70000"),
        ("'0'", "`services.web.ports[0]`: invalid containerPort: 0"),
        ("80-8_1", "`services.web.ports[0]`: invalid containerPort: 80-8_1"),
        ("'x:80'", "`services.web.ports[0]`: invalid hostPort: x"),
        ("'80/xyz'", "`services.web.ports[0]`: invalid proto: xyz"),
        ("'127.0.1:80:80'", "`services.web.ports[0]`: invalid ip address: 127.0.1"),
        ("'[::1:80:80'", "`services.web.ports[0]`: invalid ip address: [::1"),
        ("'1-3:1-2'", "`services.web.ports[0]`: the ranges 1-3 and 1-2 differ in length"),
        ("''", "`services.web.ports[0]`: no port specified"),
        ("{target: 80, host_ip: nope}", "`services.web.ports[0].host_ip`: invalid ip address: nope"),
        ("{target: 99999}", "`services.web.ports[0].target`: invalid containerPort: 99999"),
        ("{published: 80}", "`services.web.ports[0]` has no `target`"),
        ("true", ('`services.web.ports[0]` must be a port mapping such as "8080:80", or {target: 80, published: 8080}, '
                 "found the boolean true")),
    ],
)  # fmt: skip
def test_what_is_no_port_is_an_error(key, written: str, error: str) -> None:
    (line,) = key.outcome(f"[{written}]").errors
    assert line.partition("] ")[2] == error


def test_a_port_that_is_none_is_shown_with_the_short_form(key) -> None:
    assert key.printed("['80:http']") == """\
error[O8-305]: `services.web.ports[0]`: invalid containerPort: http
 --> stack.yml:4:13
4 |     ports: ['80:http']
  |             ^^^^^^^^^
  = help: the short form is "8080:80", "127.0.0.1:8080:80" or "80"
"""  # fmt: skip


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("'53:53/udp'", "publishing a udp port"),
        ("'[::1]:80:80'", "publishing on an IPv6 address"),
        ("{target: 53, protocol: sctp}", "publishing a sctp port"),
    ],
)
def test_what_the_engine_does_not_publish_yet_is_refused(key, written: str, what: str) -> None:
    (line,) = key.acted_on(f"[{written}]")
    assert line.endswith(f"error[O8-110] `services.web.ports[0]`: {what} is not supported yet")
