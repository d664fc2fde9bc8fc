"""Contract of every back end: any history of writes, reopening and expiry against a dict."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event, Query
from data_manager.storage.records import Depth, Record, Series, Ticker, Trade
from tests.storage.backends import Backend
from tests.storage.examples import BTC, T0, depth, event, received_events, trade

TYPES: tuple[type[Record], ...] = (
    Trade,
    Depth,
    Ticker,
)  # first wins; greatest rank wins, by slot; by kind and slot

small = st.integers(0, 12)


def ticker(kind: str, slot: int, time_ms: int) -> Ticker:
    return Ticker(kind, T0 + slot, T0 + time_ms, "1", "2", "3", "4", "5", "6", None, None, None, slot, time_ms, T0)


records = st.one_of(
    st.builds(
        lambda kind, n, ms: trade(n, kind=kind, time_ms=T0 + ms),
        st.sampled_from(["trade", "aggTrade"]),
        small,
        small,
    ),
    st.builds(depth, st.integers(1, 6), small),
    st.builds(ticker, st.sampled_from(["24hrTicker", "24hrMiniTicker"]), st.integers(0, 4), small),
)


def moment(record: Record) -> int:
    return int(getattr(record, record.time_field))


def key(record: Record) -> tuple[object, ...]:
    return tuple(getattr(record, column) for column in record.key)


class Model:
    """What a store must hold: rows by type and key, in the order they were stored."""

    def __init__(self) -> None:
        self.rows: dict[type[Record], dict[tuple[object, ...], Record]] = {record: {} for record in TYPES}
        self.counts: dict[str, Counts] = {}

    def write(self, event: Event) -> None:
        rows, record = self.rows[type(event.record)], event.record
        there = rows.get(key(record))
        if there is None:
            outcome = Counts(received=1, stored=1)
            rows[key(record)] = record
        elif event.keep_first or record.rank == there.rank:
            outcome = Counts(received=1, duplicate=1)
        elif record.rank > there.rank:
            outcome = Counts(received=1, replaced=1)
            del rows[key(record)]
            rows[key(record)] = record
        else:
            outcome = Counts(received=1, skipped=1)
        self.counts[event.event_type] = self.counts.get(event.event_type, Counts()) + outcome

    def query(self, record: type[Record], query: Query) -> list[Record]:
        order = (record.time_field, *(column for column in record.key if column != record.time_field))
        found = [row for row in self.rows[record].values() if self.matches(row, query)]
        found.sort(key=lambda row: tuple(getattr(row, column) for column in order), reverse=query.descending)
        return found[query.offset : query.offset + query.limit]

    @staticmethod
    def matches(row: Record, query: Query) -> bool:
        after = query.start_ms is None or moment(row) >= query.start_ms
        before = query.end_ms is None or moment(row) < query.end_ms
        return after and before and all(getattr(row, column) == value for column, value in query.equal)

    def expire(self, record: type[Record], stored_before_ms: int) -> int:
        rows = self.rows[record]
        old = [k for k, row in rows.items() if row.stored_ms < stored_before_ms]  # type: ignore[attr-defined]
        for k in old:
            del rows[k]
        return len(old)


@st.composite
def queries(draw: st.DrawFn) -> tuple[type[Record], Query]:
    record = draw(st.sampled_from(TYPES))
    bound = st.none() | small.map(lambda ms: T0 + ms)
    equal: list[tuple[str, str | int | bool]] = []
    if record is Trade and draw(st.booleans()):
        equal.append(("kind", draw(st.sampled_from(["trade", "aggTrade", "other"]))))
    if record is Trade and draw(st.booleans()):
        equal.append(("is_buyer_maker", draw(st.booleans())))
    query = Query(draw(bound), draw(bound), tuple(equal), draw(small), draw(st.integers(0, 5)), draw(st.booleans()))
    return record, query


class StoreHistory(RuleBasedStateMachine):
    """Writes, reopening and expiry; after each step the rows asked for are those of the model."""

    new_backend: ClassVar[Callable[[], Backend]]

    @initialize()
    def begin(self) -> None:
        self.backend = self.new_backend()
        self.store = self.backend.open()
        self.reader = self.backend.open(read_only=True)
        self.model = Model()
        self.now = T0

    @rule(batch=st.lists(records, min_size=1, max_size=8))
    def write(self, batch: list[Record]) -> None:
        self.now += 1
        events = [event(restamped(record, self.now)) for record in batch]
        self.store.write(BTC, received_events(events))
        for each in in_groups(events):
            self.model.write(each)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = self.backend.open()

    @rule(record=st.sampled_from(TYPES), age=st.integers(0, 4), limit=st.integers(1, 6))
    def expire(self, record: type[Record], age: int, limit: int) -> None:
        """Call by call, to the end: which of the rows of one moment go first is the store's affair."""
        before = self.now - age
        due = self.model.expire(record, before)
        while due:
            assert self.store.expire(Series(BTC, record), before, limit) == min(due, limit)
            due -= min(due, limit)
        assert self.store.expire(Series(BTC, record), before, limit) == 0

    @rule(asked=queries())
    def ask(self, asked: tuple[type[Record], Query]) -> None:
        record, query = asked
        expected = self.model.query(record, query)
        assert self.store.rows(BTC, record, query) == expected
        assert self.reader.rows(BTC, record, query) == expected
        matching = len(self.model.query(record, Query(query.start_ms, query.end_ms, query.equal, limit=10**6)))
        assert self.reader.count(BTC, record, query) == matching
        assert self.store.count(BTC, record, query, cap=3) == min(matching, 3)

    @precondition(lambda self: self.model.rows[Trade])
    @rule(start=small, length=small)
    def ask_around(self, start: int, length: int) -> None:
        start_ms, end_ms = T0 + start, T0 + start + length
        between = self.reader.trades_between(BTC, start_ms, end_ms)
        expected = self.model.query(Trade, Query(start_ms, end_ms, limit=10**6))
        assert [(row.time_ms, row.trade_id) for row in between] == sorted((r.time_ms, r.trade_id) for r in between)
        assert sorted(map(key, between), key=repr) == sorted(map(key, expected), key=repr)
        kinds = [(("kind", kind),) for kind in ("trade", "aggTrade")]
        before = [self.model.query(Trade, Query(None, start_ms, kind, 1, 0, True)) for kind in kinds]
        after = [self.model.query(Trade, Query(end_ms, None, kind, 1)) for kind in kinds]
        nearest = tuple(found[0] if found else None for found in (*before, *after))
        assert self.store.neighbours(BTC, start_ms, end_ms) == nearest

    @invariant()
    def ledger_is_that_of_the_model(self) -> None:
        if hasattr(self, "model"):
            assert self.reader.ledger(BTC).by_type == self.model.counts
            assert self.store.ledger(BTC).total.balanced

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.backend.close()


def restamped(record: Record, now_ms: int) -> Record:
    values = {field: getattr(record, field) for field in record.__struct_fields__}
    return type(record)(**{**values, "stored_ms": now_ms})


def in_groups(events: Iterable[Event]) -> list[Event]:
    """A store takes the events of a batch together by type, each type in its order."""
    order: dict[tuple[type[Record], str], list[Event]] = {}
    for each in events:
        order.setdefault((type(each.record), each.event_type), []).append(each)
    return [each for group in order.values() for each in group]


def test_any_history_reads_like_the_model(new_backend: Callable[[], Backend], request: pytest.FixtureRequest) -> None:
    made = new_backend  # a class attribute would become a method

    class History(StoreHistory):
        new_backend = staticmethod(made)

    slow = "mongo" in request.node.name  # its test server writes 50 times slower than SQLite
    TestCase = History.TestCase  # noqa: N806
    TestCase.settings = settings(
        derandomize=True, deadline=None, max_examples=8 if slow else 60, stateful_step_count=15 if slow else 25
    )
    TestCase("runTest").runTest()
