"""A backend with the few verbs that the contract is written in, and its events."""

import anyio

from orchestr8.model.actions import (
    CreateContainer,
    CreateNetwork,
    RemoveContainer,
    StartContainer,
    StopContainer,
)
from orchestr8.model.backend import Backend
from orchestr8.model.events import Event, EventKind
from orchestr8.model.ids import ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.observed import ContainerState, ObservedContainer
from orchestr8.model.specs import (
    ContainerSpec,
    NetworkSpec,
)

STACK = StackName("contract")
WEB = ContainerName("contract-web-1")
FRONT = NetworkName("contract_front")
DATA = VolumeName("contract_data")
FOREVER = ("sleep", "1000")


class Bench:
    """`events`: all that it has told."""

    def __init__(self, backend: Backend, image: str) -> None:
        self.backend = backend
        self.image = image
        self.events: list[Event] = []
        self._news = anyio.Event()
        backend.subscribe(self._on_event)

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def network(self, subnet: str = "") -> None:
        await self.backend.apply(CreateNetwork(STACK, NetworkSpec(name=FRONT, key="front", subnet=subnet)))

    async def create(
        self,
        *command: str,
        name: ContainerName = WEB,
        stack: StackName = STACK,
        config_hash: str = "1:a",
        **spec: object,
    ) -> None:
        settings = {"stop_timeout_s": 5.0, **spec}
        await self.backend.apply(
            CreateContainer(
                name=name,
                stack=stack,
                service=ServiceName("web"),
                number=1,
                config_hash=config_hash,
                spec=ContainerSpec(image=self.image, command=command or FOREVER, **settings),  # type: ignore[arg-type]
                labels=(("mine", "yes"),),
            )
        )

    async def start(self, *, by_policy: bool = False) -> None:
        await self.backend.apply(StartContainer(name=WEB, by_policy=by_policy))

    async def stop(self, *, by_user: bool = True, timeout_s: float | None = None) -> None:
        await self.backend.apply(StopContainer(name=WEB, by_user=by_user, timeout_s=timeout_s))

    async def remove(self, *, volumes: bool = False) -> None:
        await self.backend.apply(RemoveContainer(name=WEB, volumes=volumes))

    async def see(self, name: ContainerName = WEB) -> ObservedContainer:
        return (await self.backend.observe(STACK)).containers[name]

    async def until_exited(self) -> ObservedContainer:
        """By events, never by time."""
        while True:
            news = self._news = anyio.Event()
            seen = await self.see()
            if seen.state is ContainerState.EXITED:
                return seen
            await news.wait()

    async def until_told(self, kind: EventKind) -> None:
        while kind not in self.kinds():
            self._news = anyio.Event()
            await self._news.wait()

    def kinds(self) -> list[EventKind]:
        return [each.kind for each in self.events]
