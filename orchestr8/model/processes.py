"""A process of a container, as the host sees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    pid: int  # here and below: the host's numbers
    parent: int
    uid: int  # the effective one
    terminal: str = ""  # "pts/0"; "": none
    cpu_s: float = 0.0  # of user and system time
    started_s: float = 0.0  # since the machine started
    command: str  # its arguments, as it shows them itself
