"""Leases: who of several replicas does what is to be done once, by the clock of the database that they share.

A lease is a row. Taking it, renewing it and giving it back are one UPDATE each, so that the database's locks decide
between two who want it; and no host's clock is asked, since no two of them agree. The token grows whenever an owner's
time ends, by a release or by a take-over: what an owner of the past still writes can be told by it (fencing.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Update, case, select, update

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_rows import insert_new
from data_manager.storage.catalog_tables import leases
from data_manager.storage.database_clock import from_now

# By its key and no other way: a scan of the table would wait for the rows of others, one of whom may be paused in a
# transaction of his (fencing.py), and leases of those who are well would expire meanwhile.
CHANGE = update(leases).with_hint("FORCE INDEX (PRIMARY)", dialect_name="mysql")

LEASE_S = 10.0  # after which an owner that has not renewed it may lose it
NOBODY = ""


class Lease(NamedTuple):
    """One lease; `live` until it has expired."""

    name: str
    owner: str  # NOBODY once it was given back
    token: int
    live: bool


class Leases:
    """The leases of the catalog. `lease_s` is for how long one is taken or renewed."""

    def __init__(self, database: CatalogDatabase, lease_s: float = LEASE_S) -> None:
        self._database = database
        self._lease_s = lease_s

    def all(self) -> list[Lease]:
        """Every one there ever was, by name."""

        def read(connection: Connection) -> list[Lease]:
            live = leases.c.expires_at > from_now(connection)
            query = select(leases.c.name, leases.c.owner, leases.c.token, live.label("live")).order_by(leases.c.name)
            rows = connection.execute(query)
            return [Lease(name, owner, token, bool(live)) for name, owner, token, live in rows]

        return self._database.read(read)

    def take(self, owner: str, names: Collection[str]) -> Mapping[str, int]:
        """Take those that are free: new, given back or expired; the tokens of those of `names` that are the owner's.

        One that the owner has already is renewed and keeps its token, also where it had expired and nobody had taken
        it meanwhile.
        """

        def take(connection: Connection) -> Mapping[str, int]:
            self._make(connection, names)
            free = (leases.c.owner == owner) | (leases.c.expires_at <= from_now(connection))
            connection.execute(self._taken(connection, owner).where(leases.c.name.in_(names), free))
            return _tokens(connection, owner, names)

        return self._database.write(take) if names else {}

    def renew(self, owner: str, names: Collection[str]) -> Mapping[str, int]:
        """Renew those that are still the owner's; their tokens. What is missing in them has passed to another."""

        def renew(connection: Connection) -> Mapping[str, int]:
            until = from_now(connection, self._lease_s)
            connection.execute(CHANGE.where(*_owned(owner, names)).values(expires_at=until))
            return _tokens(connection, owner, names)

        return self._database.write(renew) if names else {}

    def release(self, owner: str, names: Collection[str]) -> None:
        """Give back those that are the owner's, for anybody to take at once; harmless when repeated."""

        def release(connection: Connection) -> None:
            given_back = {"owner": NOBODY, "token": leases.c.token + 1, "expires_at": from_now(connection)}
            connection.execute(CHANGE.where(*_owned(owner, names)).values(given_back))

        if names:
            self._database.write(release)

    def _make(self, connection: Connection, names: Collection[str]) -> None:
        """Rows for those that are new, as if they had just been given back."""
        there = set(connection.scalars(select(leases.c.name).where(leases.c.name.in_(names))))
        now = from_now(connection)
        fixed = {"owner": NOBODY, "token": 0, "acquired_at": now, "expires_at": now}
        insert_new(connection, leases, [{"name": name} for name in sorted(names) if name not in there], fixed)

    def _taken(self, connection: Connection, owner: str) -> Update:
        """MySQL assigns in this order, and sees what it has assigned: `owner` must be the old one until the last."""
        same = leases.c.owner == owner
        return CHANGE.ordered_values(
            (leases.c.token, case((same, leases.c.token), else_=leases.c.token + 1)),
            (leases.c.acquired_at, case((same, leases.c.acquired_at), else_=from_now(connection))),
            (leases.c.owner, owner),
            (leases.c.expires_at, from_now(connection, self._lease_s)),
        )


def _owned(owner: str, names: Collection[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return leases.c.owner == owner, leases.c.name.in_(names)


def _tokens(connection: Connection, owner: str, names: Collection[str]) -> Mapping[str, int]:
    query = select(leases.c.name, leases.c.token).where(*_owned(owner, names))
    return dict(connection.execute(query).tuples().all())
