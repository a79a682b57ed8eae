"""What every backend promises. A test module gives the fixtures and imports these tests:

    from tests.backends.contract import *  # and define the fixtures `backend` and `image`

`backend` is a `model.backend.Backend` with nothing in it and a stack name of its own free; `image` a reference whose
programs include sh, sleep, echo, cat, true and false. Nothing here depends on how long something takes.

life.py       a container from creation to removal, its events and figures
pausing.py    one that stands still
programs.py   probes, execs, attaching
networks.py   subnets, addresses, ports
volumes.py    volumes, and the contents of secrets and configs
files.py      copying in and out
images.py     changes, export, commit
"""

# ruff: noqa: F403 - the parts are one contract

import pytest

from orchestr8.model.backend import Backend
from tests.backends.bench import Bench
from tests.backends.contract.files import *
from tests.backends.contract.images import *
from tests.backends.contract.life import *
from tests.backends.contract.networks import *
from tests.backends.contract.pausing import *
from tests.backends.contract.programs import *
from tests.backends.contract.volumes import *

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(backend: Backend, image: str) -> Bench:
    return Bench(backend, image)
