"""Looks for anomalies: after each cycle for every symbol and timeframe, and where it is asked to."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from data_manager.actors.analytics.anomalies import METHODS, Detection, detect
from data_manager.actors.analytics.anomaly import ANOMALY, Anomaly, audit_log, gravity
from data_manager.actors.analytics.apart import ModelsApart
from data_manager.actors.analytics.bars import Bars, Window
from data_manager.actors.analytics.calculator import Calculator
from data_manager.actors.analytics.conf import AnalyticsConf
from data_manager.actors.analytics.material import Material, end_ms
from data_manager.actors.analytics.models import MODELS, Model
from data_manager.actors.analytics.reading import history
from data_manager.actors.analytics.troubles import Troubles
from data_manager.http.store_thread import StoreThread
from data_manager.storage.protocols import AuditLog, Catalog, MarketStore
from data_manager.storage.records import Candle, Series, Symbol
from data_manager.system.clock import Clock, now_ms
from data_manager.system.errors import ProcessDied, StoreError
from data_manager.system.logs import log
from data_manager.system.messages import Detected, DetectRequested, Found
from data_manager.system.metrics import Metrics

KNOWN = 1_000  # of a symbol's newest findings that are compared with


class Finding(NamedTuple):
    """An anomaly, and its row in the catalog."""

    anomaly: Anomaly
    row: AuditLog


class Detective:
    """Finds anomalies, and keeps each of them once in the catalog."""

    def __init__(
        self,
        market: StoreThread[MarketStore],
        catalog: StoreThread[Catalog],
        conf: AnalyticsConf,
        calculator: Calculator,
        troubles: Troubles,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._market = market
        self._catalog = catalog
        self._conf = conf
        self._calculator = calculator
        self._models = ModelsApart(calculator)
        self._troubles = troubles
        self._clock = clock
        self._metrics = metrics

    async def look(self, materials: Mapping[str, Material], catalog: StoreThread[Catalog]) -> None:
        """Judge the bars of a cycle by every method. What cannot be kept now is found again in the next one."""
        for symbol, each in ((Symbol(name), each) for name, each in materials.items()):
            with self._troubles.of(symbol):
                found: list[Finding] = []
                for timeframe, bars in each.bars.items():
                    detection = await self._judge(bars, timeframe, each.at_ms, METHODS)
                    found += self._findings(symbol, timeframe, detection)
                await self._keep(symbol, gravest(found, self._conf.anomalies.most_rows), catalog)

    async def answer(self, asked: DetectRequested) -> Detected:
        """Judge one symbol's bars by one method, now, and keep what is found."""
        symbol, timeframe, at_ms = Symbol(asked.symbol), asked.timeframe, now_ms(self._clock)
        read = partial(history, symbol=symbol, timeframe=timeframe, conf=self._conf, at_ms=at_ms)
        try:
            bars = await self._market.call(read)
            detection = await self._judge(bars, timeframe, at_ms, [asked.method])
        except (StoreError, ProcessDied) as error:
            return Detected(asked.request_id, problem=str(error))
        if asked.method in detection.reasons:
            note = f"{asked.method} cannot judge {symbol} {timeframe}: {detection.reasons[asked.method]}."
            return Detected(asked.request_id, note=note)
        await self._keep(symbol, self._findings(symbol, timeframe, detection), self._catalog)
        return Detected(asked.request_id, tuple(Found(**msgspec.structs.asdict(each)) for each in detection.anomalies))

    async def close(self) -> None:
        """End the process that holds the models."""
        await self._models.close()

    async def _judge(self, bars: Bars, timeframe: str, at_ms: int, methods: Collection[str]) -> Detection:
        if not MODELS.keys() & methods:
            return await self._calculator.call(partial(judged, bars, timeframe, at_ms, self._conf, methods))
        async with self._models.in_use() as models:
            return await self._calculator.call(partial(judged, bars, timeframe, at_ms, self._conf, methods, models))

    def _findings(self, symbol: Symbol, timeframe: str, detection: Detection) -> list[Finding]:
        series, now = Series(symbol, Candle, timeframe), now_ms(self._clock)
        return [Finding(anomaly, audit_log(series, anomaly, now)) for anomaly in detection.anomalies]

    async def _keep(self, symbol: Symbol, findings: Sequence[Finding], catalog: StoreThread[Catalog]) -> None:
        """Save what is not known yet, and count it."""
        if not findings:
            return
        try:
            new = await catalog.call(partial(keep, symbol, [each.row for each in findings]))
        except StoreError as error:  # presence.py tells that the catalog is away
            log("anomalies_not_kept", logging.DEBUG, symbol=symbol, cause=str(error))
            return
        for anomaly, row in findings:
            if row.audit_id in new:
                self._metrics.inc("data_manager_anomalies_total", method=anomaly.method, severity=anomaly.severity)
        if new:
            log("anomalies_found", symbol=symbol, new=len(new))


def judged(
    bars: Bars,
    timeframe: str,
    at_ms: int,
    conf: AnalyticsConf,
    methods: Collection[str],
    models: Mapping[str, Model] = MODELS,
) -> Detection:
    """The newest bars of a timeframe, judged by those before them."""
    windows = conf.judging(timeframe)
    newest = Window.ending(end_ms(timeframe, at_ms), windows.anomalies)
    return detect(bars, newest, Window.ending(newest.start_ms, windows.training), conf.anomalies, methods, models)


def gravest(findings: Sequence[Finding], most: int) -> list[Finding]:
    """At most so many of one symbol, whatever their timeframes."""
    return sorted(findings, key=lambda each: gravity(each.anomaly))[:most]


def keep(symbol: Symbol, rows: Sequence[AuditLog], catalog: Catalog) -> set[str]:
    """Save those that are new or have become graver or less grave; returns the ids of the new ones."""
    logs, _ = catalog.audit_logs(symbol=symbol, audit_type=ANOMALY, limit=KNOWN)
    known = {each.audit_id: each.severity for each in logs}
    catalog.save_audit_logs([row for row in rows if known.get(row.audit_id) != row.severity])
    return {row.audit_id for row in rows} - known.keys()
