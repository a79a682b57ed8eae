import pytest

from orchestr8.backends.memory import MemoryBackend
from tests.backends.contract import *  # noqa: F403 - the fake passes what the real thing passes
from tests.virtual_time import virtual_now


@pytest.fixture
def image() -> str:
    return "rootfs:/"


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend(now=virtual_now)
