"""Options of `syslog` and `journald`: each alone, tags and attributes, and what must hold between them."""

import re
from collections.abc import Sequence

import pytest

from orchestr8.model.receivers import (
    Address,
    check_pattern,
    extra_attributes,
    flag,
    journal_fields,
    mistakes,
    parse_address,
    parse_facility,
    render_tag,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Address("")),
        ("unix:///dev/log", Address("unix", path="/dev/log")),
        ("unixgram:///run/systemd/journal/dev-log", Address("unixgram", path="/run/systemd/journal/dev-log")),
        ("udp://1.2.3.4", Address("udp", host="1.2.3.4", port=514)),
        ("tcp://logs.example:601", Address("tcp", host="logs.example", port=601)),
        ("tcp+tls://[2001:db8::1]:6514", Address("tcp+tls", host="2001:db8::1", port=6514)),
        ("tcp://[::1]", Address("tcp", host="::1", port=514)),
    ],
)
def test_addresses(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "logs.example:514",
            "must begin with udp://, tcp://, tcp+tls://, unix://, unixgram://; found 'logs.example:514'",
        ),
        ("http://x", "must begin with udp://, tcp://, tcp+tls://, unix://, unixgram://; found 'http://x'"),
        ("unix://dev/log", "must name a socket by its absolute path, as in unix:///dev/log; found 'unix://dev/log'"),
        ("unixgram://", "must name a socket by its absolute path, as in unixgram:///dev/log; found 'unixgram://'"),
        (f"unix:///{'x' * 107}", "names a socket by a path of more than 107 bytes"),
        ("tcp://", "must be tcp://HOST or tcp://HOST:PORT; found 'tcp://'"),
        ("tcp://x:0", "must be tcp://HOST or tcp://HOST:PORT; found 'tcp://x:0'"),
        ("tcp://x:65536", "must be tcp://HOST or tcp://HOST:PORT; found 'tcp://x:65536'"),
        ("udp://x:1/path", "must be udp://HOST or udp://HOST:PORT; found 'udp://x:1/path'"),
        ("udp://user@x", "must be udp://HOST or udp://HOST:PORT; found 'udp://user@x'"),
        ("udp://2001:db8::1", "must be udp://HOST or udp://HOST:PORT; found 'udp://2001:db8::1'"),
    ],
)
def test_what_is_no_address(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        parse_address(text)


def test_facilities_have_their_numbers() -> None:
    known = {"": 3, "kern": 0, "daemon": 3, "authpriv": 10, "ftp": 11, "local0": 16, "local7": 23, "0": 0, "23": 23}
    assert {text: parse_facility(text) for text in known} == known
    for text in ("24", "-1", "local8", "Daemon", "1.0", "²"):
        with pytest.raises(ValueError, match="must be a facility such as daemon or local0, or its number up to 23"):
            parse_facility(text)


def test_flags_are_those_of_go() -> None:
    assert [flag(text) for text in ("1", "t", "T", "true", "TRUE", "0", "f", "False")] == [True] * 5 + [False] * 3
    with pytest.raises(ValueError, match="must be true or false; found 'yes'"):
        flag("yes")


FIELDS = {"ID": "0123456789ab", "Name": "shop-Web-1", "ImageName": "rootfs:/"}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", "0123456789ab"),
        ("plain", "plain"),
        ("{{.Name}}/{{ .ID }}", "shop-Web-1/0123456789ab"),
        ("{{lower .Name}} {{.Name | upper}} {{truncate .ID 3}}", "shop-web-1 SHOP-WEB-1 012"),
        ("{{(.ExtraAttributes nil).COLOUR}}-{{ ( .ExtraAttributes  nil ).NONE }}", "red-<no value>"),
        ("{{lower (.ExtraAttributes nil).COLOUR}}", "red"),
        ("{{(.ExtraAttributes nil).LINES}}", "two_<30>lines"),
        ("a } and }} and {", "a } and }} and {"),
    ],
)
def test_tags(template: str, expected: str) -> None:
    assert render_tag(template, FIELDS, {"COLOUR": "red", "LINES": "two\n<30>lines"}) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{.Nme}}", "holds {{.Nme}}, and there is no such field; known are {{.ID}}, "),
        ("{{.ImageID}}", "holds {{.ImageID}}: images have no ids here; use {{.ImageName}}"),
        ("{{if .Name}}x{{end}}", "holds {{if .Name}}, which is no template of a tag; known are {{.ID}}, "),
        ("{{json .Name}}", "holds {{json .Name}}, which is no template of a tag; known are "),
        ("{{.Name", "has a {{ without its }}; found '{{.Name'"),
        ("{{}}", "holds {{}}, which is no template of a tag"),
    ],
)
def test_what_is_no_tag(template: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}"):
        render_tag(template, FIELDS, {})


def test_attributes_are_chosen_by_name_and_by_pattern() -> None:
    labels = {"a": "1", "a.b": "2", "c": "3"}
    variables = {"FOO": "4", "FOOD": "5", "c": "6"}

    def matching(pattern: str, names: Sequence[str]) -> list[str]:
        return [name for name in names if re.search(pattern, name)]

    def chosen(**options: str) -> dict[str, str]:
        return extra_attributes(
            {key.replace("_", "-"): text for key, text in options.items()}, labels, variables, matching
        )

    assert chosen(labels="a,none,c", env="FOO") == {"a": "1", "c": "3", "FOO": "4"}
    assert chosen(labels_regex=r"^a\b", env_regex="OD$|c") == {
        "a": "1", "a.b": "2", "FOOD": "5", "c": "6",
    }  # fmt: skip
    assert chosen() == {}


def test_attributes_get_names_that_the_journal_takes() -> None:
    given = {
        "com.example/a-b": "1",
        "_hidden": "2",
        "9lives": "3",
        "é": "4",
        "x" * 65: "5",
        "message": "6",
        "straße": "7",
    }
    assert journal_fields(given, ("MESSAGE",)) == {"COM_EXAMPLE_A_B": "1", "HIDDEN": "2", "STRA_E": "7"}


def told(driver: str, **options: str) -> list[str]:
    named = {name.replace("_", "-"): text for name, text in options.items()}
    return [f"{each.option} {each.what}" for each in mistakes(driver, named)]


def test_options_are_those_of_their_driver() -> None:
    assert told("journald", tag="{{.Name}}", labels="a", env_regex="^x") == []
    assert told("journald", syslog_address="udp://x") == [
        "syslog-address is no option of the logging driver `journald`"
    ]
    assert told("syslog", syslog_format="rfc1") == [
        "syslog-format must be rfc3164, rfc5424 or rfc5424micro; found 'rfc1'"
    ]
    (said,) = told("syslog", labels_regex="(")
    assert said.startswith("labels-regex is no regular expression: ")
    with pytest.raises(ValueError, match="is no regular expression"):
        check_pattern("[")


def test_what_should_be_secret_is_not_sent_for_all_to_read() -> None:
    needs = "needs a `syslog-address` that begins with tcp+tls://"
    assert told("syslog", syslog_address="tcp://x", syslog_tls_ca_cert="/ca") == [f"syslog-tls-ca-cert {needs}"]
    assert told("syslog", syslog_tls_skip_verify="false") == [f"syslog-tls-skip-verify {needs}"]
    assert told("syslog", syslog_address="tcp+tls://x", syslog_tls_ca_cert="/ca") == []


def test_a_certificate_and_its_key_go_together() -> None:
    secure = {"syslog_address": "tcp+tls://x"}
    assert told("syslog", syslog_tls_cert="/c", **secure) == ["syslog-tls-cert needs `syslog-tls-key` beside it"]
    assert told("syslog", syslog_tls_key="/k", **secure) == ["syslog-tls-key needs `syslog-tls-cert` beside it"]
    assert told("syslog", syslog_tls_key="/k", syslog_tls_cert="c", **secure) == [
        "syslog-tls-cert must be an absolute path on the machine where the engine runs; found 'c'"
    ]
