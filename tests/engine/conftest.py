"""Async tests run on asyncio, the only loop the engine runs on."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
