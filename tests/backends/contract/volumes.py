"""What outlives a container: volumes, and the contents of secrets and configs."""

import pytest

from orchestr8.errors import Conflict, OperationFailed
from orchestr8.model.actions import CreateVolume, RemoveVolume
from orchestr8.model.backend import Content
from orchestr8.model.specs import FileSpec, MountKind, MountSpec, VolumeSpec
from tests.backends.bench import DATA, STACK, WEB, Bench


async def test_a_volume_in_use_is_not_removed(bench: Bench) -> None:
    spec = VolumeSpec(name=DATA, key="data")
    await bench.backend.apply(CreateVolume(STACK, spec))
    await bench.backend.apply(CreateVolume(STACK, spec))  # safe to repeat
    await bench.create(mounts=(MountSpec(kind=MountKind.VOLUME, source=DATA, target="/data"),))
    with pytest.raises(Conflict, match=WEB):
        await bench.backend.apply(RemoveVolume(DATA))
    await bench.remove()
    await bench.backend.apply(RemoveVolume(DATA))
    await bench.backend.apply(RemoveVolume(DATA))  # safe to repeat
    assert (await bench.backend.observe(STACK)).volumes == {}


async def test_an_anonymous_volume_is_carried_over_unless_it_is_removed_too(bench: Bench) -> None:
    mounts = (MountSpec(kind=MountKind.VOLUME, target="/data"),)
    await bench.create(mounts=mounts)
    (first,) = (await bench.backend.observe(STACK)).volumes
    await bench.remove()
    await bench.create(mounts=mounts, config_hash="1:b")
    assert list((await bench.backend.observe(STACK)).volumes) == [first]
    await bench.remove(volumes=True)
    assert (await bench.backend.observe(STACK)).volumes == {}


async def test_a_content_is_needed_until_the_container_is_made_and_kept_as_long_as_one_names_it(bench: Bench) -> None:
    digest = "sha256:" + "1" * 64
    given: dict[str, object] = {
        "files": (FileSpec(name="secrets.key", target="/run/secrets/key"),),
        "contents": (("secrets.key", digest),),
    }
    with pytest.raises(OperationFailed) as caught:
        await bench.create(**given)
    assert caught.value.code == "O8-628"
    await bench.backend.keep_contents(STACK, {digest: Content(b"x", secret=True)})
    await bench.create(**given)
    await bench.backend.drop_contents(STACK, ())
    await bench.remove()
    await bench.create(**given)
    await bench.remove()
    await bench.backend.drop_contents(STACK, ())
    with pytest.raises(OperationFailed):
        await bench.create(**given)
    await bench.remove()
