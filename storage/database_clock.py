"""The database's own clock, which all who share it go by: no host's clock is right for another host."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, func, literal_column, type_coerce

from data_manager.storage.catalog_tables import EpochMs


def from_now(connection: Connection, seconds: float = 0) -> ColumnElement[int]:
    """Now, or so many seconds later, in UTC, in the form of an EpochMs column; the same throughout a statement.

    To the microsecond in MySQL, to the millisecond in SQLite.
    """
    if connection.dialect.name == "sqlite":
        text = func.strftime("%Y-%m-%d %H:%M:%f", "now", f"{seconds:+.3f} seconds")
        # the six digits that SQLAlchemy writes, so that times compare as text
        return type_coerce(text.concat("000"), EpochMs)
    moment = func.timestampadd(literal_column("MICROSECOND"), round(seconds * 1_000_000), func.utc_timestamp(6))
    return type_coerce(moment, EpochMs)
