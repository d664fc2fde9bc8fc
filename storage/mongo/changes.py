"""Compare-and-set without a server: what rows under their keys must become, and in which version they were read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pymongo import InsertOne, ReplaceOne

from data_manager.storage.deciding import REPLACED, STORED, Better, outcome
from data_manager.storage.mongo.documents import DOCUMENTS, Document, Row

VERSION = (
    "feed_seq",
    "market_seq",
    "stored_at",
    "source",
    "computed_at",
)  # tells two rows under one key apart, as far as they have it


class Change(NamedTuple):
    """A row that must be written, if what is under its key is still `there`: None for nothing."""

    row: Row
    there: Document | None
    replaced: bool  # whether it takes another row's place, which the row itself will say

    @property
    def operation(self) -> InsertOne[Document] | ReplaceOne[Document]:
        """What makes the change; a key that was taken or a version that has changed leaves it undone."""
        document = {**self.row.document, "replaced": True} if self.replaced else self.row.document
        if self.there is None:
            return InsertOne(document)
        return ReplaceOne({name: self.there[name] for name in ("_id", *VERSION) if name in self.there}, document)


def decide(
    rows: Sequence[Row], there: Mapping[str, Document], left: set[int], better: Better
) -> tuple[dict[int, str], list[Change]]:
    """The outcome of each row by its number, and the changes that follow.

    `there` are the documents under the rows' keys; `left` the positions of those that an earlier attempt at the
    same write left behind, which count as if they were not there yet.
    """
    outcomes: dict[int, str] = {}
    winners: dict[str, Row] = {}
    for row in rows:
        document = there.get(row.id)
        if row.id in winners:
            name = outcome(row.record, winners[row.id].record, better)
        elif document is None:
            name = STORED
        elif document.get("feed_seq") in left:
            name = REPLACED if document.get("replaced") else STORED
        else:
            name = outcome(row.record, DOCUMENTS[type(row.record)].record_of(document), better)
        outcomes[row.number] = name
        if name in (STORED, REPLACED):
            winners[row.id] = row
    changes = []
    for key, row in winners.items():
        document = there.get(key)
        if document is None:
            changes.append(Change(row, None, replaced=False))
        elif document.get("feed_seq") not in left:
            changes.append(Change(row, document, replaced=True))
        elif document["feed_seq"] != row.document["feed_seq"]:
            changes.append(Change(row, document, bool(document.get("replaced"))))
    return outcomes, changes


def same(row: Row, there: Document | None) -> bool:
    """Whether the document is the one that the row was written as."""
    return there is not None and all(there.get(name) == row.document.get(name) for name in VERSION)
