"""Commands: what one replica asks of whichever holds an actor's lease, as rows, taken up by one of them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection, delete, select, update

from data_manager.storage.catalog_database import CatalogDatabase
from data_manager.storage.catalog_rows import cut, insert_new
from data_manager.storage.catalog_tables import commands
from data_manager.storage.database_clock import from_now

VALID_S = 30.0  # nobody takes up an older one; longer than a crashed holder keeps its leases
KEPT_S = 3600.0
MOST = 100  # taken up at a time


class Order(msgspec.Struct, frozen=True):
    """What is to be done with an actor, e.g. `restart`; `body` says more where an action has more to say."""

    command_id: str
    actor: str
    action: str
    requested_by: str
    body: str | None = None


class Outcome(msgspec.Struct, frozen=True):
    """What became of an order: who took it up, and the actor's state afterwards or the problem with it."""

    taken_by: str
    state: str = ""
    problem: str = ""
    is_done: bool = False


class Commands:
    """The commands of the catalog."""

    def __init__(self, database: CatalogDatabase) -> None:
        self._database = database

    def request(self, *orders: Order) -> None:
        """Have them carried out; harmless when repeated. Old ones are forgotten."""

        def request(connection: Connection) -> None:
            old = select(commands.c.command_id).where(commands.c.requested_at < from_now(connection, -KEPT_S))
            if ids := list(connection.scalars(old.limit(MOST))):
                connection.execute(delete(commands).where(commands.c.command_id.in_(ids)))
            fixed = {"requested_at": from_now(connection)}
            insert_new(connection, commands, [msgspec.structs.asdict(order) for order in orders], fixed)

        if orders:
            self._database.write(request)

    def take(self, replica: str, actors: Collection[str]) -> list[Order]:
        """Take up those for these actors that nobody has; all that the replica has taken up and not done, oldest first.

        So what was taken up by a call whose answer was lost comes again with the next one.
        """

        def take(connection: Connection) -> list[Order]:
            fresh = commands.c.requested_at > from_now(connection, -VALID_S)
            free = commands.c.taken_by.is_(None), commands.c.actor.in_(actors), fresh
            if ids := list(connection.scalars(select(commands.c.command_id).where(*free).limit(MOST))):
                # by their keys: what looks for them otherwise would lock out who adds one
                taken = {"taken_by": replica, "taken_at": from_now(connection)}
                connection.execute(update(commands).where(commands.c.command_id.in_(ids), *free).values(taken))
            mine = commands.c.taken_by == replica, commands.c.done_at.is_(None), fresh
            columns = (commands.c[field] for field in Order.__struct_fields__)
            orders = select(*columns).where(*mine).order_by(commands.c.requested_at, commands.c.command_id)
            return [Order(**row) for row in connection.execute(orders).mappings()]

        return self._database.write(take) if actors else []

    def done(self, command_id: str, state: str, problem: str) -> None:
        """It was carried out, or could not be."""

        def done(connection: Connection) -> None:
            values = {"done_at": from_now(connection), "state": state, "problem": cut(problem, None)}
            connection.execute(update(commands).where(commands.c.command_id == command_id).values(values))

        self._database.write(done)

    def outcome(self, command_id: str) -> Outcome | None:
        """What became of it; None while nobody has taken it up."""

        def read(connection: Connection) -> Outcome | None:
            query = select(commands).where(commands.c.command_id == command_id, commands.c.taken_by.is_not(None))
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            is_done = row["done_at"] is not None
            return Outcome(row["taken_by"], row["state"] or "", row["problem"] or "", is_done)

        return self._database.read(read)
