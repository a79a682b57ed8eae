"""Regular expressions of stack files, tried on names in a process that ends in time, whatever the two make of each other.

Docker's expressions take time in proportion to the text. Python's may take years, and nothing else of a process that tries one
goes on meanwhile: it would be the engine, of everybody's containers.
"""

import json
import sys
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from orchestr8.errors import InvalidInput, OperationFailed

_CPU_S: Final = 2
_BYTES: Final = 512 << 20  # of address space
_TIMEOUT_S: Final = 60.0  # on a busy machine, two seconds of work take longer
_PROGRAM: Final = f"""
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({_CPU_S}, {_CPU_S}))
resource.setrlimit(resource.RLIMIT_AS, ({_BYTES}, {_BYTES}))
pattern, names = json.load(sys.stdin)
search = re.compile(pattern).search
json.dump([name for name in names if search(name)], sys.stdout)
"""


def matching(pattern: str, names: Sequence[str]) -> Collection[str]:
    """Those of the names in which the expression is found. Raises InvalidInput for one that does not come to an end."""
    return _matching(pattern, tuple(names)) if names else ()


@lru_cache(maxsize=64)  # replicas have the same
def _matching(pattern: str, names: tuple[str, ...]) -> Collection[str]:
    import subprocess  # which nearly no container needs

    asked = json.dumps([pattern, names]).encode()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM], input=asked, capture_output=True, timeout=_TIMEOUT_S, check=False
        )  # fmt: skip
        return frozenset(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError) as error:  # ValueError: it ended without an answer
        raise InvalidInput(
            f"the regular expression `{pattern[:200]}` takes more than {_CPU_S} s with the names that it is to choose from",
            helps=["a repetition within a repetition may do that, such as (a+)+"],
        ) from error
    except OSError as error:
        raise OperationFailed(f"a regular expression cannot be tried: {error.strerror}") from error
