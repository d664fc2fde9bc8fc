"""The health of every dataset of a symbol, from what its audits know and one look at its newest row each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from data_manager.actors.audit.candles import CandleAudit, length_of
from data_manager.actors.audit.conf import AuditConf
from data_manager.actors.audit.events import EventAudit
from data_manager.actors.audit.funding import EVERY_MS
from data_manager.actors.audit.grid import Range, first_whole, joined, without
from data_manager.actors.audit.health import Band, Measured, band, row, score
from data_manager.actors.audit.keeping import Kept
from data_manager.actors.audit.measured import HOUR_MS, Hourly
from data_manager.actors.audit.rates import FundingAudit
from data_manager.actors.audit.reading import edge_ms
from data_manager.actors.audit.trades import TradeAudit
from data_manager.storage.protocols import Health, MarketStore, Query
from data_manager.storage.records import Candle, Funding, Series, Symbol, Trade, series_of
from data_manager.system.metrics import Metrics

NOTHING = Kept(0, [], [], 0)


class Scoring:
    """Judges what the audits of all types know; remembers each dataset's band, to tell when it changes."""

    def __init__(
        self,
        conf: AuditConf,
        candles: CandleAudit,
        trades: TradeAudit,
        rates: FundingAudit,
        events: EventAudit,
        metrics: Metrics,
    ) -> None:
        self._conf = conf
        self._candles = candles
        self._trades = trades
        self._rates = rates
        self._events = events
        self._metrics = metrics
        self._bands: dict[Series, Band] = {}

    def measure(
        self,
        symbol: Symbol,
        kept: Mapping[Series, Kept],
        lost: Mapping[Series, list[Range]],
        now_ms: int,
        market: MarketStore,
    ) -> list[Health]:
        """One row for each dataset that holds data or should; `lost` is what was silent. Raises StoreError."""
        rows: list[Health] = []
        for series in series_of(symbol):
            newest = newest_ms(series, market)
            expected, missing = self._coverage(series, kept.get(series, NOTHING), lost.get(series, []), now_ms, market)
            if newest is None and not expected:
                continue
            counted = self._counts(series).since(now_ms - self._conf.health.window_hours * HOUR_MS)
            measured = Measured(
                expected=expected,
                missing=missing,
                consistency=counted.consistency,
                age_s=None if newest is None else (now_ms - newest) / 1000,
                interval_s=self._events.interval_s(series) or self._conf.interval_of(series),
                gaps=kept.get(series, NOTHING).lasting,
                repeats=counted.repeats,
            )
            rows.append(self._judge(series, measured, now_ms))
        return rows

    def _judge(self, series: Series, measured: Measured, now_ms: int) -> Health:
        value = score(measured, self._conf.health).value
        labels = {"symbol": series.symbol, "data_type": series.record.dataset, "timeframe": series.timeframe or ""}
        self._metrics.set("data_manager_gaps_open", measured.gaps, **labels)
        if measured.completeness is not None:
            self._metrics.set("data_manager_audit_completeness_ratio", measured.completeness / 100, **labels)
        changed = False
        if value is not None:
            self._metrics.set("data_manager_audit_health_score", value, **labels)
            now_in = band(value, self._conf.health)
            changed = self._bands.get(series, now_in) != now_in
            self._bands[series] = now_in
        return row(series, measured, value, now_ms, changed)

    def _counts(self, series: Series) -> Hourly:
        if series.record is Candle:
            return self._candles.counts(series)
        if series.record is Trade:
            return self._trades.counts(series)
        return self._rates.counts(series) if series.record is Funding else self._events.counts(series)

    def _coverage(
        self, series: Series, kept: Kept, lost: list[Range], now_ms: int, market: MarketStore
    ) -> tuple[int | None, int]:
        """What should be there of the last hours, and how much of it is not, in the series' own unit."""
        since = now_ms - self._conf.health.window_hours * HOUR_MS
        if series.record is Trade:
            missing = self._trades.missing_ids(series, since)
            return self._trades.counts(series).since(since).ids + missing, missing
        if series.record is Candle:
            length = length_of(series)
            span, holes = self._candles.holes(series)
            window = Range(max(span.start_ms, first_whole(min(since, now_ms - 2 * length), length)), span.end_ms)
            return window.bars(length), sum(part.bars(length) for part in absent(window, holes, kept))
        if series.record is Funding:
            span, holes = self._rates.holes(series)
            window = Range(max(span.start_ms, since), span.end_ms)
            missing = len(list(absent(window, holes, kept)))
            return max(window.bars(EVERY_MS), missing), missing
        if self._events.interval_s(series) is None:
            return None, 0
        first = edge_ms(series, market)
        if first is None:
            return None, 0
        window = Range(max(first, since), now_ms)
        return seconds(window), sum(map(seconds, absent(window, lost, NOTHING)))


def absent(window: Range, holes: Iterable[Range], kept: Kept) -> Iterator[Range]:
    """What is missing of a window: the holes and what is lost, but not what the exchange says was never there."""
    every = joined(sorted((*holes, *kept.lost)))
    empty = list(joined(sorted(kept.empty)))
    for hole in every:
        clipped = Range(max(hole.start_ms, window.start_ms), min(hole.end_ms, window.end_ms))
        if clipped.start_ms < clipped.end_ms:
            yield from without(clipped, empty)


def seconds(within: Range) -> int:
    """How long it is."""
    return max(0, within.end_ms - within.start_ms) // 1000


def newest_ms(series: Series, market: MarketStore) -> int | None:
    """The greatest time of its rows; of funding rates, which are predicted too, of those that have settled."""
    if series.record is not Funding:
        return edge_ms(series, market, newest=True)
    settled = market.rows(series.symbol, Funding, Query(equal=(("settled", True),), limit=1, descending=True))
    return settled[0].funding_time if settled else None
