"""Reconciler tests run on virtual time: health intervals and restart delays pass at once, in order."""

from typing import Any

import pytest

from tests.virtual_time import VirtualLoop


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualLoop}
