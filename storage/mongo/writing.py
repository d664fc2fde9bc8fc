"""One write of one symbol, without multi-document transactions: a standalone server has none.

What makes it safe to stop anywhere and begin again is the order of its steps, each of which can be repeated:

1. the minutes that will be dirty are marked, and the newest book is kept;
2. rows are written by natural key, so that a repetition finds them there;
3. derived bars and side rows follow, by compare-and-set on the version that was read;
4. one ledger entry commits the counts of all of it (mongo/ledger.py);
5. open bars that were closed go, and minutes that were derived are clean, unless this write makes them dirty again.

A write that stopped between the first row and the ledger entry leaves rows that no entry accounts for. They are
known by their `feed_seq`: it is a position of this write's batches, and in no ledger entry. The repetition counts
such a row as if it had made it. Whether it had replaced another one the row says itself, in `replaced`. Writes
without batches (core mode, which redelivers nothing) count what is there as duplicates.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from data_manager.storage.deciding import (
    DUPLICATE,
    QUARANTINED,
    SKIPPED,
    STORED,
    Better,
    derived_better,
    greater,
)
from data_manager.storage.ledger import Counts
from data_manager.storage.mongo.bulks import ATTEMPTS, outrun, refuse, refuse_unencodable
from data_manager.storage.mongo.changes import Change, decide, same
from data_manager.storage.mongo.documents import ROW_ERRORS, Document, Row, collection_of
from data_manager.storage.mongo.grouping import Group, grouped, not_an_event, uncounted
from data_manager.storage.mongo.ledger import Ledger
from data_manager.storage.mongo.open_bars import Bar, bar_of, closed_before, closes, remove_open_bars
from data_manager.storage.mongo.prepared import PreparedCollections
from data_manager.storage.mongo.quarantine import QuarantineSpace
from data_manager.storage.protocols import Write, Written
from data_manager.storage.records import Candle, OpenCandle, Quarantined, Symbol, Trade
from data_manager.system.errors import RowRefused


class SymbolWrite:
    """Applies one `Write`; made anew for each."""

    def __init__(
        self,
        collections: PreparedCollections,
        ledger: Ledger,
        space: QuarantineSpace,
        symbol: Symbol,
        write: Write,
    ) -> None:
        self._collections = collections
        self._ledger = ledger
        self._space = space
        self._symbol = symbol
        self._write = write
        self._written: set[str] = set()  # collections that hold rows of this write, so far
        self._closed: set[Bar] = set()  # bars that it has closed, so far

    def apply(self) -> Written:
        """Do all steps. Raises RowRefused for an event that cannot be stored; its neighbours may be, by then."""
        write = self._write
        self._ledger.begin(self._symbol)
        groups = grouped(self._symbol, self._write.events)
        side, derived = uncounted(self._symbol, write.side), uncounted(self._symbol, write.derived)
        book = uncounted(self._symbol, [] if write.book is None else [write.book])
        self._mark(write.dirty_minutes, [row for rows in book.values() for row in rows])
        counts, new_trades = self._events(groups)
        self._put_uncounted(side, greater)
        self._put_uncounted(derived, derived_better)
        if counts or write.batches:
            self._ledger.append(self._symbol, counts, write.batches)
        remove_open_bars(
            self._collections,
            self._symbol,
            [event.record for event in write.events if isinstance(event.record, Candle)],
        )
        clean = write.clean_minutes - write.dirty_minutes
        if clean:
            pulled = {"$pullAll": {"dirty_minutes": sorted(clean)}}
            self._collections.states(self._symbol).update_one({"_id": self._symbol}, pulled)
        return Written(counts, new_trades)

    # -- rows -----------------------------------------------------------------------------------------------

    def _mark(self, minutes: Iterable[int], books: Sequence[Row]) -> None:
        states = self._collections.states(self._symbol)
        dirty = sorted(minutes)
        if dirty:
            change = {"$addToSet": {"dirty_minutes": {"$each": dirty}}}
            states.update_one({"_id": self._symbol}, change, upsert=True)
        for book in books:
            newer = {"$gt": book.document["last_update_id"]}
            states.update_one(
                {"_id": self._symbol, "book.last_update_id": {"$not": newer}}, {"$set": {"book": book.document}}
            )

    def _events(self, groups: Mapping[Group, list[Row]]) -> tuple[dict[str, Counts], int]:
        """Write events; return the counts by event type, and how many trades were new."""
        counts = dict(self._write.counts)
        new_trades = 0
        for group, rows in groups.items():
            kind, keep_first = group.series.record, group.keep_first
            new = 0
            if kind is Quarantined:
                outcomes = self._quarantine(group, rows)
            elif keep_first:
                outcomes, new = self._insert(group, rows)
            else:
                outcomes = self._keep_greatest(group, rows)
            self._written.add(collection_of(group.series))
            if kind is Candle:
                self._closed |= {bar_of(row.record) for row in rows if closes(row.record)}
            if kind is Trade:
                new_trades += new
            labels = (self._write.events[row.number].event_type for row in rows)
            for (label, name), times in Counter(zip(labels, outcomes, strict=True)).items():
                counts[label] = counts.get(label, Counts()) + Counts(**{name: times})
        return counts, new_trades

    def _insert(self, group: Group, rows: Sequence[Row]) -> tuple[list[str], int]:
        """Insert those whose keys are free; return the outcomes, and how many rows this call made."""
        firsts: dict[str, Row] = {}
        for row in rows:
            firsts.setdefault(row.id, row)
        taken = self._send(group, list(firsts.values()))
        mine = (firsts.keys() - taken) | self._left_behind(group, taken)
        outcomes = [STORED if row.id in mine and firsts[row.id] is row else DUPLICATE for row in rows]
        return outcomes, len(firsts) - len(taken)

    def _send(self, group: Group, rows: Sequence[Row]) -> set[str]:
        """Insert rows with different keys in one go; return the ids that were there before."""
        collection = self._collection(group)
        try:
            collection.insert_many([row.document for row in rows], ordered=False)
        except BulkWriteError as error:
            refuse(self._collections.place, error, rows)
            return {rows[each["index"]].id for each in error.details["writeErrors"]}
        except ROW_ERRORS:
            refuse_unencodable(rows)
            raise
        return set()

    def _left_behind(self, group: Group, ids: Iterable[str]) -> set[str]:
        """Those whose rows an earlier attempt at this write left behind."""
        wanted = list(ids)
        if not wanted or not self._write.batches or collection_of(group.series) in self._written:
            return set()
        rows = self._collection(group).find({"_id": {"$in": wanted}}, {"feed_seq": 1})
        found = {row["_id"]: row["feed_seq"] for row in rows}
        unaccounted = self._unaccounted(found.values())
        return {each for each, feed_seq in found.items() if feed_seq in unaccounted}

    def _unaccounted(self, positions: Iterable[int]) -> set[int]:
        """Those that this write brings and no ledger entry knows."""
        asked = set(positions)
        found: set[int] = set()
        brought: defaultdict[int, set[int]] = defaultdict(set)
        for batch in self._write.batches:
            if batch.market_seq:  # without one its positions are not kept
                brought[batch.incarnation].update(asked.intersection(batch.positions))
        for incarnation, here in brought.items():
            found |= here - self._ledger.seen(self._symbol, incarnation, here)
        return found

    def _keep_greatest(self, group: Group, rows: Sequence[Row]) -> list[str]:
        if group.series.record is not OpenCandle:
            return self._put(group, rows, greater, counted=True)
        closed = self._closed | closed_before(
            self._collections, self._symbol, [row.record for row in rows], self._unaccounted
        )
        still_open = [row for row in rows if bar_of(row.record) not in closed]
        outcomes = self._put(group, still_open, greater, counted=True)
        by_index = {row.number: name for row, name in zip(still_open, outcomes, strict=True)}
        return [by_index.get(row.number, SKIPPED) for row in rows]

    def _put_uncounted(self, groups: Mapping[Group, list[Row]], better: Better) -> None:
        for group, rows in groups.items():
            try:
                self._put(group, rows, better)
            except RowRefused as refused:
                raise not_an_event(self._symbol, str(refused)) from refused

    def _put(self, group: Group, rows: Sequence[Row], better: Better, *, counted: bool = False) -> list[str]:
        """Let the better row under each key stay, by compare-and-set; return the outcomes."""
        collection = self._collection(group)
        outcomes: dict[int, str] = {}
        made: dict[str, Row] = {}  # what an attempt brought in, unless another process came before it
        pending = list(rows)
        for _ in range(ATTEMPTS):
            ids = list({row.id for row in pending})
            there = {row["_id"]: row for row in collection.find({"_id": {"$in": ids}})} if ids else {}
            pending = [row for row in pending if not (row.id in made and same(made[row.id], there.get(row.id)))]
            left = set()
            if counted and collection_of(group.series) not in self._written:
                left = self._unaccounted(document["feed_seq"] for document in there.values())
            decided, changes = decide(pending, there, left, better)
            outcomes |= decided
            if not changes or self._change(group, changes):
                return [outcomes[row.number] for row in rows]
            made = {change.row.id: change.row for change in changes}
            pending = [row for row in pending if row.id in made]
        raise outrun(self._collections.place, collection_of(group.series))

    def _change(self, group: Group, changes: Sequence[Change]) -> bool:
        """Make the changes; False when another process came before at one of them."""
        try:
            result = self._collection(group).bulk_write([change.operation for change in changes], ordered=False)
        except BulkWriteError as error:
            refuse(self._collections.place, error, [change.row for change in changes])
            return False
        except ROW_ERRORS:
            refuse_unencodable([change.row for change in changes])
            raise
        return result.inserted_count + result.matched_count == len(changes)

    def _collection(self, group: Group) -> Collection[Document]:
        return self._collections.rows(group.series)

    # -- open bars, quarantine --------------------------------------------------------------------------------

    def _quarantine(self, group: Group, rows: Sequence[Row]) -> list[str]:
        """Keep rows while there is space; what is beyond it is counted only."""
        wanted = {"_id": {"$in": [row.id for row in rows]}}
        there = {row["_id"] for row in self._collection(group).find(wanted, {"_id": 1})}
        left = self._left_behind(group, there)
        free = self._space.free(self._symbol)
        outcomes: list[str] = []
        kept: list[Row] = []
        for row in rows:
            if row.id in there and row.id not in left:
                outcomes.append(DUPLICATE)
                continue
            outcomes.append(QUARANTINED)
            if row.id in left:
                left.remove(row.id)
            elif len(kept) < free:
                kept.append(row)
                there.add(row.id)
        if kept:
            self._send(group, kept)
            self._space.taken(self._symbol, len(kept))
        return outcomes
