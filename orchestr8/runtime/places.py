"""What a shim writes in its container's bundle, for those that have nothing else in common with it."""

from typing import Final

STATE_FILE: Final = "state.json"
STATE_MODE: Final = 0o600
LOG_FILE: Final = "log/current.log"
LOG_MODE: Final = 0o640
