from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.sampling import Predictions, conflate, slot_of
from data_manager.storage.ledger import Counts
from data_manager.storage.protocols import Event
from data_manager.storage.records import BookTicker, Depth, Funding, Record, Ticker, Trade
from data_manager.system.settings import StoragePolicy

pure = settings(derandomize=True, deadline=None, max_examples=200)

FULL = StoragePolicy(mode="full")
HOUR = 3_600_000


def sampled(seconds: int) -> StoragePolicy:
    return StoragePolicy(mode="sampled", seconds=seconds)


def depth(slot: int, update_id: int) -> Event:
    return Event("depthUpdate", Depth(slot, slot, update_id, (), (), 1, 1, 1), keep_first=False)


def book_ticker(slot: int, update_id: int) -> Event:
    return Event("bookTicker", BookTicker(slot, slot, update_id, "1", "1", "1", "1", 1, 1, 1), keep_first=False)


def ticker(kind: str, slot: int, time_ms: int) -> Event:
    texts = ("1",) * 6
    return Event(kind, Ticker(kind, slot, time_ms, *texts, None, None, None, 1, 1, 1), keep_first=False)


def trade(trade_id: int) -> Event:
    return Event("trade", Trade("trade", trade_id, 1, "1", "1", False, trade_id, trade_id, "MARKET", 1, 1, 1))


# -- slots --------------------------------------------------------------------------------------------------


@pure
@given(st.integers(1, 3600), st.integers(0, 2**42), st.integers(0, 2**63 - 1))
def test_a_slot_starts_at_a_multiple_of_its_length_and_holds_its_time(
    seconds: int, time_ms: int, identity: int
) -> None:
    slot = slot_of(sampled(seconds), time_ms, identity)
    assert slot % (seconds * 1000) == 0
    assert slot <= time_ms < slot + seconds * 1000
    assert slot_of(FULL, time_ms, identity) == identity


# -- conflation ---------------------------------------------------------------------------------------------

EVENTS = st.one_of(
    st.builds(depth, st.integers(0, 3), st.integers(0, 5)),
    st.builds(book_ticker, st.integers(0, 3), st.integers(0, 5)),
    st.builds(ticker, st.sampled_from(["24hrTicker", "24hrMiniTicker"]), st.integers(0, 2), st.integers(0, 5)),
    st.builds(trade, st.integers(0, 5)),
)


def key_of(record: Record) -> tuple[object, ...]:
    return type(record), *(getattr(record, field) for field in record.key)


@pure
@given(st.lists(EVENTS, max_size=40))
def test_conflation_keeps_the_best_of_each_key_and_counts_the_others(events: list[Event]) -> None:
    kept, counts = conflate(events)

    rivals: dict[tuple[object, ...], list[Event]] = {}
    for event in events:
        if not event.keep_first:
            rivals.setdefault(key_of(event.record), []).append(event)
    best = {key: max(event.record.rank for event in group) for key, group in rivals.items()}
    firsts = [event for event in events if event.keep_first]
    assert [event for event in kept if event.keep_first] == firsts
    assert {key_of(event.record): event.record.rank for event in kept if not event.keep_first} == best
    assert len(kept) == len(firsts) + len(rivals)

    for label in {event.event_type for event in events}:
        lost = counts.get(label, Counts())
        seen = sum(event.event_type == label for event in events)
        assert seen == sum(event.event_type == label for event in kept) + lost.skipped + lost.duplicate
    assert sum(count.received for count in counts.values()) == 0


def test_an_equal_rank_is_a_copy_and_a_lesser_one_is_sampled_out() -> None:
    _, counts = conflate([depth(0, 7), depth(0, 7), depth(0, 5), depth(0, 9)])
    assert counts == {"depthUpdate": Counts(duplicate=1, skipped=2)}


def test_the_first_of_equal_copies_stays() -> None:
    first, copy = depth(0, 7), depth(0, 7)
    kept, _ = conflate([first, copy])
    assert kept[0] is first


def test_slots_and_kinds_do_not_compete() -> None:
    events = [
        depth(0, 1),
        depth(1, 2),
        book_ticker(0, 3),
        ticker("24hrTicker", 0, 1),
        ticker("24hrMiniTicker", 0, 1),
    ]
    assert conflate(events) == (events, {})


def test_events_that_keep_the_first_row_are_left_to_the_store() -> None:
    assert conflate([trade(1), trade(1)]) == ([trade(1), trade(1)], {})


def test_nothing_conflates_to_nothing() -> None:
    assert conflate([]) == ([], {})


# -- funding predictions ------------------------------------------------------------------------------------


def funding(time: int, event_time: int, rate: str) -> Funding:
    return Funding(time * HOUR, event_time, rate, "1", False, 1, 1, 1)


def test_only_a_new_rate_or_time_is_worth_a_row() -> None:
    predictions = Predictions()
    first, same, other, later = (
        funding(8, 1, "0.0001"),
        funding(8, 2, "0.0001"),
        funding(8, 3, "0.0002"),
        funding(16, 4, "0.0002"),
    )
    for prediction, expected in (
        (first, [first]),
        (same, []),
        (other, [other]),
        (other, []),
        (later, [later]),
    ):
        rows = predictions.worth_writing([prediction])
        assert rows == expected
        predictions.wrote(rows)


def test_what_was_not_committed_is_still_worth_writing() -> None:
    predictions, row = Predictions(), funding(8, 1, "0.0001")
    assert predictions.worth_writing([row]) == [row]
    assert predictions.worth_writing([row]) == [row]
    predictions.wrote([row])
    assert predictions.worth_writing([row]) == []
    predictions.wrote([])
    assert predictions.worth_writing([row]) == []


def test_of_one_batch_the_newest_of_each_funding_time_is_written_in_any_order() -> None:
    rows = [funding(8, 1, "0.1"), funding(8, 3, "0.3"), funding(16, 5, "0.5"), funding(8, 2, "0.2")]
    for batch in (rows, rows[::-1]):
        assert Predictions().worth_writing(batch) == [funding(8, 3, "0.3"), funding(16, 5, "0.5")]
