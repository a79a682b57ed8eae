"""Where the JSON schema of stack files lies: in the installed package, or in the checkout it is run from."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

NAME: Final = "stack.schema.json"


def schema_path() -> str:
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(package, "schema", NAME)  # put there when the wheel is built: see pyproject.toml
    return installed if os.path.exists(installed) else os.path.join(os.path.dirname(package), "schema", NAME)
