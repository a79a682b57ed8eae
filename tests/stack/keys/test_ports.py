import pytest


def ports(service, text: str) -> list[dict]:
    return service(f"ports: {text}").web["ports"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("80", [{"mode": "ingress", "target": 80, "protocol": "tcp"}]),
        ('"8080:80"', [{"mode": "ingress", "target": 80, "published": "8080", "protocol": "tcp"}]),
        ("22:22", [{"mode": "ingress", "target": 22, "published": "22", "protocol": "tcp"}]),
        ("80/", [{"mode": "ingress", "target": 80, "protocol": "tcp"}]),
        ("127.0.0.1::80", [{"mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "protocol": "tcp"}]),
        ("8000-9000:80", [{"mode": "ingress", "target": 80, "published": "8000-9000", "protocol": "tcp"}]),
        ("{target: 80, published: 8080, host_ip: 127.0.0.1}",
         [{"mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "8080", "protocol": "tcp"}]),
        ("{target: '80', published: 8000-8010, mode: host}",
         [{"mode": "host", "target": 80, "published": "8000-8010", "protocol": "tcp"}]),
    ],
)  # fmt: skip
def test_every_form_has_one_long_form(service, text: str, shown: list[dict]) -> None:
    assert ports(service, f"[{text}]") == shown


def test_the_order_of_the_long_forms_keys_is_composes(service) -> None:
    (port,) = ports(service, "[{protocol: tcp, published: 1, target: 2, host_ip: 127.0.0.1}]")
    assert list(port) == ["mode", "host_ip", "target", "published", "protocol"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("tcp", "`services.web.ports[0]`: invalid containerPort: tcp"),
        ("'70000'", "`services.web.ports[0]`: invalid containerPort: 70000"),
        ("80-8_1", "`services.web.ports[0]`: invalid containerPort: 80-8_1"),
        ("'[::1:80:80'", "`services.web.ports[0]`: invalid ip address: [::1"),
        ("'0'", "`services.web.ports[0]`: invalid containerPort: 0"),
        ("'x:80'", "`services.web.ports[0]`: invalid hostPort: x"),
        ("'80/xyz'", "`services.web.ports[0]`: invalid proto: xyz"),
        ("'127.0.1:80:80'", "`services.web.ports[0]`: invalid ip address: 127.0.1"),
        ("'1-3:1-2'", "`services.web.ports[0]`: the ranges 1-3 and 1-2 differ in length"),
        ("''", "`services.web.ports[0]`: no port specified"),
        ("{target: 80, host_ip: nope}", "`services.web.ports[0].host_ip`: invalid ip address: nope"),
        ("{target: 99999}", "`services.web.ports[0].target`: invalid containerPort: 99999"),
        ("{published: 80}", "`services.web.ports[0]` has no `target`"),
        ("true", ('`services.web.ports[0]` must be a port mapping such as "8080:80", or {target: 80, published: 8080}, '
                 "found the boolean true")),
    ],
)  # fmt: skip
def test_what_is_no_port_is_an_error(service, text: str, error: str) -> None:
    (line,) = service(f"ports: [{text}]").errors
    assert line.partition("] ")[2] == error


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("'53:53/udp'", "publishing a udp port"),
        ("'[::1]:80:80'", "publishing on an IPv6 address"),
        ("{target: 53, protocol: sctp}", "publishing a sctp port"),
    ],
)
def test_what_the_engine_does_not_publish_yet_is_refused(service, text: str, what: str) -> None:
    (line,) = service(f"ports: [{text}]").errors
    assert line.endswith(f"error[O8-110] `services.web.ports[0]`: {what} is not supported yet")
