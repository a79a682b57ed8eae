"""What a container asks for against this machine: numbers of its disks, and what this engine may not give at all."""

import os
import stat
from collections.abc import Iterable, Iterator

from orchestr8.errors import InvalidInput, NotFound
from orchestr8.kernel import capabilities
from orchestr8.model.specs import ContainerSpec
from orchestr8.runtime.confinement import capability_names


def disk_numbers(path: str) -> tuple[int, int]:
    """Major and minor of a block device of this machine."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise NotFound(f"blkio_config names {path}: {error.strerror}", code="O8-412") from error
    if not stat.S_ISBLK(found.st_mode):
        raise InvalidInput(
            f"blkio_config names {path}, which is no block device", code="O8-412", helps=["`lsblk -p` lists them"]
        )
    return os.major(found.st_rdev), os.minor(found.st_rdev)


def not_allowed(spec: ContainerSpec, held: Iterable[str]) -> Iterator[str]:
    """A sentence for what a container is not given, since the engine lacks the right to; `held`: its capabilities."""
    missing = set(capability_names(spec.isolation)).difference(held)
    if missing and spec.isolation.cap_add:
        yield f"this engine itself lacks {', '.join(sorted(missing))}, so the container does too"
    limits = spec.resources
    may_lower = capabilities.read().effective & capabilities.mask(["CAP_SYS_RESOURCE"])
    if limits.oom_score_adj < 0 and not may_lower:
        yield f"oom_score_adj {limits.oom_score_adj} is not in force: the engine lacks CAP_SYS_RESOURCE"
