"""The program as its users have it: a wheel of this checkout in an environment of its own.

An editable install is slower by some milliseconds at each start where its bytecode cannot be written, and it runs
what is being edited.
"""

import glob
import os
import subprocess
import sys
from typing import Final

from bench.errors import Unmeasurable

TOP: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_LIMIT_S: Final = 300


def install(directory: str) -> str:
    """Build, install, and return the path of the program `orchestr8`."""
    _run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", f"{directory}/wheel"], "the wheel")
    (wheel,) = glob.glob(f"{directory}/wheel/*.whl")
    _run([os.path.realpath(sys.executable), "-m", "venv", f"{directory}/venv"], "its environment")
    pip = [f"{directory}/venv/bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, wheel], "its installation")
    return f"{directory}/venv/bin/orchestr8"


def _run(argv: list[str], what: str) -> None:
    result = subprocess.run(argv, cwd=TOP, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    if result.returncode:
        raise Unmeasurable(f"{what} could not be made:\n{(result.stdout + result.stderr).strip()}")
