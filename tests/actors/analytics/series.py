"""Bars to calculate with: seeded walks, a few made by hand, and the month of real ones."""

from __future__ import annotations

import csv
import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from data_manager.actors.analytics.bars import Bars, Floats, Window

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
START_MS = 1_640_995_200_000  # 2022-01-01, a Saturday
RECORDING = "btc_perp_1m_2022-01.csv.gz"

needs_recording = pytest.mark.skipif(
    not os.environ.get("MARKET_RECORDINGS"), reason="MARKET_RECORDINGS names no folder: the real month is not there"
)


def walk(
    n: int, *, seed: int = 1, interval_ms: int = HOUR_MS, start_ms: int = START_MS, returns: Floats | None = None
) -> Bars:
    """A random walk whose volatility is what RiskMetrics says it is: each return is normal, given those before it."""
    random = np.random.default_rng(seed)
    shocks = random.standard_normal(n) if returns is None else returns
    variance = 1e-4
    closes = np.empty(n)
    level = np.log(40_000.0)
    for at in range(n):
        step = np.sqrt(variance) * shocks[at] if returns is None else shocks[at]
        level += step
        closes[at] = level
        variance = max(0.94 * variance + 0.06 * step**2, 1e-6)
    close = np.exp(closes)
    open_ = np.concatenate(([40_000.0], close[:-1])) * np.exp(random.normal(0, 1e-4, n))
    reach = np.abs(random.normal(0, 4e-3, (2, n)))
    volume = random.lognormal(3, 0.5, n)
    return Bars(
        interval_ms,
        start_ms + interval_ms * np.arange(n, dtype=np.int64),
        open_,
        np.maximum(open_, close) * np.exp(reach[0]),
        np.minimum(open_, close) * np.exp(-reach[1]),
        close,
        volume,
        volume * close,
        np.round(volume * 50),
        volume * random.uniform(0.3, 0.7, n),
    )


def bars_from(
    close: list[float] | Floats, *, interval_ms: int = HOUR_MS, volume: list[float] | Floats | None = None
) -> Bars:
    """Bars without range or jump: each opens at the close before it."""
    closes = np.asarray(close, dtype=np.float64)
    opens = np.concatenate((closes[:1], closes[:-1]))
    volumes = np.ones(len(closes)) if volume is None else np.asarray(volume, dtype=np.float64)
    return Bars(
        interval_ms,
        START_MS + interval_ms * np.arange(len(closes), dtype=np.int64),
        opens,
        np.maximum(opens, closes),
        np.minimum(opens, closes),
        closes,
        volumes,
        volumes * closes,
        np.ones(len(closes)),
        volumes / 2,
    )


def still(n: int, price: float = 100.0) -> Bars:
    """A price that never moves."""
    return bars_from(np.full(n, price))


def masked(bars: Bars, keep: np.ndarray) -> Bars:
    """Those bars only: what is left out is a hole."""
    return Bars(bars.interval_ms, *(getattr(bars, name)[keep] for name in bars.__struct_fields__[1:]))


def without(bars: Bars, *places: int) -> Bars:
    """The bars with holes at those places."""
    keep = np.ones(len(bars), dtype=bool)
    keep[list(places)] = False
    return masked(bars, keep)


def scaled(bars: Bars, *, price: float = 1.0, volume: float = 1.0) -> Bars:
    """The same market in other units."""
    prices = (each * price for each in (bars.open, bars.high, bars.low, bars.close))
    return Bars(
        bars.interval_ms,
        bars.open_times,
        *prices,
        bars.volume * volume,
        bars.quote_volume * price * volume,
        bars.trades,
        bars.taker_buy * volume,
    )


def unknown_volumes(bars: Bars) -> Bars:
    """The bars of a source that tells prices only."""
    nothing = np.full(len(bars), np.nan)
    return Bars(
        bars.interval_ms,
        bars.open_times,
        bars.open,
        bars.high,
        bars.low,
        bars.close,
        nothing,
        nothing,
        nothing,
        nothing,
    )


def all_of(bars: Bars, label: str = "all") -> Window:
    """The window that these bars fill."""
    return Window(label, int(bars.open_times[0]), int(bars.open_times[-1]) + bars.interval_ms)


def last(bars: Bars, n: int) -> Window:
    """The window of the last `n` bars."""
    end_ms = int(bars.open_times[-1]) + bars.interval_ms
    return Window(f"{n} bars", end_ms - n * bars.interval_ms, end_ms)


def real_month() -> Bars:
    """The recording's minutes: volume as it tells it, in quote units, and nothing else of volumes."""
    with gzip.open(Path(os.environ["MARKET_RECORDINGS"]) / RECORDING, "rt") as lines:
        rows = [
            (int(datetime.fromisoformat(row["timestamp"]).replace(tzinfo=UTC).timestamp()) * 1000, row)
            for row in csv.DictReader(lines)
        ]
    columns = [np.array([float(row[name]) for _, row in rows]) for name in ("open", "high", "low", "close", "volume")]
    nothing = np.full(len(rows), np.nan)
    return Bars(MINUTE_MS, np.array([time for time, _ in rows], dtype=np.int64), *columns, nothing, nothing, nothing)


def longer(bars: Bars, interval_ms: int) -> Bars:
    """Whole bars of a longer interval."""
    slots = bars.open_times // interval_ms
    times, first, counts = np.unique(slots, return_index=True, return_counts=True)
    lasts = first + counts - 1
    sums = [np.add.reduceat(each, first) for each in (bars.volume, bars.quote_volume, bars.trades, bars.taker_buy)]
    whole = Bars(
        interval_ms,
        times * interval_ms,
        bars.open[first],
        np.maximum.reduceat(bars.high, first),
        np.minimum.reduceat(bars.low, first),
        bars.close[lasts],
        *sums,
    )
    return masked(whole, counts == interval_ms // bars.interval_ms)
