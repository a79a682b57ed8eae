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
    ],
)
def test_options_have_their_types(content: dict[str, Any], expected: LogSpec) -> None:
    assert log_spec(content, "services.web.logging") == expected


@pytest.mark.parametrize("option", ["max-size: x", "max-file: 0", "max-file: ²", "compress: yes"])
def test_what_cannot_be_is_refused_with_its_place(option: str) -> None:
    name, _, value = option.partition(": ")
    with pytest.raises(InvalidInput, match=rf"^services\.web\.logging\.options\.{name}: '{value}' is n"):
        log_spec({"options": {name: value}}, "services.web.logging")
