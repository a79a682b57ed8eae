"""The engine's memory: what is written is there for the next engine, and never half."""

import os
import sqlite3
from pathlib import Path

import anyio
import pytest

from orchestr8.engine import database
from orchestr8.engine.intents import Goal, Intent
from orchestr8.engine.store import Store
from orchestr8.errors import OperationFailed, Unsupported
from orchestr8.model.backend import ProbeResult
from orchestr8.model.ids import ContainerId, ContainerName, NetworkName, ServiceName, StackName, VolumeName
from orchestr8.model.observed import BoundPort, Health
from orchestr8.model.records import ContainerRecord, HealthRecord, NetworkRecord, VolumeRecord
from orchestr8.model.specs import ContainerSpec, HealthcheckSpec, MountKind, MountSpec

pytestmark = pytest.mark.anyio

SHOP = StackName("shop")


def container(name: str = "shop-web-1", **changes: object) -> ContainerRecord:
    spec = ContainerSpec(
        image="rootfs:/",
        command=("sleep", "1"),
        environment=(("ÜMLAUT", "ß\x01"),),
        mounts=(MountSpec(kind=MountKind.TMPFS, target="/t"),),
        healthcheck=HealthcheckSpec(test=("CMD", "true"), interval_s=1),
    )
    fields = {
        "id": ContainerId(f"{abs(hash(name)):012x}"[:12]), "name": ContainerName(name), "stack": SHOP,
        "service": ServiceName("web"), "number": 1, "oneoff": False, "config_hash": "1:ab", "spec": spec,
        "labels": {"a": "b"}, "created_at": 1.5, "addresses": {NetworkName("n"): ("10.0.0.2",)},
        "ports": (BoundPort(host_ip="0.0.0.0", published=80, target=8080),),
    }  # fmt: skip
    return ContainerRecord(**(fields | changes))  # type: ignore[arg-type]


NETWORK = NetworkRecord(name=NetworkName("shop_default"), stack=SHOP, key="default", subnet="10.0.0.0/24", bridge="b1")
VOLUME = VolumeRecord(name=VolumeName("shop_data"), stack=SHOP, key="data", labels={"x": "y"})
INTENT = Intent(stack=SHOP, goal=Goal.UP, document={"name": "shop", "services": {}}, stopped=(ServiceName("db"),))


HEALTH = HealthRecord(
    name=ContainerName("shop-web-1"), stack=SHOP, id=container().id, started_at=2.5, status=Health.HEALTHY, failing_streak=1,
    results=(ProbeResult(exit_code=None, output="ß"),),
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


async def test_everything_is_there_for_the_next_engine(path: str) -> None:
    async with Store.open(path) as store:
        await store.save(container(), NETWORK, VOLUME)
        await store.save_intent(INTENT)
    async with Store.open(path) as store:
        assert dict(store.containers) == {"shop-web-1": container()}
        assert dict(store.networks) == {"shop_default": NETWORK}
        assert dict(store.volumes) == {"shop_data": VOLUME}
        assert dict(store.intents) == {"shop": INTENT}


async def test_a_row_is_replaced_by_name_and_forgotten_twice_without_error(path: str) -> None:
    async with Store.open(path) as store:
        await store.save(container())
        await store.save(container(restarts=3))
        assert store.containers[ContainerName("shop-web-1")].restarts == 3
        await store.forget(container())
        await store.forget(container(), NETWORK)
        assert dict(store.containers) == {}
        await store.save_intent(INTENT)
        await store.forget_intent(SHOP)
        await store.forget_intent(SHOP)
    async with Store.open(path) as store:
        assert dict(store.containers) == {}
        assert dict(store.intents) == {}


async def test_health_is_kept_as_long_as_the_container_is(path: str) -> None:
    async with Store.open(path) as store:
        await store.save(container(), HEALTH)
    async with Store.open(path) as store:
        assert dict(store.health) == {"shop-web-1": HEALTH}
        await store.forget(container())
        assert dict(store.health) == {}
    async with Store.open(path) as store:
        assert dict(store.health) == {}


async def test_the_value_in_memory_changes_when_the_row_is_stored_and_not_before(path: str) -> None:
    async with Store.open(path) as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.save, container())
            await anyio.lowlevel.checkpoint()
            assert dict(store.containers) == {}
        assert dict(store.containers) == {"shop-web-1": container()}


async def test_writes_are_stored_in_the_order_in_which_they_were_asked_for(path: str) -> None:
    async with Store.open(path) as store, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(store.save, container(restarts=number))
            await anyio.lowlevel.checkpoint()
    async with Store.open(path) as store:
        assert store.containers[ContainerName("shop-web-1")].restarts == 49


async def test_a_caller_that_is_cancelled_takes_nothing_back(path: str) -> None:
    async with Store.open(path) as store:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.save(container())
        await store.save(NETWORK)
        assert dict(store.containers) == {"shop-web-1": container()}


async def test_a_write_that_fails_changes_neither_file_nor_memory(path: str) -> None:
    async with Store.open(path) as store:
        await store.save(container())
        with pytest.raises(OperationFailed, match="UNIQUE constraint failed") as caught:
            await store._writer.write([("INSERT INTO containers VALUES ('other', ?, 's', '{}')", (container().id,))])
        assert caught.value.code == "O8-912"
        await store.save(NETWORK)
    async with Store.open(path) as store:
        assert dict(store.containers) == {"shop-web-1": container()}
        assert dict(store.networks) == {"shop_default": NETWORK}


async def test_an_intent_is_flushed_to_the_disk_and_a_record_is_not(path: str) -> None:
    async with Store.open(path) as store:
        seen: list[str] = []
        store._writer._connection.set_trace_callback(seen.append)
        await store.save_intent(INTENT)
        await store.save(container())
        store._writer._connection.set_trace_callback(None)
    assert [line for line in seen if "synchronous" in line] == [
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
    ]


def test_only_its_owner_can_read_the_file(path: str) -> None:
    database.open_database(path).close()
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_an_older_file_is_migrated_step_by_step(path: str) -> None:
    database.open_database(path, ["CREATE TABLE a (x)"]).close()
    connection = database.open_database(path, ["CREATE TABLE a (x)", "CREATE TABLE b (y); INSERT INTO b VALUES (7)"])
    assert connection.execute("SELECT y FROM b").fetchall() == [(7,)]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(path: str) -> None:
    database.open_database(path, ["CREATE TABLE a (x)"]).close()
    with pytest.raises(OperationFailed, match="cannot use the engine's state file"):
        database.open_database(path, ["CREATE TABLE a (x)", "CREATE TABLE b (y); nonsense"])
    connection = database.open_database(path, ["CREATE TABLE a (x)"])
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("a",)]
    connection.close()


def test_a_newer_file_is_refused(path: str) -> None:
    database.open_database(path, ["CREATE TABLE a (x)"] * 1).close()
    with pytest.raises(Unsupported, match="written by a newer orchestr8"):
        database.open_database(path, [])


def test_a_file_that_is_no_database_is_refused_with_its_name(path: str) -> None:
    Path(path).write_bytes(b"not a database, but long enough to be looked at as one" * 100)
    with pytest.raises(OperationFailed, match=r"state\.db: file is not a database"):
        Store.open(path)


def test_a_damaged_row_is_told_with_its_table(path: str) -> None:
    connection = sqlite3.connect(path)
    connection.close()
    connection = database.open_database(path)
    connection.execute("INSERT INTO networks VALUES ('n', 's', '{}')")
    connection.close()
    with pytest.raises(OperationFailed, match="is damaged: networks"):
        Store.open(path)


async def test_text_that_is_no_unicode_is_kept_as_it_is(path: str) -> None:
    """A path or variable of other bytes reaches the engine with lone surrogates in it."""
    odd = Intent(stack=SHOP, goal=Goal.UP, document={"name": "shop", "x": "caf\udce9"})
    async with Store.open(path) as store:
        with anyio.fail_after(10):
            await store.save_intent(odd)
    async with Store.open(path) as store:
        assert store.intents[SHOP] == odd


async def test_a_row_that_cannot_be_written_fails_alone(path: str) -> None:
    bad, good = container("shop-\udce9-1"), container("shop-web-1")
    failed = []

    async def save_bad() -> None:
        try:
            await store.save(bad)
        except OperationFailed as error:
            failed.append(error.code)

    async with Store.open(path) as store:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:  # all are in the queue before the thread may take one
                tasks.start_soon(save_bad)
                tasks.start_soon(store.save, good)
                tasks.start_soon(store.save, NETWORK)
            await store.save(VOLUME)
    assert failed == ["O8-912"]
    async with Store.open(path) as store:
        assert list(store.containers) == ["shop-web-1"]
        assert list(store.networks) == ["shop_default"]
        assert list(store.volumes) == ["shop_data"]
