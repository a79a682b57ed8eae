"""A container's file system as a whole, against its image: changes, export, commit."""

import io
import re
import tarfile
from collections.abc import Sequence

import pytest

from orchestr8.errors import NotFound
from orchestr8.model.actions import (
    PauseContainer,
    StartContainer,
)
from orchestr8.model.changes import FileChange
from orchestr8.model.events import EventKind
from orchestr8.model.ids import ContainerName
from orchestr8.model.images import CommitSpec
from orchestr8.model.observed import ContainerState
from tests.backends.bench import STACK, WEB, Bench


async def test_an_image_that_containers_are_made_of_is_there(bench: Bench, image: str) -> None:
    await bench.backend.check_image(image)


async def test_who_has_done_nothing_has_changed_nothing(bench: Bench) -> None:
    """What the runtime itself has made in the container's layer is none of its doing."""
    told: list[FileChange] = []

    async def tell(found: Sequence[FileChange]) -> None:
        told.extend(found)

    await bench.create("true")
    await bench.backend.changes(WEB, tell)
    await bench.start()
    await bench.until_exited()
    await bench.backend.changes(WEB, tell)
    assert told == []
    with pytest.raises(NotFound):
        await bench.backend.changes(ContainerName("nobody"), tell)


async def test_an_export_has_the_images_files_whether_it_runs_or_not(bench: Bench) -> None:
    pieces: list[bytes] = []

    async def send(data: bytes) -> None:
        pieces.append(data)

    await bench.create()
    for begin in (bench.start, bench.stop):
        pieces.clear()
        await bench.backend.export(WEB, send)
        with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
            assert {"bin/sh", "bin/sleep"} <= set(archive.getnames())
        await begin()
    with pytest.raises(NotFound):
        await bench.backend.export(ContainerName("nobody"), send)


async def test_what_is_committed_stands_still_meanwhile_unless_it_may_run(bench: Bench) -> None:
    def pauses() -> list[EventKind]:
        return [each.kind for each in bench.events if each.kind in {EventKind.PAUSE, EventKind.UNPAUSE}]

    await bench.create()
    await bench.backend.commit(WEB, CommitSpec())
    await bench.start()
    await bench.backend.commit(WEB, CommitSpec(pause=False))
    assert pauses() == []
    await bench.backend.commit(WEB, CommitSpec())
    assert not (await bench.see()).paused
    await bench.until_told(EventKind.UNPAUSE)
    assert pauses() == [EventKind.PAUSE, EventKind.UNPAUSE]
    await bench.backend.apply(PauseContainer(name=WEB))
    await bench.backend.commit(WEB, CommitSpec())
    assert (await bench.see()).paused, "by somebody else"


async def test_containers_can_be_made_of_what_was_committed(bench: Bench) -> None:
    await bench.create()
    backend = bench.backend
    first = await backend.commit(WEB, CommitSpec(name="docker.io/library/mine:1", message="as created"))
    await bench.start()
    wanted = CommitSpec(name="docker.io/library/mine:1", author="me", changes=("ENV A=1",))
    second = await backend.commit(WEB, wanted)
    assert first.id != second.id
    for committed in (first, second):
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", committed.id)
        assert committed.warnings == ()
    assert (await bench.see()).state is ContainerState.RUNNING
    other = ContainerName("contract-other-1")
    bench.image = "mine:1"
    await backend.check_image(bench.image)
    await bench.create("true", name=other)
    await backend.apply(StartContainer(name=other))
    assert not (await backend.observe(STACK)).containers[other].image_outdated
    await backend.commit(WEB, CommitSpec(name="docker.io/library/mine:1", message="another"))
    found = (await backend.observe(STACK)).containers
    assert {name: each.image_outdated for name, each in found.items()} == {WEB: False, other: True}
    with pytest.raises(NotFound):
        await backend.commit(ContainerName("nobody"), CommitSpec())
