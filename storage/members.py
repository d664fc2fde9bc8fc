"""Members: the replicas that are alive, by the clock of the database that they share, and what runs in each."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, RowMapping, delete, select

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_rows import TEXT_BYTES, insert_new
from data_manager.storage.catalog_tables import members
from data_manager.storage.database_clock import from_now
from data_manager.storage.leases import LEASE_S

FORGOTTEN_S = 3600.0  # how long a replica that is gone stays in the table


class Running(msgspec.Struct, frozen=True, array_like=True):
    """One actor as its own replica sees it."""

    name: str
    state: str
    detail: str = ""
    pid: int | None = None
    restarts: int = 0


class Member(msgspec.Struct, frozen=True):
    """One replica. `leasable` are the leases that it can work under, beside those of symbols."""

    replica: str
    host: str
    pid: int
    version: str
    started_ms: int
    leasable: tuple[str, ...] = ()
    actors: tuple[Running, ...] = ()  # those that it runs, as far as they have room in a row


class Members:
    """The members of the catalog. One that has not been heard of for `lease_s` counts as gone, as its leases do."""

    def __init__(self, database: CatalogDatabase, lease_s: float = LEASE_S) -> None:
        self._database = database
        self._lease_s = lease_s

    def alive(self) -> list[Member]:
        """Those that are, by their names."""

        def read(connection: Connection) -> list[Member]:
            query = select(members).where(members.c.expires_at > from_now(connection)).order_by(members.c.replica)
            return [_member(row) for row in connection.execute(query).mappings()]

        return self._database.read(read)

    def is_here(self, member: Member) -> bool:
        """It is alive, and this is how it is; who has been gone for long is forgotten.

        False where it had not been heard of for so long that others took it for gone.
        """
        mine = members.c.replica == member.replica

        def beat(connection: Connection) -> bool:
            was_gone = select(members.c.expires_at <= from_now(connection)).where(mine)
            here = not connection.scalar(was_gone)
            gone = select(members.c.replica).where(members.c.expires_at < from_now(connection, -FORGOTTEN_S))
            if names := list(connection.scalars(gone)):
                connection.execute(delete(members).where(members.c.replica.in_(names)))
            until = from_now(connection, self._lease_s)
            shown = {"leasable": _text(member.leasable), "actors": fitting(member.actors)}
            fixed = {"host": member.host, "pid": member.pid, "version": member.version, "started_at": member.started_ms}
            insert_new(connection, members, [{"replica": member.replica}], {**fixed, **shown, "expires_at": until})
            connection.execute(members.update().where(mine).values(**shown, expires_at=until))
            return here

        return self._database.write(beat)

    def leaves(self, replica: str) -> None:
        """It counts no more; harmless when repeated."""
        self._database.write(lambda connection: connection.execute(delete(members).where(members.c.replica == replica)))


def fitting(actors: tuple[Running, ...]) -> str:
    """The JSON of them, or of so many of the first as a row has room for."""
    text = _text(actors)
    while len(text.encode()) > TEXT_BYTES:
        actors = actors[: len(actors) * TEXT_BYTES // (len(text.encode()) + len(actors))]
        text = _text(actors)
    return text


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _member(row: RowMapping) -> Member:
    return Member(
        replica=row["replica"],
        host=row["host"],
        pid=row["pid"],
        version=row["version"],
        started_ms=row["started_at"],
        leasable=msgspec.json.decode(row["leasable"], type=tuple[str, ...]),
        actors=msgspec.json.decode(row["actors"], type=tuple[Running, ...]),
    )
