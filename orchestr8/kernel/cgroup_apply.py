"""Setting the limits and device rules of one fresh group: which write, and what to say where the kernel cannot do it.

A limit that this kernel or machine lacks is a warning: the container runs without it, as anybody would who never asked.
A value that it refuses is an error: somebody asked for what cannot be.
"""

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from orchestr8.errors import OperationFailed
from orchestr8.kernel import cgroup_files as files
from orchestr8.kernel import device_filter
from orchestr8.kernel.cgroup_limits import Limit, LimitFile
from orchestr8.kernel.device_rules import DevicePolicy, DeviceRule, settle
from orchestr8.kernel.libc import SyscallError

_NO_WEIGHT: Final = "no disk here has a scheduler that weighs (BFQ), and the kernel has no cost model"
_WHY_MISSING: Final = {
    "memory.memsw.limit_in_bytes": "swap is not accounted (kernel parameter swapaccount=1)",
    "memory.swap.max": "swap is not accounted (kernel parameter swapaccount=1)",
    "cpu.rt_runtime_us": "this kernel does not share out real-time (CONFIG_RT_GROUP_SCHED)",
    "cpu.rt_period_us": "this kernel does not share out real-time (CONFIG_RT_GROUP_SCHED)",
    **dict.fromkeys(("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight"), _NO_WEIGHT),
    **dict.fromkeys(("blkio.bfq.weight_device", "blkio.weight_device"), _NO_WEIGHT),
}


def set_limit(directory: str, limit: Limit) -> Iterator[str]:
    """Write a limit; the sentence for one that is not in force. `directory` "": no controller is mounted for it."""
    if not directory:
        yield not_in_force(limit, f"no {limit.controller} controller is mounted")
        return
    if not limit.files:
        yield not_in_force(limit, "cgroup v2 has no such limit")
    for file in limit.files:
        try:
            _write_either(directory, file)
        except FileNotFoundError:
            if not file.optional:
                yield not_in_force(limit, _WHY_MISSING.get(file.name, f"there is no {directory}/{file.name}"))
                return
        except OSError as error:
            why = _why_refused(file, error)
            if not why:
                raise OperationFailed(
                    f"cannot set {limit.name}: {directory}/{file.name}: {error.strerror}",
                    code="O8-411",
                    notes=[f"the kernel was given `{file.text}`"],
                ) from error
            yield not_in_force(limit, why)
            return


def change_limits(wanted: Iterable[tuple[str, Limit]]) -> Iterator[str]:
    """Write limits of a group that has others: some can only be reached once another one is changed (memory and swap
    of v1, period and quota), whichever way they move. So what is refused is tried again after the rest.
    """
    refused: list[tuple[str, Limit]] = []
    for directory, limit in wanted:
        for each in [limit._replace(files=(file,)) for file in limit.files] or [limit]:
            try:
                yield from set_limit(directory, each)
            except OperationFailed:
                refused.append((directory, each))
    for directory, limit in refused:
        yield from set_limit(directory, limit)


def not_in_force(limit: Limit, why: str) -> str:
    return f"{limit.name} is not in force: {why}"


def _write_either(directory: str, file: LimitFile) -> None:
    try:
        files.write(f"{directory}/{file.name}", file.text)
    except FileNotFoundError:
        name, text = file.otherwise
        if not name:
            raise
        files.write(f"{directory}/{name}", text)


def _why_refused(file: LimitFile, error: OSError) -> str:
    """Why this machine cannot do it at all; "" where another value could be."""
    if error.errno == errno.EOPNOTSUPP:
        return _WHY_MISSING.get(file.name, "this kernel does not support it here")
    if file.name.startswith("cpu.rt_") and error.errno == errno.EINVAL:
        return "the groups above have no real-time left to give"
    return ""


def set_devices_v1(directory: str, rules: Sequence[DeviceRule]) -> Iterator[str]:
    """Write the rules; a sentence for each that the group above does not allow."""
    policy = settle(rules)
    # A fresh group is as its parent: in a container it may not allow everything, and then cannot be told to.
    try:
        files.write(f"{directory}/devices.{'allow' if policy.allow else 'deny'}", "a")
    except PermissionError:
        yield "privileged use of devices is not in force: the engine itself may not use every device"
        return
    file = f"{directory}/devices.{'deny' if policy.allow else 'allow'}"
    try:
        files.write(file, *map(str, policy.exceptions))
        return
    except PermissionError:  # to say it again changes nothing
        pass
    for rule in policy.exceptions:
        try:
            files.write(file, str(rule))
        except PermissionError:
            yield f"device rule `{rule}` is not in force: the engine itself may not use this device"


class DevicePrograms:
    """What v2 has instead: a program per policy, loaded once, and attached to each group that has this policy."""

    _KEPT: Final = 8  # policies; containers of one stack rarely have more

    def __init__(self) -> None:
        self._loaded: dict[DevicePolicy, int] = {}

    def attach(self, leaf: str, rules: Sequence[DeviceRule]) -> Iterator[str]:
        policy = settle(rules)
        if policy == DevicePolicy(True, ()):
            return
        try:
            device_filter.attach(self._program(policy), leaf)
        except SyscallError as error:
            # In a user namespace the kernel refuses the program, and device nodes cannot be made there either.
            if error.errno != errno.EPERM or not _in_user_namespace():
                raise
            yield "devices are not filtered: not allowed in a user namespace"

    def _program(self, policy: DevicePolicy) -> int:
        if policy not in self._loaded:
            while len(self._loaded) >= self._KEPT:
                os.close(self._loaded.pop(next(iter(self._loaded))))
            self._loaded[policy] = device_filter.load(policy)
        return self._loaded[policy]

    def close(self) -> None:
        """Let go of the programs; groups keep theirs."""
        while self._loaded:
            os.close(self._loaded.popitem()[1])


def _in_user_namespace() -> bool:
    return files.read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]
