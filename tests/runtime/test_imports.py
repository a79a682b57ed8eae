"""What the forkserver carries into every shim: a short list, in a fresh interpreter started as the engine starts it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

PACKAGE_PARENT: Final = str(Path(__file__).parent.parent.parent)
ALLOWED: Final = {
    # built in, or loaded by any interpreter
    *("abc", "builtins", "codecs", "encodings", "errno", "genericpath", "io", "itertools", "marshal", "os", "posix"),
    *("posixpath", "stat", "sys", "time", "zipimport", "ntpath", "importlib"),
    # the standard library as far as forked processes need it
    *(
        "array",
        "binascii",
        "collections",
        "contextlib",
        "copyreg",
        "ctypes",
        "enum",
        "fcntl",
        "functools",
        "gc",
        "json",
    ),
    *(
        "keyword",
        "math",
        "mmap",
        "operator",
        "re",
        "reprlib",
        "select",
        "selectors",
        "signal",
        "socket",
        "struct",
        "termios",
    ),
    *("types", "typing", "warnings", "zlib"),
    # ours
    "orchestr8",
}
HEAVY: Final = {
    *(
        "asyncio",
        "anyio",
        "yaml",
        "dataclasses",
        "inspect",
        "networkx",
        "pyroute2",
        "subprocess",
        "logging",
        "threading",
    ),
    *("traceback", "linecache", "tokenize", "pathlib", "tempfile", "base64", "random", "pwd", "grp", "email"),
    *("http", "urllib", "h11", "dnslib", "site", "sysconfig"),
}


def loaded() -> set[str]:
    code = (
        f"import sys; sys.path.append({PACKAGE_PARENT!r}); from orchestr8.runtime.forkserver import main; "
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_forkserver_imports_what_is_on_the_list_and_nothing_else() -> None:
    names = {name.partition(".")[0] for name in loaded()} - {"__main__"}
    assert names & HEAVY == set()
    assert {name for name in names if not name.startswith("_")} - ALLOWED == set()


def test_of_ours_it_imports_what_is_forked() -> None:
    packages = {name.split(".")[1] for name in loaded() if name.startswith("orchestr8.")}
    assert packages == {"errors", "kernel", "model", "runtime"}
    assert {name for name in loaded() if name.startswith("orchestr8.model.")} == {"orchestr8.model.sysctl"}
    assert {name for name in loaded() if name.startswith("orchestr8.runtime.")} & {
        "orchestr8.runtime.client", "orchestr8.runtime.channel", "orchestr8.runtime.forkserver_client",
        "orchestr8.runtime.bundle", "orchestr8.runtime.logs", "orchestr8.runtime.sealed",
    } == set()  # fmt: skip
