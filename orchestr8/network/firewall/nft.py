"""libnftables by ctypes: one call is one transaction. Which rules there are is `rules`' business.

The program `nft` would cost 6 to 8 ms a call, this 0.3 to 0.7 ms. A context speaks to the network namespace of the
thread that makes it, so it is made where it is needed, used, and freed.
"""

import ctypes
import errno
import functools
import json
from types import TracebackType
from typing import Any, Final, Self

from orchestr8.errors import OperationFailed

LIBRARY: Final = "libnftables.so.1"
OUTPUT_JSON: Final = 1 << 4  # values: <nftables/libnftables.h>
OUTPUT_HANDLE: Final = 1 << 3


class NftError(OSError):
    """What libnftables said, and the errno that it ends with where there is one."""

    def __init__(self, words: str, commands: str) -> None:
        self.words = words.strip() or "libnftables failed without a word"
        self.commands = commands
        super().__init__(_errno_of(self.words), self.words.partition("\n")[0])

    def __str__(self) -> str:
        return self.words


def _errno_of(words: str) -> int:
    """Errors come as strerror's text only: "Error: Could not process rule: File exists"."""
    first = words.partition("\n")[0]
    for number, text in (
        (errno.ENOENT, "No such file or directory"),
        (errno.EEXIST, "File exists"),
        (errno.EBUSY, "Device or resource busy"),
        (errno.EPERM, "Operation not permitted"),
        (errno.EOPNOTSUPP, "Operation not supported"),
    ):
        if first.endswith(text):
            return number
    return 0


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise OperationFailed(
            f"{LIBRARY} cannot be loaded: {error}",
            code="O8-403",
            helps=["install nftables: apt-get install nftables (Debian, Ubuntu), dnf install nftables (Fedora)"],
        ) from error
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).restype = ctypes.c_char_p
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    return library


class Nft:
    """A context; use it in the thread that made it."""

    def __init__(self) -> None:
        self._library: Final = _library()
        self._context: int | None = self._library.nft_ctx_new(0)
        if self._context is None:
            raise NftError("libnftables made no context", "")
        self._library.nft_ctx_buffer_output(self._context)
        self._library.nft_ctx_buffer_error(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees nothing twice. Slow after deletions, see `host`."""
        if self._context is not None:
            self._library.nft_ctx_free(self._context)
            self._context = None

    def run(self, commands: str) -> str:
        """Do all of `commands` or none of them."""
        failed = self._library.nft_run_cmd_from_buffer(self._context, commands.encode())
        output = self._library.nft_ctx_get_output_buffer(self._context) or b""
        words = self._library.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise NftError(words.decode(errors="replace"), commands)
        return str(output.decode(errors="replace"))

    def ask(self, command: str) -> list[dict[str, Any]]:
        """The objects that a `list …` command finds, with their handles; none when what is asked for is not there."""
        self._library.nft_ctx_output_set_flags(self._context, OUTPUT_JSON | OUTPUT_HANDLE)
        try:
            answer = self.run(command)
        except NftError as error:
            if error.errno == errno.ENOENT:
                return []
            raise
        finally:
            self._library.nft_ctx_output_set_flags(self._context, 0)
        found: list[dict[str, Any]] = json.loads(answer)["nftables"]
        return found
