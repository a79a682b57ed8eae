"""Networks with their subnets, the addresses that containers keep in them, and host ports."""

import pytest

from orchestr8.errors import Conflict, Orchestr8Error
from orchestr8.model.actions import CreateVolume, RemoveNetwork, StartContainer
from orchestr8.model.ids import ContainerName, StackName
from orchestr8.model.observed import ContainerState
from orchestr8.model.specs import AttachmentSpec, MountKind, MountSpec, PortSpec, VolumeSpec
from tests.backends.bench import DATA, FRONT, STACK, WEB, Bench


async def test_a_network_gets_the_subnet_asked_for(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.network("10.222.7.0/24")  # safe to repeat
    seen = (await bench.backend.observe(STACK)).networks[FRONT]
    assert (seen.subnet, seen.requested_subnet, seen.key) == ("10.222.7.0/24", "10.222.7.0/24", "front")


async def test_a_network_without_a_subnet_gets_one(bench: Bench) -> None:
    await bench.network()
    seen = (await bench.backend.observe(STACK)).networks[FRONT]
    assert seen.subnet
    assert seen.requested_subnet == ""


async def test_another_stack_sees_a_network_by_name_only(bench: Bench) -> None:
    await bench.network()
    other = await bench.backend.observe(StackName("other"))
    assert other.networks == {}
    assert FRONT in other.foreign_networks


async def test_what_other_stacks_use_is_told(bench: Bench) -> None:
    """What runs on a network; what mounts a volume, running or not."""
    await bench.network()
    await bench.backend.apply(CreateVolume(STACK, VolumeSpec(name=DATA, key="data")))
    guest, mount = ContainerName("other-web-1"), MountSpec(kind=MountKind.VOLUME, source=DATA, target="/data")
    await bench.create(name=guest, stack=StackName("other"), networks=(AttachmentSpec(network=FRONT),), mounts=(mount,))
    seen = await bench.backend.observe(STACK)
    assert (seen.network_guests, seen.volume_guests) == ({}, {DATA: (guest,)})
    await bench.backend.apply(StartContainer(name=guest))
    seen = await bench.backend.observe(STACK)
    assert (seen.network_guests, seen.volume_guests) == ({FRONT: (guest,)}, {DATA: (guest,)})
    everything = await bench.backend.observe()
    assert (everything.network_guests, everything.volume_guests) == ({}, {})


async def test_a_restart_keeps_the_address(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    before = (await bench.see()).addresses
    await bench.stop()
    await bench.start()
    assert (await bench.see()).addresses == before
    assert before[FRONT][0].startswith("10.222.7.")


async def test_a_network_in_use_is_not_removed(bench: Bench) -> None:
    await bench.network()
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    with pytest.raises(Conflict, match=WEB):
        await bench.backend.apply(RemoveNetwork(FRONT))


async def test_what_had_to_be_killed_starts_again_at_its_address(bench: Bench) -> None:
    await bench.network()
    await bench.create("sh", "-c", "trap '' TERM; sleep 1000", networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    before = await bench.see()
    for by_user in (False, True):
        await bench.stop(by_user=by_user, timeout_s=0)
        await bench.start()
        seen = await bench.see()
        assert (seen.state, seen.addresses) == (ContainerState.RUNNING, before.addresses)


async def test_a_container_moves_to_the_new_subnet_of_a_replaced_network(bench: Bench) -> None:
    await bench.network("10.222.7.0/24")
    await bench.create(networks=(AttachmentSpec(network=FRONT),))
    await bench.start()
    await bench.stop(by_user=False)
    await bench.backend.apply(RemoveNetwork(FRONT))
    await bench.backend.apply(RemoveNetwork(FRONT))  # safe to repeat
    await bench.network("10.222.8.0/24")
    await bench.start()
    assert (await bench.see()).addresses[FRONT][0].startswith("10.222.8.")


async def test_a_free_port_is_chosen_and_told(bench: Bench) -> None:
    await bench.network()
    await bench.create(networks=(AttachmentSpec(network=FRONT),), ports=(PortSpec(target=80, host_ip="127.0.0.1"),))
    await bench.start()
    (port,) = (await bench.see()).ports
    assert (port.host_ip, port.target) == ("127.0.0.1", 80)
    assert port.published > 0


async def test_a_taken_port_fails_the_start_and_leaves_the_container_created(bench: Bench) -> None:
    other = ContainerName("contract-web-2")
    await bench.network()
    attached = (AttachmentSpec(network=FRONT),)
    await bench.create(networks=attached, ports=(PortSpec(target=80, host_ip="127.0.0.1"),))
    await bench.start()
    (port,) = (await bench.see()).ports
    again = PortSpec(target=80, host_ip="127.0.0.1", published_first=port.published, published_last=port.published)
    await bench.create(name=other, networks=attached, ports=(again,))
    with pytest.raises(Orchestr8Error, match=str(port.published)):
        await bench.backend.apply(StartContainer(name=other))
    seen = await bench.see(other)
    assert seen.state is ContainerState.CREATED
    assert str(port.published) in seen.error
