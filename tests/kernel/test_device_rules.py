"""Device rules: read, printed, and what a list of them amounts to."""

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.kernel.device_rules import (
    ANY,
    DEFAULT_DEVICES,
    EVERY_DEVICE,
    DevicePolicy,
    DeviceRule,
    from_oci,
    oci_devices,
    parse,
    settle,
)


@pytest.mark.parametrize("text", ["c 1:3 rwm", "b *:* m", "c 136:* rw", "a *:* rwm"])
def test_a_rule_prints_as_it_is_read(text: str) -> None:
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["", "c 1:3", "d 1:3 r", "c 1 r", "c 1:3 x", "c -1:3 r", "c 1:3 rwmr", "c  1:3 r", "c 1:3 r\n"])  # fmt: skip
def test_what_is_no_rule_is_said(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a device rule such as `c 10:200 rwm`"):
        parse(text)


def test_the_document_refuses_all_first_and_leaves_out_what_is_any() -> None:
    assert oci_devices([DeviceRule("c", 136, ANY, "rwm"), DeviceRule("b", 8, 0, "r", allow=False), EVERY_DEVICE]) == [
        {"allow": False, "access": "rwm"},
        {"allow": True, "access": "rwm", "type": "c", "major": 136},
        {"allow": False, "access": "r", "type": "b", "major": 8, "minor": 0},
        {"allow": True, "access": "rwm"},
    ]


def test_rules_come_back_from_the_document() -> None:
    assert from_oci(oci_devices(DEFAULT_DEVICES))[1:] == list(DEFAULT_DEVICES)
    assert from_oci([{"allow": True}]) == [EVERY_DEVICE]


def settled(*texts: str) -> DevicePolicy:
    return settle([parse(text[1:])._replace(allow=text[0] == "+") for text in texts])


@pytest.mark.parametrize(
    ("rules", "allow", "exceptions"),
    [
        ([], True, []),
        (["-a *:* rwm", "+c 1:3 r", "+c 1:3 w"], False, ["c 1:3 rw"]),  # one exception, for a request of both
        (["-a *:* rwm", "+c 1:3 rwm", "-c 1:3 w"], False, ["c 1:3 rm"]),
        (["-a *:* rwm", "+c 1:3 rw", "-c 1:3 rwm"], False, []),
        (["-a *:* rwm", "+c 1:* rw", "-c 1:3 rw"], False, ["c 1:* rw"]),  # a hole, which v1 does not make either
        (["-a *:* rwm", "+c 1:3 rw", "+a *:* rwm"], True, []),
        (["-a *:* rwm", "+a *:* rwm", "-b 8:0 w"], True, ["b 8:0 w"]),
    ],
)
def test_later_rules_change_what_earlier_ones_said(rules: list[str], allow: bool, exceptions: list[str]) -> None:
    found = settled(*rules)
    assert (found.allow, [str(rule) for rule in found.exceptions]) == (allow, exceptions)
    assert {rule.allow for rule in found.exceptions} <= {not allow}


def test_the_default_list_is_settled_already() -> None:
    assert settle(from_oci(oci_devices(DEFAULT_DEVICES))) == DevicePolicy(False, DEFAULT_DEVICES)
