"""Where an engine lives: the one place from which the CLI and the engine derive its root and its socket.

A unix socket's path has 108 bytes, so the socket is named by a hash of the root, not by the root itself.
"""

from __future__ import annotations

import os
import zlib

TYPE_CHECKING = False  # `typing` costs the CLI 4 ms at start
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

DEFAULT_ROOT: Final = "/var/lib/orchestr8"
RUN_DIR: Final = "/run/orchestr8"


def engine_root(flag: str = "", environ: Mapping[str, str] = os.environ) -> str:
    """The engine's state directory: `--root`, else ORCHESTR8_ROOT, else the default; absolute and without symlinks."""
    return os.path.realpath(flag or environ.get("ORCHESTR8_ROOT") or DEFAULT_ROOT)


def instance_hash(root: str) -> str:
    """8 hex digits that tell the engines of one machine apart. Not hashlib: its import costs the CLI 4 ms."""
    return f"{zlib.crc32(os.fsencode(root)):08x}"


def run_dir(root: str, environ: Mapping[str, str] = os.environ) -> str:
    """Where this root's sockets are: under ORCHESTR8_RUN_DIR (for users without /run, and for tests), else /run."""
    return f"{environ.get('ORCHESTR8_RUN_DIR') or RUN_DIR}/{instance_hash(root)}"


def socket_path(root: str, environ: Mapping[str, str] = os.environ) -> str:
    return f"{run_dir(root, environ)}/engine.sock"
