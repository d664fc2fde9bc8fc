"""What keeps an owner of the past from writing: the fencing token of its lease.

A lease passes on by an UPDATE of its row (storage/leases.py). So the first statement of a fenced transaction is an
UPDATE of that row too, which finds it only where it still has the token, and changes nothing: it holds the row's lock
until the commit. Whoever wants to take the lease over waits for that; so there is no moment at which the token is
another one and something of the transaction can still be written. A condition in each statement (`... AND EXISTS
(SELECT ... FROM leases ...)`) would lock the same row and no longer, and would have to be thought of in each, and an
upsert of many rows cannot tell whether the condition or the rows were the reason that nothing changed.

One thing a lock does that no condition would: who is paused between two statements of a transaction keeps it. The
server takes it from him before the lease can expire: sessions under a lease are ended when they are silent for
PAUSED_S, and what the paused one then goes on with is a new transaction.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection, update

from data_manager.storage.catalog_tables import leases
from data_manager.system.errors import StaleLease

PAUSED_S = 7.0  # less than a lease lasts without a renewal, and more than lies between two looks at whether all is well


class Fence(NamedTuple):
    """The lease under which somebody writes, by its name and the token it had when it was taken."""

    name: str
    token: int

    def hold(self, connection: Connection) -> None:
        """Keep the lease from passing on before this transaction ends; raises StaleLease where it already has."""
        same = leases.c.name == self.name, leases.c.token == self.token
        # the driver counts rows that were found, though nothing changes in them (CLIENT_FOUND_ROWS)
        if connection.execute(update(leases).where(*same).values(token=leases.c.token)).rowcount != 1:
            raise StaleLease(
                f"the lease {self.name} has passed on since it was taken here (token {self.token}): "
                "nothing was written; whoever holds it now does the work"
            )
