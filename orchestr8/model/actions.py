"""The closed list of things a plan may do. One Action is one backend call that is safe to repeat.

Containers are addressed by name: the name is known while planning, the id is allotted when the backend creates it.
"""

from dataclasses import dataclass

from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.specs import Condition, ContainerSpec, NetworkSpec, Pairs, VolumeSpec


@dataclass(frozen=True, slots=True)
class CreateNetwork:
    stack: StackName
    spec: NetworkSpec

    def __str__(self) -> str:
        return f"CreateNetwork {self.spec.name}"


@dataclass(frozen=True, slots=True)
class RemoveNetwork:
    name: NetworkName

    def __str__(self) -> str:
        return f"RemoveNetwork {self.name}"


@dataclass(frozen=True, slots=True)
class CreateVolume:
    stack: StackName
    spec: VolumeSpec

    def __str__(self) -> str:
        return f"CreateVolume {self.spec.name}"


@dataclass(frozen=True, slots=True)
class RemoveVolume:
    name: VolumeName

    def __str__(self) -> str:
        return f"RemoveVolume {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer:
    """Make the container without starting its program."""

    name: ContainerName
    stack: StackName
    service: ServiceName
    number: int  # 0 for a one-off
    spec: ContainerSpec
    config_hash: str
    oneoff: bool = False
    labels: Pairs = ()  # the user's and Compose's together, sorted

    def __str__(self) -> str:
        return f"CreateContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer:
    """Run the program; a container that runs already is left alone. `by_policy` counts as a restart."""

    name: ContainerName
    by_policy: bool = False

    def __str__(self) -> str:
        return f"StartContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer:
    """Send the stop signal, SIGKILL after the time-out, and return when the program is gone.

    `by_user` marks the container so that no policy starts it again.
    """

    name: ContainerName
    timeout_s: float | None = None  # None: the spec's
    by_user: bool = True

    def __str__(self) -> str:
        return f"StopContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KillContainer:
    """Send one signal, by name as in "SIGHUP", and do not wait."""

    name: ContainerName
    signal: str = "SIGKILL"

    def __str__(self) -> str:
        return f"KillContainer {self.name} {self.signal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseContainer:
    """Have no process of a running container run, until `UnpauseContainer`, a stop or an end by force."""

    name: ContainerName

    def __str__(self) -> str:
        return f"PauseContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseContainer:
    name: ContainerName

    def __str__(self) -> str:
        return f"UnpauseContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer:
    """Remove a container that does not run; `volumes`: its anonymous volumes too."""

    name: ContainerName
    volumes: bool = False

    def __str__(self) -> str:
        return f"RemoveContainer {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFor:
    """Return once all of `containers` satisfy `condition`; fail when they no longer can, or after `timeout_s`.

    Not `required`: a failure is a warning and the plan goes on.
    """

    service: ServiceName
    containers: tuple[ContainerName, ...]
    condition: Condition
    required: bool = True
    timeout_s: float | None = None

    def __str__(self) -> str:
        return f"WaitFor {self.service} {self.condition.value}"


Action = (
    CreateNetwork
    | RemoveNetwork
    | CreateVolume
    | RemoveVolume
    | CreateContainer
    | StartContainer
    | StopContainer
    | KillContainer
    | PauseContainer
    | UnpauseContainer
    | RemoveContainer
    | WaitFor
)
