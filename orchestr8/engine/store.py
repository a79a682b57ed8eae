"""What the engine remembers: rows of what it made (`model.records.Registry`) and of what it was asked for (intents).

All rows are in memory, so reading is a look-up; a write returns once it is stored, and only then does the value in
memory change. Rows are JSON by `model.codec`, in columns only where SQL needs them. Files and threads: `database`.
"""

import json
import sqlite3
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Self, TypeVar

from orchestr8.engine.database import Statement, Writer, open_database
from orchestr8.engine.intents import Intent
from orchestr8.errors import OperationFailed
from orchestr8.model.codec import from_json, to_json
from orchestr8.model.ids import ContainerName, NetworkName, StackName, VolumeName
from orchestr8.model.records import ContainerRecord, DepartedRecord, HealthRecord, NetworkRecord, VolumeRecord

Record = ContainerRecord | NetworkRecord | VolumeRecord | HealthRecord | DepartedRecord
T = TypeVar("T")


class Store:
    """Use as `async with Store.open(path) as store`."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._path = path
        self._containers = _by_name(connection, path, "containers", ContainerRecord)
        self._networks = _by_name(connection, path, "networks", NetworkRecord)
        self._volumes = _by_name(connection, path, "volumes", VolumeRecord)
        self._health = _by_name(connection, path, "health", HealthRecord)
        self._departed = _by_name(connection, path, "departed", DepartedRecord)
        self._intents = {each.stack: each for each in _rows(connection, path, "intents", Intent)}
        self._writer = Writer(connection, path)

    @classmethod
    def open(cls, path: str) -> Self:
        """Blocks, for some milliseconds. Nothing is written before the store is entered."""
        connection = open_database(path)
        try:
            return cls(connection, path)
        except BaseException:
            connection.close()
            raise

    async def __aenter__(self) -> Self:
        self._writer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writer.close()

    @property
    def containers(self) -> Mapping[ContainerName, ContainerRecord]:
        return MappingProxyType(self._containers)

    @property
    def networks(self) -> Mapping[NetworkName, NetworkRecord]:
        return MappingProxyType(self._networks)

    @property
    def volumes(self) -> Mapping[VolumeName, VolumeRecord]:
        return MappingProxyType(self._volumes)

    @property
    def health(self) -> Mapping[ContainerName, HealthRecord]:
        return MappingProxyType(self._health)

    @property
    def departed(self) -> Mapping[ContainerName, DepartedRecord]:
        return MappingProxyType(self._departed)

    @property
    def intents(self) -> Mapping[StackName, Intent]:
        return MappingProxyType(self._intents)

    async def save(self, *records: Record) -> None:
        """Insert or replace, all in one transaction."""

        def apply() -> None:
            for record in records:
                self._rows[_table(record)][record.name] = record

        await self._writer.write([_insert(record) for record in records], apply=apply)

    async def forget(self, *records: Record) -> None:
        """Delete, all in one transaction; a row that is gone already is no error."""

        def apply() -> None:
            for record in records:
                for table in _tables(record):
                    self._rows[table].pop(record.name, None)

        statements = [_delete(table, record) for record in records for table in _tables(record)]
        await self._writer.write(statements, apply=apply)

    async def save_intent(self, intent: Intent, *, durable: bool = True) -> None:
        """Insert or replace, and flush: what is reported as accepted is not lost with the power."""

        def apply() -> None:
            self._intents[intent.stack] = intent

        statement = ("INSERT OR REPLACE INTO intents (stack, data) VALUES (?, ?)", (intent.stack, _text(intent)))
        await self._writer.write([statement], durable=durable, apply=apply)

    async def forget_intent(self, stack: StackName) -> None:
        def apply() -> None:
            self._intents.pop(stack, None)

        await self._writer.write([("DELETE FROM intents WHERE stack = ?", (stack,))], durable=True, apply=apply)

    @property
    def _rows(self) -> dict[str, dict[Any, Any]]:
        return {
            "containers": self._containers, "networks": self._networks, "volumes": self._volumes, "health": self._health,
            "departed": self._departed,
        }  # fmt: skip


_TABLES: Final[dict[type, str]] = {
    ContainerRecord: "containers", NetworkRecord: "networks", VolumeRecord: "volumes", HealthRecord: "health",
    DepartedRecord: "departed",
}  # fmt: skip


def _table(record: Record) -> str:
    return _TABLES[type(record)]


def _tables(record: Record) -> tuple[str, ...]:
    """What goes with it: a container's health goes with the container."""
    return ("containers", "health") if isinstance(record, ContainerRecord) else (_table(record),)


def _insert(record: Record) -> Statement:
    if isinstance(record, ContainerRecord):
        sql = "INSERT OR REPLACE INTO containers (name, id, stack, data) VALUES (?, ?, ?, ?)"
        return sql, (record.name, record.id, record.stack, _text(record))
    sql = f"INSERT OR REPLACE INTO {_table(record)} (name, stack, data) VALUES (?, ?, ?)"  # noqa: S608 - a name of ours
    return sql, (record.name, record.stack, _text(record))


def _delete(table: str, record: Record) -> Statement:
    return f"DELETE FROM {table} WHERE name = ?", (record.name,)  # noqa: S608 - a name of ours


def _text(value: Any) -> str:
    """In ASCII: a lone surrogate, which stands for a byte that is no UTF-8, survives as an escape only."""
    return json.dumps(to_json(value), separators=(",", ":"))


def _rows(connection: sqlite3.Connection, path: str, table: str, kind: type[T]) -> list[T]:
    try:
        return [from_json(kind, json.loads(data)) for (data,) in connection.execute(f"SELECT data FROM {table}")]  # noqa: S608 - a name of ours
    except (sqlite3.Error, TypeError, ValueError, KeyError, AttributeError) as error:
        raise OperationFailed(f"the engine's state file {path} is damaged: {table}: {error}", code="O8-913") from error


def _by_name(connection: sqlite3.Connection, path: str, table: str, kind: type[Any]) -> dict[Any, Any]:
    return {each.name: each for each in _rows(connection, path, table, kind)}
