"""What a command may ask of its plan, one frozen value a verb. The names are those of compose's flags.

`services`: those named by the user; None for all of the stack.
"""

from dataclasses import dataclass

from orchestr8.model.ids import ContainerName, ServiceName
from orchestr8.model.specs import Pairs

Services = tuple[ServiceName, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """Scaling is not here: the document already holds the replicas asked for."""

    services: Services = None
    no_deps: bool = False
    start: bool = True  # False: create only
    force_recreate: bool = False
    no_recreate: bool = False
    renew_anon_volumes: bool = False
    remove_orphans: bool = False
    wait: bool = False
    wait_timeout_s: float | None = None
    timeout_s: float | None = None  # of each stop; None: the container's own


@dataclass(frozen=True, slots=True, kw_only=True)
class DownOptions:
    services: Services = None
    volumes: bool = False
    remove_orphans: bool = False  # also running one-offs, and what another directory brought up under this name
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    services: Services = None
    wait: bool = False
    wait_timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StopOptions:
    services: Services = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartOptions:
    services: Services = None
    no_deps: bool = False  # leave dependents with `restart: true` alone
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KillOptions:
    services: Services = None
    signal: str = "SIGKILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseOptions:
    """Of `unpause`, too."""

    services: Services = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOff:
    """One container of `run`. Its name comes from the caller: chance has no place in a plan."""

    name: ContainerName  # compose's: "<stack>-<service>-run-<12 hex digits>"
    command: tuple[str, ...] | None = None  # None: the service's
    entrypoint: tuple[str, ...] | None = None
    environment: Pairs = ()  # added to the service's
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    stdin: bool = True
    labels: Pairs = ()
    service_ports: bool = False
    use_aliases: bool = False
    no_deps: bool = False
    remove_orphans: bool = False
    rm: bool = False  # remembered as a label; removing is the engine's
    wait_timeout_s: float | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A command that no engine has lived to finish: what was created or started `since`, it had done already."""

    since: float  # Unix time
    options: UpOptions | StartOptions | StopOptions | RestartOptions
