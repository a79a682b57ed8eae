"""Fault points before and after every Action, so that a test can SIGKILL a process of ours exactly there. Off when unset.

`ORCHESTR8_FAULT=after:StartContainer:shop-web-1:engine` kills the engine right after that Action was done;
`forkserver` and `shim` (the container's) are the other victims, the engine the default. `*` stands for any Action or
any name. `ORCHESTR8_FAULT_MARK=PATH` lets it happen once only: the file is made before the kill, and a fault with an
existing mark is spent, so that the next engine, which inherits the environment, gets past this point.

`ORCHESTR8_FAULT=@PATH` reads the fault from a file, anew at each point, and removes the file before the kill: so a test
can take one engine and its successors through many faults, one at a time.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from orchestr8.errors import InvalidInput
from orchestr8.model.actions import Action
from orchestr8.plan.plan import target_of

Moment = Literal["before", "after"]
VARIABLE: Final = "ORCHESTR8_FAULT"
MARK_VARIABLE: Final = "ORCHESTR8_FAULT_MARK"
VICTIMS: Final = ("engine", "forkserver", "shim")

Kill = Callable[[str, str], None]  # (victim, name of the Action's target): send SIGKILL


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    moment: str
    action: str
    target: str
    victim: str = "engine"

    def matches(self, moment: Moment, action: Action) -> bool:
        return (
            self.moment == moment
            and self.action in {"*", type(action).__name__}
            and self.target in {"*", target_of(action)}
        )


def parse_fault(text: str) -> Fault:
    moment, action, target, *rest = [*text.split(":"), "", ""][: max(3, text.count(":") + 1)]
    victim = rest[0] if rest else "engine"
    if moment not in {"before", "after"} or not action or not target or len(rest) > 1 or victim not in VICTIMS:
        raise InvalidInput(
            f"{VARIABLE}={text}: not a fault point",
            helps=["write MOMENT:ACTION:TARGET[:VICTIM], such as after:StartContainer:shop-web-1:shim"],
        )
    return Fault(moment=moment, action=action, target=target, victim=victim)


class Faults:
    """Nothing at all unless a fault was asked for: `fault` itself, or whatever the file at `source` says."""

    def __init__(
        self, fault: Fault | None = None, kill: Kill | None = None, *, mark: str = "", source: str = ""
    ) -> None:
        self._fault = fault
        self._kill = kill
        self._mark = mark
        self._source = source

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], kill: Kill) -> "Faults":
        text = environment.get(VARIABLE, "")
        if text.startswith("@"):
            return cls(kill=kill, source=text[1:])
        return cls(parse_fault(text), kill, mark=environment.get(MARK_VARIABLE, "")) if text else cls()

    def hit(self, moment: Moment, action: Action) -> None:
        fault = self._fault or self._read()
        if fault is None or self._kill is None or not fault.matches(moment, action) or self._spent():
            return
        if self._source:
            os.unlink(self._source)
        self._kill(fault.victim, target_of(action))

    def _read(self) -> Fault | None:
        if not self._source:
            return None
        try:
            with open(self._source, encoding="utf-8") as file:
                return parse_fault(file.read().strip())
        except FileNotFoundError:  # spent, or not written yet
            return None

    def _spent(self) -> bool:
        if not self._mark:
            return False
        try:
            os.close(os.open(self._mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            return True
        return False


NO_FAULTS: Final = Faults()
