"""The program itself: its interpreter, where it lies, and the engine that runs."""

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator

from orchestr8 import __version__
from orchestr8.doctor.findings import Finding, Host, missing, ok, untried, warning
from orchestr8.errors import Orchestr8Error, Unavailable, Unheard
from orchestr8.runtime.sealed import Interpreter
from orchestr8.wire.client import Client


def program(_host: Host) -> Iterator[Finding]:
    found = shutil.which("orchestr8")
    scripts = os.path.dirname(sys.executable)
    if found:
        yield ok("orchestr8", f"{__version__}, {found}")
    else:
        yield warning("orchestr8", f"{__version__}, not on PATH", f"export PATH={scripts}:$PATH")


def interpreter(host: Host) -> Iterator[Finding]:
    """PID 1 of containers is this Python: no container may be able to write to its files (`runtime.sealed`)."""
    python = f"Python {platform.python_version()}, {os.path.realpath(sys.executable)}"
    try:
        copy = Interpreter()
    except OSError:
        if host.privileged:
            raise
        yield untried("interpreter")
        return
    except Orchestr8Error as error:
        yield missing("interpreter", error.message, "; ".join(error.helps))
        return
    copy.close()
    if not copy.sealed:
        yield warning(
            "interpreter", f"{python}: it does not run from a sealed copy, so containers get a read-only mount of it",
            "install orchestr8 with the distribution's python3",
        )  # fmt: skip
    elif library := shared_library():
        yield warning(
            "interpreter", f"{python}: sealed, but {library}, which it loads, stays an ordinary file",
            "install orchestr8 with a python3 that has its library inside, as Debian's has",
        )  # fmt: skip
    else:
        yield ok("interpreter", f"{python}, sealed")


def shared_library() -> str:
    """The file that has the interpreter's own code, where that is not its executable; "" where it is."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        found = re.search(r"/\S*/libpython[\d.]+[a-z]*\.so\S*", file.read())
    return found[0] if found else ""


def engine(host: Host) -> Iterator[Finding]:
    try:
        answer = Client(host.socket).request("GET", "/version", timeout_s=5)
    except Unheard:
        yield ok("engine", "none runs; the first command that needs one starts it")
    except Unavailable as error:
        yield warning("engine", error.message, "; ".join(error.helps) or "run this as root")
    else:
        version = str(answer["Version"])
        if version == __version__:
            yield ok("engine", f"{version} runs")
        else:
            yield warning(
                "engine", f"{version} runs, and this is {__version__}", "orchestr8 engine stop: containers go on"
            )
