"""The manager's end when its beginning failed; all else of it needs a kernel: tests/system/test_network_engine.py."""

import pytest

from orchestr8.network.firewall.host import Change, HostFirewall
from orchestr8.network.firewall.nft import NftError
from orchestr8.network.firewall.rules import HostPort, Target
from orchestr8.network.manager import NetworkManager


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_one_that_never_started_closes_without_a_word() -> None:
    await NetworkManager(instance="0123abcd").close(remove=True)


class FakeNft:
    """Keeps what it was told, and refuses what names a certain address."""

    def __init__(self, refused: str) -> None:
        self.refused = refused
        self.told: list[str] = []

    def run(self, text: str) -> None:
        if self.refused in text:
            raise NftError("no", text)
        self.told.append(text)


def test_a_port_that_could_not_be_published_does_not_come_with_the_next_change() -> None:
    firewall = HostFirewall("t", "o8-b")
    nft = firewall._context = FakeNft(refused="10.0.0.66")  # type: ignore[assignment]
    firewall._settled = True
    bad, good = Change(), Change()
    bad.add.ports[HostPort("0.0.0.0", 80)] = Target("10.0.0.66", 80)
    good.add.ports[HostPort("0.0.0.0", 81)] = Target("10.0.0.2", 80)
    firewall.queue(bad)
    firewall.apply()
    firewall.queue(good)
    firewall.apply()
    firewall.settle()  # writes all that is known
    assert isinstance(bad.error, NftError)
    assert good.error is None
    assert "ports_any { 81 : 10.0.0.2 . 80 }" in nft.told[-1]
