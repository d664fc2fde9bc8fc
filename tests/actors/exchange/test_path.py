"""The price path: continuous, the same from anywhere, and cheap at any distance."""

from __future__ import annotations

import math
import statistics
from functools import lru_cache

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.actors.exchange.noise import DRAWS, NORMAL, Integers, Noise, Stream, log_normals
from data_manager.actors.exchange.path import BLOCK_LEVELS, STRETCH, PricePath, bridge, day_cycle

PURE = settings(derandomize=True, deadline=None, max_examples=60)
SIGMA = 0.0008
BLOCK = 1 << BLOCK_LEVELS
minutes = st.integers(-BLOCK, 60_000_000)


class CountingNoise(Noise):
    asked = 0

    def draws(self, stream: Stream, index: int, count: int) -> list[int]:
        self.asked += 1
        return super().draws(stream, index, count)

    def table(self, stream: Stream, indices: range, count: int) -> Integers:
        self.asked += len(indices)
        return super().table(stream, indices, count)


class Walk:
    """The path minute by minute."""

    def __init__(self) -> None:
        self._stretch = lru_cache(PricePath(Noise(7, "BTCUSDT"), SIGMA).stretch)

    def minute(self, minute: int) -> tuple[float, float]:
        """Log offset at the start and at the end."""
        index, at = divmod(minute, STRETCH)
        offsets = self._stretch(index).offsets
        return float(offsets[at]), float(offsets[at + 1])


def path() -> Walk:
    return Walk()


@PURE
@given(minutes)
def test_a_minute_ends_where_the_next_one_starts(minute: int) -> None:
    walk = path()
    assert walk.minute(minute)[1] == walk.minute(minute + 1)[0]


@PURE
@given(st.integers(-3, 2000), st.sampled_from([BLOCK, STRETCH]))
def test_it_is_continuous_where_blocks_and_stretches_meet(place: int, length: int) -> None:
    walk, border = path(), place * length
    assert walk.minute(border - 1)[1] == walk.minute(border)[0]


@PURE
@given(minutes)
def test_any_minute_costs_its_stretch_and_the_way_down_to_it(minute: int) -> None:
    noise = CountingNoise(7, "BTCUSDT")
    PricePath(noise, SIGMA).stretch(minute // STRETCH)
    assert noise.asked < BLOCK_LEVELS + STRETCH + 2


def test_steps_grow_with_the_root_of_time_inside_a_block() -> None:
    walk = path()

    def spread(span: int) -> float:
        starts = range(0, 40 * BLOCK, BLOCK // 8)
        return statistics.pstdev(walk.minute(at + span)[0] - walk.minute(at)[0] for at in starts)

    for span in (4, 64, 1024):
        assert 0.6 < spread(span) / (SIGMA * math.sqrt(span)) < 1.8


def test_volatility_follows_the_day() -> None:
    walk = PricePath(Noise(7, "BTCUSDT"), SIGMA)
    volatility = np.concatenate([walk.stretch(index).volatility for index in range(1440 * 40 // STRETCH)])
    nights, afternoons = (volatility.reshape(-1, 1440)[:, hour * 60] for hour in (3, 15))
    assert afternoons.mean() > 1.5 * nights.mean()


def test_offsets_stay_bounded_over_a_century() -> None:
    walk = path()
    offsets = [walk.minute(at)[0] for at in range(0, 100 * 365 * 1440, 2 * BLOCK + 77)]
    assert max(map(abs, offsets)) < 0.6
    assert abs(statistics.fmean(offsets)) < 0.05


def test_draws_are_uniform_independent_and_named() -> None:
    noise = Noise(7, "BTCUSDT")
    row = noise.draws(Stream.BOOK, 1, 4096)
    assert row[:7] == noise.draws(Stream.BOOK, 1, 7)
    assert all(0 <= draw < DRAWS for draw in row)
    assert noise.table(Stream.BOOK, range(3), 7).tolist() == [noise.draws(Stream.BOOK, i, 7) for i in range(3)]
    assert abs(statistics.fmean(row) / DRAWS - 0.5) < 0.02
    others = (
        noise.draws(Stream.BOOK, 2, 7),
        noise.draws(Stream.BASIS, 1, 7),
        Noise(8, "BTCUSDT").draws(Stream.BOOK, 1, 7),
    )
    assert all(other != row[:7] for other in others)


def test_tables_have_the_moments_they_promise() -> None:
    assert abs(statistics.fmean(NORMAL)) < 1e-9
    assert abs(statistics.pstdev(NORMAL) - 1) < 0.01
    assert max(NORMAL) < 3.7
    assert abs(statistics.fmean(log_normals(0.5)) - 1) < 0.01


def test_a_bridge_meets_its_ends_in_the_middle() -> None:
    middles = [bridge(1.0, 3.0, 0.4, normal) for normal in NORMAL]
    assert abs(statistics.fmean(middles) - 2) < 1e-9
    assert abs(statistics.pstdev(middles) - 0.2) < 0.002


def test_the_day_is_on_average_as_lively_as_one() -> None:
    cycle = [day_cycle(minute) for minute in range(1440)]
    assert abs(statistics.fmean(cycle) - 1) < 1e-9
    assert cycle.index(max(cycle)) == 15 * 60
    assert math.isclose(day_cycle(1440 * 20_000 + 17), cycle[17], rel_tol=1e-6)
