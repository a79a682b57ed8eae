"""What idle containers occupy: proportional set sizes, in which a page shared by n processes counts a n-th in each."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bench.engine import Processes
from bench.figures import render_table

KIB: Final = 1024


class Memory(NamedTuple):
    """PSS of one program's processes while `containers` idle containers run, in KiB."""

    program: str
    containers: int
    parts: dict[str, int]  # shims, inits: all of them together
    shared: dict[str, int]  # what they cannot be without, and serves all: our forkserver
    daemons: dict[str, int]

    @property
    def per_container_mib(self) -> float:
        return (sum(self.parts.values()) + sum(self.shared.values())) / self.containers / KIB

    def to_json(self) -> dict[str, object]:
        return {**self._asdict(), "per_container_mib": round(self.per_container_mib, 3)}


def measure(program: str, containers: int, processes: Processes, shared: Iterable[str] = ()) -> Memory:
    """`shared` names the daemons that are counted with the containers."""
    mine = set(shared)
    daemons = {name: pss_kib(pid) for name, pid in processes.daemons.items()}
    return Memory(
        program=program,
        containers=containers,
        parts={name: sum(map(pss_kib, pids)) for name, pids in processes.helpers().items()},
        shared={name: size for name, size in daemons.items() if name in mine},
        daemons={name: size for name, size in daemons.items() if name not in mine},
    )


def pss_kib(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return parse_pss_kib(file.read())


def parse_pss_kib(rollup: str) -> int:
    """Of proc_pid_smaps(5)'s roll-up. Raises ValueError where it has none."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ValueError("no Pss in it")


def render(found: Iterable[Memory]) -> str:
    rows = [
        [
            each.program,
            str(each.containers),
            f"{each.per_container_mib:.2f} MiB",
            _sizes(each.parts, each.containers),
            _sizes(each.shared),
            _sizes(each.daemons),
        ]
        for each in found
    ]
    header = ["idle memory (PSS)", "containers", "each", "of it, each", "shared by all", "daemons"]
    return render_table(header, rows, right={1, 2})


def _sizes(parts: Mapping[str, int], of: int = 1) -> str:
    return ", ".join(f"{name} {size / of / KIB:.2f}" for name, size in parts.items())
