"""What system tests share. They need root and a real kernel, and leave nothing behind."""

import json
import os
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from tests.system.busybox import busybox_image, fresh_image, mapped_image  # noqa: F401
from tests.system.oci_lab import beside, oci  # noqa: F401
from tests.system.runtime_fixtures import anyio_backend, runtime  # noqa: F401


@pytest.fixture
def in_child() -> Callable[[Callable[[], Any]], Any]:
    """Run a function in a forked child, which may give away its rights, and return what it returned (as JSON)."""

    def run(function: Callable[[], Any]) -> Any:
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(writer, json.dumps({"result": function()}).encode())
            except BaseException:  # noqa: BLE001 - the parent raises it
                os.write(writer, json.dumps({"error": traceback.format_exc()}).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:
            text = pipe.read()
        _, status = os.waitpid(pid, 0)
        assert text, f"the child ended with wait status {status}"
        answer = json.loads(text)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    return run
