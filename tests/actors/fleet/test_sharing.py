"""Who should hold which lease, and that all of them come to hold what they should."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.fleet.sharing import Plan, plan, shares, targets

SYMBOLS = [f"ingest/S{number:02}" for number in range(12)]
SINGLETONS = ("router", "auditor", "backfill", "analytics")
REPLICAS = ["a", "b", "c", "d", "e"]

names = st.lists(st.sampled_from(SYMBOLS), unique=True)
groups_of_replicas = st.sets(st.sampled_from(REPLICAS), min_size=1)
holders = st.dictionaries(st.sampled_from(SYMBOLS), st.sampled_from([*REPLICAS, "gone"]))


def for_all(members: set[str]) -> dict[str, set[str]]:
    return dict.fromkeys(SINGLETONS, members)


def counts(found: Mapping[str, str], members: set[str]) -> list[int]:
    held = Counter(found.values())
    return [held[member] for member in members]


@given(names, groups_of_replicas, holders)
def test_every_lease_has_one_holder_and_nobody_has_two_more_than_another(
    names: list[str], members: set[str], holders: dict[str, str]
) -> None:
    found = shares(names, members, holders)
    assert found.keys() == set(names)
    held = counts(found, members)
    assert max(held) - min(held) <= 1
    assert sum(held) == len(names)


@given(names, groups_of_replicas, holders)
def test_as_few_as_possible_move(names: list[str], members: set[str], holders: dict[str, str]) -> None:
    found = shares(names, members, holders)
    stayed = sum(found[name] == holders.get(name) for name in names)
    least, over = divmod(len(names), len(members))
    had = sorted((sum(holders.get(name) == member for name in names) for member in members), reverse=True)
    best = sum(min(count, least + (rank < over)) for rank, count in enumerate(had))
    assert stayed == best


@given(names, groups_of_replicas, holders, st.randoms(use_true_random=False))
def test_everybody_comes_to_the_same_result(
    names: list[str], members: set[str], holders: dict[str, str], rng: object
) -> None:
    shuffled = list(members)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    other = dict(reversed(holders.items()))
    assert shares(names, members, holders) == shares(names, set(shuffled), other)


@given(names, groups_of_replicas, holders)
def test_what_has_come_about_stays(names: list[str], members: set[str], holders: dict[str, str]) -> None:
    found = shares(names, members, holders)
    assert shares(names, members, found) == found


@given(
    st.lists(st.tuples(groups_of_replicas, st.randoms(use_true_random=False)), min_size=1, max_size=4),
    st.integers(0, len(SYMBOLS)),
)
def test_replicas_that_come_and_go_and_look_at_any_time_end_fairly_and_move_no_more_than_that_takes(
    changes: list[tuple[set[str], object]], many: int
) -> None:
    """Each acts alone, one after the other in any order, on what the leases say at that moment."""
    symbols, held = SYMBOLS[:many], dict[str, str]()
    for members, rng in changes:
        held = {name: owner for name, owner in held.items() if owner in members}  # leases of those gone expire
        moves = 0
        for _ in range(3):
            order = sorted(members)
            rng.shuffle(order)  # type: ignore[attr-defined]
            for me in order:
                mine = plan(me, symbols, for_all(members), members, held)
                for name in mine.give_up:
                    del held[name]
                    moves += 1
                held |= {name: me for name in mine.take if name not in held}
        found = Counter(held.values())
        assert held.keys() == {*symbols, *SINGLETONS}
        for group in (symbols, SINGLETONS):
            each = [sum(held[name] == member for name in group) for member in members]
            assert max(each) - min(each) <= 1
        assert moves <= len(symbols) + len(SINGLETONS)
        assert set(found) <= members
        assert all(plan(me, symbols, for_all(members), members, held).give_up == frozenset() for me in members)


def test_one_replica_has_all() -> None:
    assert plan("a", SYMBOLS, for_all({"a"}), ["a"], {}) == Plan(
        frozenset(), frozenset([*SYMBOLS, *SINGLETONS]), frozenset()
    )


def test_a_second_one_gets_half_once_the_first_has_given_it_up() -> None:
    held = dict.fromkeys([*SYMBOLS, *SINGLETONS], "a")
    members = {"a", "b"}
    mine, other = (plan(me, SYMBOLS, for_all(members), members, held) for me in ("a", "b"))
    assert (len(mine.keep), len(mine.give_up), other.keep) == (8, 8, frozenset())
    assert mine.give_up == other.take
    assert mine.take == other.give_up == frozenset()


def test_what_a_replica_that_is_gone_still_holds_is_tried_for() -> None:
    held = {**dict.fromkeys(SYMBOLS[:6], "a"), **dict.fromkeys(SYMBOLS[6:], "gone")}
    assert plan("a", SYMBOLS, {}, ["a"], held).take == frozenset(SYMBOLS[6:])


def test_a_retired_symbol_is_given_up() -> None:
    held = dict.fromkeys(SYMBOLS, "a")
    assert plan("a", SYMBOLS[1:], {}, ["a"], held).give_up == {SYMBOLS[0]}


def test_what_there_is_once_goes_to_who_can_run_it_and_to_nobody_where_nobody_can() -> None:
    able = {"router": {"a", "b"}, "backfill": {"b"}, "feed": {"gone"}}
    found = targets([], able, ["a", "b"], {"backfill": "a"})
    assert found == {"router": "a", "backfill": "b"}


def assert_even(found: Mapping[str, str], group: Sequence[str]) -> None:
    each = Counter(found[name] for name in group)
    assert max(each.values()) - min(each.values()) <= 1


def test_who_has_many_symbols_gets_no_fewer_singletons_for_that() -> None:
    members = {"a", "b", "c", "d"}
    found = targets(SYMBOLS, for_all(members), members, dict.fromkeys(SYMBOLS, "a"))
    assert_even(found, SYMBOLS)
    assert_even(found, SINGLETONS)
