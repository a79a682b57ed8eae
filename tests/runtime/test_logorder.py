"""What a shim is told of its log: values that it need not work out."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import LogDriver, LogSpec
from orchestr8.runtime.logorder import log_order


def made(spec: LogSpec, labels: Mapping[str, str] = {"a.b": "label"}) -> dict[str, Any]:
    return log_order(
        spec, container_id="0123456789ab", name="shop-web-1", image="rootfs:/", argv=["sleep", "inf"],
        environment=["COLOUR=red", "EMPTY=", "TWO=a=b"], labels=labels,
    )  # fmt: skip


def test_our_own_files_are_all_that_most_logs_have() -> None:
    usual = {"driver": "local", "kept": True, "max_bytes": 10 << 20, "max_files": 3, "compress": True}
    assert made(LogSpec()) == usual
    assert made(LogSpec(driver=LogDriver.NONE)) == {**usual, "driver": "none", "kept": False}


def test_syslog_is_told_where_to_and_as_what() -> None:
    spec = LogSpec(
        driver=LogDriver.SYSLOG, queue_bytes=5, copied=False,
        options=(("env", "COLOUR"), ("syslog-address", "udp://logs:5"), ("syslog-facility", "local1"),
                 ("syslog-format", "rfc5424"), ("tag", "{{.Name}} {{.Command}} {{.DaemonName}} {{(.ExtraAttributes nil).COLOUR}}")),
    )  # fmt: skip
    order = made(spec)
    assert (order["driver"], order["kept"]) == ("syslog", False)
    assert order["receiver"] == {
        "kind": "syslog", "name": "syslog udp://logs:5", "container": "0123456789ab", "owner": "shop-web-1", "queue_bytes": 5,
        "network": "udp", "path": "", "host": "logs", "port": 5, "tls": None, "facility": 17, "format": "rfc5424",
        "tag": "shop-web-1 sleep inf orchestr8 red",
    }  # fmt: skip


def test_syslog_by_default_is_the_machines_own() -> None:
    receiver = made(LogSpec(driver=LogDriver.SYSLOG))["receiver"]
    assert {name: receiver[name] for name in ("name", "network", "facility", "format", "tag")} == {
        "name": "the machine's own syslog", "network": "", "facility": 3, "format": "", "tag": "0123456789ab",
    }  # fmt: skip


def test_tls_is_verified_unless_told_otherwise() -> None:
    address = ("syslog-address", "tcp+tls://logs")
    files = (("syslog-tls-ca-cert", "/ca"), ("syslog-tls-cert", "/c"), ("syslog-tls-key", "/k"))

    def tls(*options: tuple[str, str]) -> Any:
        return made(LogSpec(driver=LogDriver.SYSLOG, options=(address, *options)))["receiver"]["tls"]

    assert tls() == {"ca": "", "cert": "", "key": "", "verify": True}
    assert tls(*files) == {"ca": "/ca", "cert": "/c", "key": "/k", "verify": True}
    assert tls(("syslog-tls-skip-verify", "false"))["verify"] is True
    assert tls(("syslog-tls-skip-verify", "true"))["verify"] is False


def test_journald_is_told_its_fields() -> None:
    options = (("env", "TWO,EMPTY"), ("labels", "a.b"), ("tag", "{{.Hostname}}"))
    receiver = made(LogSpec(driver=LogDriver.JOURNALD, options=options))["receiver"]
    host = os.uname().nodename
    assert (receiver["kind"], receiver["path"]) == ("journald", "/run/systemd/journal/socket")
    assert dict(receiver["fields"]) == {
        "CONTAINER_ID": "0123456789ab", "CONTAINER_ID_FULL": "0123456789ab", "CONTAINER_NAME": "shop-web-1",
        "CONTAINER_TAG": host, "IMAGE_NAME": "rootfs:/", "SYSLOG_IDENTIFIER": host,
        "A_B": "label", "TWO": "a=b", "EMPTY": "",
    }  # fmt: skip


def test_names_are_chosen_by_an_expression_that_ends_in_time() -> None:
    def fields(pattern: str) -> Any:
        spec = LogSpec(driver=LogDriver.JOURNALD, options=(("env-regex", pattern), ("labels-regex", pattern)))
        return {name for name, _ in made(spec, labels={"a.b": "label", "a" * 40 + "!": "x"})["receiver"]["fields"]}

    assert {"A_B", "TWO"} <= fields(r"^a\.b$|W")
    with pytest.raises(InvalidInput, match=r"the regular expression `\^\(a\+\)\+\$` takes more than 2 s"):
        fields("^(a+)+$")
