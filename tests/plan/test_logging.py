"""`logging:` to what the runtime is told."""

from typing import Any

import pytest

from orchestr8.errors import InvalidInput
from orchestr8.model.specs import LogDriver, LogSpec
from orchestr8.plan.logging import log_spec


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, LogSpec()),
        ({"driver": ""}, LogSpec()),
        ({"driver": "gelf", "options": {"max-size": "what gelf makes of it"}}, LogSpec()),
        ({"driver": "none", "options": {"max-size": "1m"}}, LogSpec(driver=LogDriver.NONE)),
        ({"driver": "json-file"}, LogSpec(compress=False)),
        ({"driver": "json-file", "options": {"max-size": "-1", "compress": "T"}}, LogSpec(max_bytes=0, compress=True)),
        (
            {"options": {"max-size": "1.5k", "max-file": "07", "compress": "0"}},
            LogSpec(max_bytes=1536, max_files=7, compress=False),
        ),
        ({"driver": "journald"}, LogSpec(driver=LogDriver.JOURNALD, max_bytes=20 << 20, max_files=5)),
        (
            {
                "driver": "syslog",
                "options": {"syslog-address": "udp://x", "mode": "non-blocking", "max-buffer-size": "4m"},
            },
            LogSpec(
                driver=LogDriver.SYSLOG,
                max_bytes=20 << 20,
                max_files=5,
                queue_bytes=4 << 20,
                options=(("syslog-address", "udp://x"),),
            ),
        ),
        (
            {
                "driver": "syslog",
                "options": {
                    "tag": "x",
                    "cache-disabled": "true",
                    "cache-max-size": "1k",
                    "cache-max-file": "2",
                    "cache-compress": "f",
                },
            },
            LogSpec(
                driver=LogDriver.SYSLOG,
                max_bytes=1024,
                max_files=2,
                compress=False,
                copied=False,
                options=(("tag", "x"),),
            ),
        ),
    ],
)
def test_options_have_their_types(content: dict[str, Any], expected: LogSpec) -> None:
    assert log_spec(content, "services.web.logging") == expected


@pytest.mark.parametrize("option", ["max-size: x", "max-file: 0", "max-file: ²", "compress: yes"])
def test_what_cannot_be_is_refused_with_its_place(option: str) -> None:
    name, _, value = option.partition(": ")
    with pytest.raises(InvalidInput, match=rf"^services\.web\.logging\.options\.{name}: '{value}' is n"):
        log_spec({"options": {name: value}}, "services.web.logging")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"syslog-address": "x"}, "syslog-address must begin with udp://"),
        ({"nope": "x"}, "nope is no option of the logging driver `syslog`"),
        ({"cache-max-file": "0"}, "cache-max-file: '0' is not a number of files, at least 1"),
        ({"cache-disabled": "maybe"}, "cache-disabled: 'maybe' is neither true nor false"),
        ({"max-buffer-size": "big"}, "max-buffer-size: 'big' is not a size such as 64m"),
    ],
)
def test_options_of_receivers_that_cannot_be_are_refused(options: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        log_spec({"driver": "syslog", "options": options}, "services.web.logging")
    assert refused.value.message.startswith(f"services.web.logging.options.{said}")
