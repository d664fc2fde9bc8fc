"""Merging rows of the exchange's REST side, without transactions: by compare-and-set on whole documents.

What is written is an insert under a free key, or a replacement of exactly the document that was compared: what
another process has written meanwhile is never overwritten unseen, but read and compared in its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pymongo import InsertOne, ReplaceOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from data_manager.storage.merging import meet
from data_manager.storage.mongo.bulks import ATTEMPTS, outrun, refuse, refuse_unencodable
from data_manager.storage.mongo.documents import DOCUMENTS, ROW_ERRORS, Document, Row, collection_of
from data_manager.storage.mongo.grouping import offered
from data_manager.storage.mongo.open_bars import remove_open_bars
from data_manager.storage.mongo.prepared import PreparedCollections
from data_manager.storage.protocols import Difference, Merged
from data_manager.storage.records import Candle, Record, Series, Symbol

Operation = InsertOne[Document] | ReplaceOne[Document]


def merge(collections: PreparedCollections, symbol: Symbol, rows: Sequence[Record]) -> Merged:
    """Merge rows of one type. Raises RowRefused; neighbours of the row that was refused may be written by then."""
    groups = offered(symbol, rows)
    collections.states(symbol)  # by which the symbol is known to hold data
    merged = [_Merge(collections, group.series).of(grouped) for group, grouped in groups.items()]
    remove_open_bars(collections, symbol, [row for row in rows if isinstance(row, Candle)])
    return Merged(
        sum(each.inserted for each in merged),
        sum(each.replaced for each in merged),
        tuple(difference for each in merged for difference in each.differences),
    )


class _Merge:
    """Merges rows of one collection."""

    def __init__(self, collections: PreparedCollections, series: Series) -> None:
        self._name = collection_of(series)
        self._collection: Collection[Document] = collections.rows(series)
        self._documents = DOCUMENTS[series.record]
        self._place = collections.place

    def of(self, rows: Sequence[Row]) -> Merged:
        """Merge them, as often as others come between. What is counted is what the server has counted."""
        inserted = replaced = 0
        told: dict[Difference, None] = {}
        for _ in range(ATTEMPTS):
            there = {found["_id"]: found for found in self._collection.find({"_id": {"$in": [row.id for row in rows]}})}
            rows = [row for row in rows if there.get(row.id) != row.document]
            stored = {key: self._documents.record_of(found) for key, found in there.items()}
            new, better, differences = meet([row.id for row in rows], [row.record for row in rows], stored)
            told.update(dict.fromkeys(differences))
            wanted = [rows[number] for number in (*new, *better)]
            made = self._send(wanted, there)
            inserted, replaced = inserted + made[0], replaced + made[1]
            if sum(made) == len(wanted):
                return Merged(inserted, replaced, tuple(told))
        raise outrun(self._place, self._name)

    def _send(self, rows: Sequence[Row], there: Mapping[str, Document]) -> tuple[int, int]:
        """Write them where what is under their keys is still what is `there`; how many were inserted, and replaced."""
        if not rows:
            return 0, 0
        operations: list[Operation] = [
            ReplaceOne(there[row.id], row.document) if row.id in there else InsertOne(row.document) for row in rows
        ]
        try:
            result = self._collection.bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            refuse(self._place, error, rows)
            return error.details["nInserted"], error.details["nMatched"]
        except ROW_ERRORS:
            refuse_unencodable(rows)
            raise
        return result.inserted_count, result.matched_count
