"""The console script's entry: until the program is there, Ctrl-C ends the process as it would end one in C, without a traceback."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` costs 1 ms at start, for names of numbers

TYPE_CHECKING = False  # `typing` costs 4 ms at start
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    interruptible = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler  # else it is ignored, as by nohup
    if interruptible:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from orchestr8.cli.main import main as program

    if interruptible:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    program()
