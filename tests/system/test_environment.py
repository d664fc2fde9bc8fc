from hypothesis import given, settings, strategies

from data_manager.system.environment import (
    MAX_TYPOS,
    WITHOUT_EFFECT,
    nearest,
    probably,
    typos,
    why_without_effect,
)
from data_manager.system.settings import Settings

pure = settings(derandomize=True, deadline=None)
words = strategies.text("ABC_", max_size=8)


def distance(a: str, b: str) -> int:
    """The textbook's recursive edit distance."""
    if not a or not b:
        return len(a) + len(b)
    if a[0] == b[0]:
        return distance(a[1:], b[1:])
    return 1 + min(distance(a[1:], b), distance(a, b[1:]), distance(a[1:], b[1:]))


@pure
@given(strategies.text("ABC", max_size=5), strategies.text("ABC", max_size=5), strategies.integers(0, 6))
def test_typos_count_like_the_textbook_up_to_the_limit(a: str, b: str, limit: int):
    assert typos(a, b, limit) == min(distance(a, b), limit + 1)


@pure
@given(words, words, strategies.integers(0, 9))
def test_typos_are_the_same_both_ways_and_zero_only_for_the_same_word(a: str, b: str, limit: int):
    assert typos(a, b, limit) == typos(b, a, limit)
    assert (typos(a, b, limit) == 0) == (a == b)


@pure
@given(words, strategies.sets(words, min_size=1))
def test_a_probable_name_is_within_two_typos_and_none_is_nearer(name: str, known: set[str]):
    guess = probably(name, known)
    least = min(distance(name, other) for other in known)
    assert (guess is None) == (least > MAX_TYPOS)
    assert guess is None or (guess in known and distance(name, guess) == least)


@pure
@given(strategies.text(max_size=8), strategies.sets(words.filter(bool), min_size=1))
def test_there_is_always_a_nearest_name_and_the_order_of_the_known_ones_does_not_matter(name: str, known: set[str]):
    guess = nearest(name, known)
    assert guess in known
    assert guess == nearest(name, sorted(known, reverse=True))
    assert probably(name, known) in (guess, None)


def test_no_setting_is_called_without_effect():
    assert not WITHOUT_EFFECT.keys() & {name.upper() for name in Settings.model_fields}
    assert all(why_without_effect(name.upper()) is None for name in Settings.model_fields)


def test_families_are_known_by_their_prefix():
    assert why_without_effect("KLINES_RETENTION_DAYS_1M") == why_without_effect("TRADES_RETENTION_DAYS")
    assert why_without_effect("SCHEMA_STRICT_MODE")
    assert why_without_effect("PATH") is None
