"""The ledger: one entry for each write, folded into the symbol's totals from time to time.

An entry `{SYMBOL}:{n}` holds a write's counts and batches, so inserting it commits them at one stroke. Numbers have
no gaps: n is inserted only by who has seen n - 1, and of two writers at once one gets a duplicate key. So who
inserts n knows that nothing was committed since n - 1, or looks at what was. The state of a symbol holds the
totals of the entries up to `folded_through`; the ledger is these plus the entries beyond. Entries stay when they
are folded, until LEDGER_BATCHES newer batches have come, since redelivered positions are looked up in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from bson.int64 import Int64
from pymongo.errors import DuplicateKeyError

from data_manager.storage.ledger import LEDGER_BATCHES, BatchEntry, Counts, Head, LedgerTotals, pack, unpack
from data_manager.storage.mongo.connection import Connection
from data_manager.storage.mongo.documents import Document
from data_manager.storage.records import Symbol
from data_manager.system.clock import Clock
from data_manager.system.errors import StoreUnavailable

LEDGER, STATES = "ledger", "symbols"
POSITIONS_INDEX = (("symbol", 1), ("last_position", 1))
FOLD_EVERY = 50  # entries; a reader of the ledger adds up no more than a few times as many
ATTEMPTS = 20  # at finding the next number while another process writes the same symbol
TRUSTED_S = 5.0  # the newest number that was seen: another owner of the symbol could have used it up since

_DIGITS = 12
_WITHOUT_POSITIONS = {"batches": 0}  # which totals do not need


class Newest(NamedTuple):
    """The newest entry: its number, how many batches were written up to it, and when it was seen."""

    number: int
    weight: int
    at: float


class Ledger:
    """The ledgers of all symbols; `append` is for the one thread that writes."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._newest: dict[Symbol, Newest] = {}

    def begin(self, symbol: Symbol) -> None:
        """Before anything of a write is decided: know the newest entry, so that `append` sees what comes after it.

        Raises StoreUnavailable when another process has written the symbol since this one did: what is known of the
        ledger does not hold any more.
        """
        known = self._newest.get(symbol)
        if known is not None and self._clock.monotonic() - known.at <= TRUSTED_S:
            return
        newest = self._newest[symbol] = self._read_newest(symbol)
        if known is not None and newest.number != known.number:
            raise StoreUnavailable(
                f"another process has written {symbol} to {self._connection.place} meanwhile: try again"
            )

    def append(self, symbol: Symbol, counts: Mapping[str, Counts], batches: Sequence[BatchEntry]) -> None:
        """Commit the counts and batches of one write, after `begin`.

        Raises StoreUnavailable when another process has committed one of the positions meanwhile: what was
        decided for them no longer holds, and a repetition of the write decides anew.
        """
        body = _body(symbol, counts, batches)
        newest = self._newest.pop(symbol)  # back when this has worked
        entries = self._connection.collection(LEDGER)
        for _ in range(ATTEMPTS):
            number, weight = newest.number + 1, newest.weight + max(1, len(body["batches"]))
            try:
                entries.insert_one({"_id": _id(symbol, number), "weight": weight, **body})
            except DuplicateKeyError:
                newest = self._newest_of_others(symbol, newest.number, batches)
                continue
            self._newest[symbol] = Newest(number, weight, self._clock.monotonic())
            if number % FOLD_EVERY == 0:
                self._fold(symbol, weight)
            return
        raise StoreUnavailable(f"other processes keep writing {symbol} to {self._connection.place}: try again")

    def seen(self, symbol: Symbol, incarnation: int, positions: Iterable[int]) -> set[int]:
        """Those of the positions that a kept entry of that incarnation holds."""
        wanted = set(positions)
        if not wanted:
            return wanted
        overlap = {"last_position": {"$gte": min(wanted)}, "first_position": {"$lte": max(wanted)}}
        entries = self._connection.collection(LEDGER).find({"symbol": symbol, **overlap}, {"batches": 1})
        return wanted & _positions(entries, incarnation)

    def totals(self, symbol: Symbol) -> LedgerTotals:
        """The ledger as one consistent snapshot."""
        for _ in range(ATTEMPTS):
            state = self._state(symbol)
            folded = _folded_through(state)
            entries = list(self._after(symbol, folded))
            if not entries or _number(entries[0]) == folded + 1:  # else it was folded, and taken away, meanwhile
                by_type, head = _sum(state, entries)
                return LedgerTotals(by_type, *head)
        raise StoreUnavailable(f"the ledger of {symbol} in {self._connection.place} keeps changing: try again")

    def _read_newest(self, symbol: Symbol) -> Newest:
        entries = self._connection.collection(LEDGER)
        entry = entries.find_one({"_id": _after_id(symbol, 0)}, {"weight": 1}, sort=[("_id", -1)])
        number, weight = (_number(entry), int(entry["weight"])) if entry else (0, 0)
        return Newest(max(number, _folded_through(self._state(symbol))), weight, self._clock.monotonic())

    def _newest_of_others(self, symbol: Symbol, number: int, batches: Sequence[BatchEntry]) -> Newest:
        """The newest entry after `number`; raises StoreUnavailable if one of those brought a position of ours.

        One read for both: what is committed after it takes the number that is tried next.
        """
        others = list(self._connection.collection(LEDGER).find({"_id": _after_id(symbol, number)}).sort("_id", 1))
        for batch in batches:
            if _positions(others, batch.incarnation).intersection(batch.positions):
                raise StoreUnavailable(
                    f"another process has just written MARKET batch {batch.market_seq} of {symbol} to "
                    f"{self._connection.place}: the next attempt counts it as redelivered"
                )
        if not others:
            raise StoreUnavailable(f"the ledger of {symbol} in {self._connection.place} has gone on: try again")
        return Newest(_number(others[-1]), int(others[-1]["weight"]), self._clock.monotonic())

    def _fold(self, symbol: Symbol, newest_weight: int) -> None:
        """Add the entries beyond `folded_through` to the totals, unless somebody else does; drop the oldest."""
        state = self._state(symbol)
        folded = _folded_through(state)
        entries = list(self._after(symbol, folded))
        if not entries:
            return
        by_type, head = _sum(state, entries)
        totals = [{"event_type": name, **msgspec.structs.asdict(counts)} for name, counts in by_type.items()]
        change = {"totals": totals, "head": _stored(head._asdict()), "folded_through": _number(entries[-1])}
        unchanged = {"_id": symbol, "folded_through": folded if folded else {"$in": [0, None]}}
        self._connection.collection(STATES).update_one(unchanged, {"$set": change})
        self._trim(symbol, newest_weight)

    def _trim(self, symbol: Symbol, newest_weight: int) -> None:
        collection = self._connection.collection(LEDGER)
        folded = _folded_through(self._state(symbol))
        oldest = collection.find({"_id": {"$gte": _id(symbol, 0), "$lte": _id(symbol, folded)}}, {"weight": 1})
        spare = [
            entry["_id"]
            for entry in oldest.sort("_id", 1).limit(2 * FOLD_EVERY)
            if entry["weight"] <= newest_weight - LEDGER_BATCHES
        ]
        if spare:
            collection.delete_many({"_id": {"$gte": _id(symbol, 0), "$lte": spare[-1]}})

    def _state(self, symbol: Symbol) -> Document:
        fields = {"totals": 1, "head": 1, "folded_through": 1}
        return self._connection.collection(STATES).find_one({"_id": symbol}, fields) or {}

    def _after(self, symbol: Symbol, number: int) -> Iterable[Document]:
        found = self._connection.collection(LEDGER).find({"_id": _after_id(symbol, number)}, _WITHOUT_POSITIONS)
        return found.sort("_id", 1)


def _id(symbol: Symbol, number: int) -> str:
    """Of an entry: no symbol has a colon, and with leading zeros text sorts like the numbers."""
    return f"{symbol}:{number:0{_DIGITS}}"


def _after_id(symbol: Symbol, number: int) -> Document:
    return {"$gt": _id(symbol, number), "$lte": _id(symbol, 10**_DIGITS - 1)}


def _number(entry: Document) -> int:
    return int(entry["_id"].rpartition(":")[2])


def _folded_through(state: Document) -> int:
    return int(state.get("folded_through", 0))


def _body(symbol: Symbol, counts: Mapping[str, Counts], batches: Sequence[BatchEntry]) -> Document:
    """An entry without its number; of more than LEDGER_BATCHES batches the newest are kept."""
    kept = [batch for batch in batches if batch.market_seq and batch.positions][-LEDGER_BATCHES:]
    body: Document = {
        "symbol": symbol,
        "counts": [{"event_type": name, **msgspec.structs.asdict(delta)} for name, delta in counts.items()],
        "head": _stored(_head(Head(0, 0, 0, 0), batches)._asdict()),
        "batches": [{"incarnation": batch.incarnation, "positions": pack(batch.positions)} for batch in kept],
    }
    if kept:
        body["first_position"] = min(batch.positions[0] for batch in kept)
        body["last_position"] = max(batch.positions[-1] for batch in kept)
    return body


def _sum(state: Document, entries: Iterable[Document]) -> tuple[dict[str, Counts], Head]:
    by_type: dict[str, Counts] = {}
    head = Head(**{name: int(value) for name, value in state.get("head", Head(0, 0, 0, 0)._asdict()).items()})
    lists = [state.get("totals", [])]
    for entry in entries:
        lists.append(entry["counts"])
        market_seq, incarnation, routed_through, last = (int(entry["head"][name]) for name in Head._fields)
        head = head.after(BatchEntry(market_seq, incarnation, routed_through, (last,)))
    for each in (counts for counted in lists for counts in counted):
        delta = Counts(*(int(each[name]) for name in Counts.__struct_fields__))
        by_type[each["event_type"]] = by_type.get(each["event_type"], Counts()) + delta
    return by_type, head


def _head(head: Head, batches: Iterable[BatchEntry]) -> Head:
    for batch in batches:
        head = head.after(batch)
    return head


def _positions(entries: Iterable[Document], incarnation: int) -> set[int]:
    batches = (batch for entry in entries for batch in entry["batches"])
    return {
        position for batch in batches if batch["incarnation"] == incarnation for position in unpack(batch["positions"])
    }


def _stored(numbers: Mapping[str, Any]) -> Document:
    """As 64-bit integers whatever their size, so that their type in the store never changes."""
    return {name: Int64(value) for name, value in numbers.items()}
