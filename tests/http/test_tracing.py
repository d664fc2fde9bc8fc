"""The spans of requests, as a collector receives them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from data_manager.actors.measuring import measured
from data_manager.http.store_thread import StoreThread
from data_manager.http.tracing import traced
from data_manager.storage.choice import SQLITE
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from data_manager.system.metrics import Metrics
from data_manager.system.trace_context import SpanId, traceparent
from data_manager.system.tracing import CURRENT, OFF, Tracer
from tests.servers.otel import HttpCollector, ReceivedSpan
from tests.system.telemetry.exporting import exporting

CALLER = SpanId("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)


async def answer(request: web.Request) -> web.Response:
    return web.Response(status=int(request.query.get("status", 200)))


async def whose(request: web.Request) -> web.Response:
    """The trace that its handler runs in."""
    span = CURRENT.get()
    return web.Response(text="" if span is None else span.trace_id)


async def ask(tracer: Tracer, *requests: tuple[str, str], headers: dict[str, str] | None = None) -> list[str]:
    """Serve, send the requests (method, path), and return the bodies."""
    app = web.Application(middlewares=[traced(tracer)])
    for path in ("/data/{pair}", "/health/liveness", "/health", "/metrics", "/metrics/", "/system/events"):
        app.router.add_get(path, answer)
    app.router.add_get("/whose", whose)
    async with TestClient(TestServer(app)) as client:
        bodies = []
        for method, path in requests:
            async with client.request(method, path, headers=headers) as response:
                bodies.append(await response.text())
        return bodies


def spans_of(*requests: tuple[str, str], headers: dict[str, str] | None = None) -> list[ReceivedSpan]:
    with HttpCollector() as collector:
        with exporting(collector.url) as telemetry:
            asyncio.run(ask(telemetry.tracer, *requests, headers=headers))
        return collector.spans()


def test_a_request_is_a_span_by_its_routes_template_in_its_callers_trace() -> None:
    [span] = spans_of(("GET", "/data/BTCUSDT?limit=3"), headers={"traceparent": traceparent(CALLER)})
    assert (span.name, span.trace_id, span.parent_id) == ("GET /data/{pair}", CALLER.trace_id, CALLER.span_id)
    assert span.attributes == {
        "http.request.method": "GET",
        "http.route": "/data/{pair}",
        "url.path": "/data/BTCUSDT",
        "http.response.status_code": 200,
    }
    assert not span.failed


@pytest.mark.parametrize(("status", "failed"), [(404, False), (500, True), (503, True)])
def test_only_our_own_faults_fail_a_span(status: int, failed: bool) -> None:
    [span] = spans_of(("GET", f"/data/X?status={status}"))
    assert (span.attributes["http.response.status_code"], span.failed) == (status, failed)


def test_what_machines_ask_every_few_seconds_is_no_span() -> None:
    asked = ("/health/liveness", "/health", "/metrics", "/metrics/", "/system/events")
    assert spans_of(*(("GET", path) for path in asked)) == []


def test_what_scanners_ask_has_one_name() -> None:
    spans = spans_of(("GET", "/wp-login.php"), ("PROPFIND", "/dav"))
    assert [span.name for span in spans] == ["GET unmatched", "_OTHER unmatched"]


def test_a_handler_runs_inside_its_span() -> None:
    async def scenario() -> None:
        with HttpCollector() as collector, exporting(collector.url) as telemetry:
            headers = {"traceparent": traceparent(CALLER)}
            assert await ask(telemetry.tracer, ("GET", "/whose"), headers=headers) == [CALLER.trace_id]

    asyncio.run(scenario())
    assert asyncio.run(ask(OFF, ("GET", "/whose"))) == [""]


def test_what_a_store_is_asked_on_its_thread_belongs_to_the_request(tmp_path: Path) -> None:
    async def scenario(collector: HttpCollector) -> None:
        with exporting(collector.url) as telemetry:
            clock = SystemClock()
            store = measured(SqliteMarketStore(tmp_path, clock=clock), SQLITE, Metrics(), clock, telemetry.tracer)
            thread = StoreThread("market store", lambda: store)
            with telemetry.tracer.request("GET /data", traceparent(CALLER), {}):
                await thread.call(lambda market: market.symbols())
            await thread.call(lambda market: market.symbols())
            await thread.close()

    with HttpCollector() as collector:
        asyncio.run(scenario(collector))
        [asked], [request] = collector.spans("symbols sqlite"), collector.spans("GET /data")
    assert (asked.trace_id, asked.parent_id) == (CALLER.trace_id, request.span_id)
