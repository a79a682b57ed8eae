"""The fake runs on virtual time: a stop that takes its ten seconds takes none here."""

from typing import Any

import pytest

from tests.virtual_time import VirtualLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}
