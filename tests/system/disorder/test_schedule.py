"""The faults of a seed, as properties."""

from __future__ import annotations

from collections import Counter, deque
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.commands.disorder.schedule import (
    BROKER,
    DECK,
    FEED_SUBJECT,
    GAP_S,
    HELD_S,
    MESSAGES,
    PARTS,
    REST_S,
    Event,
    Fault,
    schedule,
)
from data_manager.system.lifecycle import BROKER_RESTARTS, BROKER_WITHIN_S
from data_manager.system.settings import Settings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
seeds = st.integers(0, 2**64)
some_symbols = st.lists(st.sampled_from(SYMBOLS), min_size=1, unique=True)
some_parts = st.lists(st.sampled_from(PARTS), unique=True)


@given(seeds, st.floats(0.1, 10), some_symbols, some_parts)
def test_the_same_arguments_give_the_same_faults(
    seed: int, minutes: float, symbols: list[str], parts: list[str]
) -> None:
    assert schedule(seed, minutes, symbols, parts) == schedule(seed, minutes, tuple(symbols), tuple(parts))


@given(seeds, st.floats(0.1, 5), st.floats(0.1, 5))
def test_a_longer_run_begins_with_the_faults_of_a_shorter_one(seed: int, shorter: float, more: float) -> None:
    short = schedule(seed, shorter, SYMBOLS)
    assert schedule(seed, shorter + more, SYMBOLS)[: len(short)] == short


def test_different_seeds_give_different_faults() -> None:
    assert len({schedule(seed, 1, SYMBOLS) for seed in range(100)}) == 100


@given(seeds, st.floats(0.1, 10), some_symbols, some_parts)
def test_faults_come_one_after_the_other_within_the_time_and_hit_only_who_is_there(
    seed: int, minutes: float, symbols: list[str], parts: list[str]
) -> None:
    events = schedule(seed, minutes, symbols, parts)
    ingest = {f"ingest/{symbol}" for symbol in symbols}
    for before, after in pairwise(events):
        assert after.at_s - before.at_s > GAP_S[0] - 0.11  # shown to a tenth
    for each in events:
        assert GAP_S[0] - 0.1 < each.at_s <= minutes * 60 + 0.1
        assert each.target in {*ingest, *parts, "http", BROKER, FEED_SUBJECT}
        assert (each.target == BROKER) == (each.fault in (Fault.BROKER_KILL, Fault.BROKER_STOP))
        assert (each.target == FEED_SUBJECT) == (each.fault is Fault.GARBAGE)
        assert each.target != "http" or each.fault is Fault.KILL
        assert (each.symbol is not None) == (each.target in ingest)
        lasts = each.fault in (Fault.STORE_HELD, Fault.WRITES_REFUSED)
        assert lasts == (each.seconds > 0)
        assert not lasts or (each.symbol in symbols and HELD_S[0] <= each.seconds <= HELD_S[1])
        assert (MESSAGES[0] <= each.messages <= MESSAGES[1]) if each.fault is Fault.GARBAGE else each.messages == 0


@given(seeds, some_symbols)
def test_no_target_is_hit_again_before_it_has_rested_so_that_no_budget_is_used_up(
    seed: int, symbols: list[str]
) -> None:
    last: dict[str, Event] = {}
    hits: dict[str, deque[float]] = {}
    defaults = Settings()
    for each in schedule(seed, 10, symbols):
        if each.target in last:
            assert each.at_s - last[each.target].at_s > REST_S - 0.11
        last[each.target] = each
        recent = hits.setdefault(each.target, deque())
        recent.append(each.at_s)
        while each.at_s - recent[0] > max(BROKER_WITHIN_S, defaults.restart_within_s):
            recent.popleft()
        assert len(recent) < min(BROKER_RESTARTS, defaults.restart_intensity)


@settings(max_examples=300)
@given(seeds)
def test_two_minutes_hold_faults_of_every_kind_and_a_minute_at_least_nine(seed: int) -> None:
    assert {each.fault for each in schedule(seed, 2, SYMBOLS)} == set(Fault) == set(DECK)
    assert len(schedule(seed, 1, SYMBOLS)) >= 9


def test_deaths_are_the_most_frequent_of_all() -> None:
    counts = Counter(each.fault for each in schedule(7, 600, SYMBOLS))
    assert counts.most_common(1)[0][0] is Fault.KILL
