"""The indexes that a collection should have, and what stands in their way.

Made before the store's first write to a collection; a TTL index that differs in its seconds alone is changed. No
index is ever dropped: one that is not as it should be is somebody's, and is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from pymongo import IndexModel
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import OperationFailure

from data_manager.storage.mongo.documents import DOCUMENTS, KINDS, SHARED, Document
from data_manager.storage.mongo.ledger import POSITIONS_INDEX
from data_manager.storage.records import OpenCandle, Record

TTL_NAME = "data_manager_ttl"
RANGE_NAME = "data_manager_by_time"
POSITIONS_NAME = "data_manager_by_position"
DAY_S = 86_400

# Properties of an index that change what it can serve; all else (version, namespace) is the server's business.
_PROPERTIES = ("unique", "sparse", "partialFilterExpression", "collation", "hidden")
_GONE = 26  # NamespaceNotFound: a real server's answer where a collection does not exist


class Index(NamedTuple):
    """An index as it should be."""

    name: str
    keys: tuple[tuple[str, int], ...]
    expire_s: int | None = None

    @property
    def model(self) -> IndexModel:
        """For `create_indexes`."""
        ttl = {} if self.expire_s is None else {"expireAfterSeconds": self.expire_s}
        return IndexModel(list(self.keys), name=self.name, **ttl)


class Difference(NamedTuple):
    """What there is to do for one collection, and what only a person can do."""

    missing: list[Index]
    other_ttl: list[Index]  # right but for their seconds
    findings: list[str]


def indexes_of(record: type[Record], days: int | None) -> list[Index]:
    """Those of a record type's collections: one for pages by time, one for the retention of so many days.

    Rows of one kind lie together, as in every back end: the nearest trade of a kind that never comes is found
    by one seek.
    """
    leads = ("symbol",) if record in SHARED else (KINDS[record].field,) if record in KINDS else ()
    rest = tuple(name for name in DOCUMENTS[record].order if name not in leads and name != "timeframe")
    wanted = [Index(RANGE_NAME, tuple((name, 1) for name in (*leads, *rest)))]
    if days is not None and record is not OpenCandle:
        wanted.append(Index(TTL_NAME, (("stored_at", 1),), days * DAY_S))
    return wanted


LEDGER_INDEXES = [Index(POSITIONS_NAME, POSITIONS_INDEX)]


def compare(collection: str, wanted: Sequence[Index], existing: Iterable[Document]) -> Difference:
    """What is to be done so that the collection has the wanted indexes."""
    there = {index["name"]: index for index in existing}
    by_keys = {_keys(index): index for index in there.values()}
    difference = Difference([], [], [])
    for index in wanted:
        found = there.get(index.name) or by_keys.get(index.keys)
        if found is None:
            difference.missing.append(index)
        elif _keys(found) != index.keys or any(found.get(each) for each in _PROPERTIES) or _ttl_differs(found, index):
            difference.findings.append(
                f"The index {found['name']} of {collection} is not as it should be and was left alone: drop it, "
                f"and one on {', '.join(name for name, _ in index.keys)} is made by the next start."
            )
        elif found.get("expireAfterSeconds") != index.expire_s:
            difference.other_ttl.append(index._replace(name=found["name"]))
    return difference


def ensure(database: Database[Document], name: str, wanted: Sequence[Index]) -> None:
    """Make what is missing, which makes the collection too, and give TTL indexes their seconds."""
    collection = database[name]
    difference = compare(name, wanted, existing(collection))
    if difference.missing:
        collection.create_indexes([index.model for index in difference.missing])
    for index in difference.other_ttl:
        database.command("collMod", name, index={"name": index.name, "expireAfterSeconds": index.expire_s})


def existing(collection: Collection[Document]) -> list[Document]:
    """The indexes of a collection; none where it does not exist."""
    try:
        return [dict(index) for index in collection.list_indexes()]
    except OperationFailure as error:
        if error.code == _GONE:
            return []
        raise


def _keys(index: Document) -> tuple[tuple[str, Any], ...]:
    return tuple(
        (name, int(order) if isinstance(order, int | float) else order) for name, order in index["key"].items()
    )


def _ttl_differs(found: Document, wanted: Index) -> bool:
    """Whether one of them expires rows and the other does not."""
    return ("expireAfterSeconds" in found) != (wanted.expire_s is not None)
