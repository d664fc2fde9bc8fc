"""Telemetry of a whole tree, from the publisher's trace to the collector; and a collector that goes away."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from prometheus_client.parser import text_string_to_metric_families

from data_manager.system.trace_context import SpanId, traceparent
from tests.servers.load import SUBJECT, Load, publish, trade
from tests.servers.nats import NatsServer
from tests.servers.otel import Collector, GrpcCollector, HttpCollector
from tests.servers.service import RunningService

IN_HEADER = SpanId("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
IN_ENVELOPE = SpanId("1af7651916cd43dd8448eb211c80319d", "c7ad6b7169203332", True)
OF_CLIENT = SpanId("2af7651916cd43dd8448eb211c80319e", "d7ad6b7169203333", True)
PAIRS = "BTCUSDT,ETHUSDT"
PATIENT = "20"  # nobody hangs here, but a busy machine may be slow: nothing is to die unasked


@pytest.fixture(params=[HttpCollector, GrpcCollector], ids=["http", "grpc"])
def collector(request: pytest.FixtureRequest) -> Iterator[Collector]:
    with request.param() as collector:
        yield collector


def telling(collector: Collector, nats_url: str, folder: Path) -> RunningService:
    """The service with telemetry as quick as a test wants it."""
    protocol = "grpc" if isinstance(collector, GrpcCollector) else "http/protobuf"
    return RunningService(
        folder,
        nats_url,
        PAIRS,
        otel_exporter_otlp_endpoint=collector.url,
        otel_exporter_otlp_protocol=protocol,
        otel_metric_export_interval="500",
        heartbeat_miss_s=PATIENT,
    )


def publish_traced(url: str) -> None:
    """Two events with a trace, one in the message's header and one in the envelope, and one without any."""
    enveloped = {**json.loads(trade("ETHUSDT", 2)), "_otel_trace_headers": {"traceparent": traceparent(IN_ENVELOPE)}}

    async def send() -> None:
        client = await nats.connect(url)
        js = client.jetstream()
        await js.publish(SUBJECT, trade("BTCUSDT", 1), headers={"traceparent": traceparent(IN_HEADER)})
        await js.publish(SUBJECT, json.dumps(enveloped).encode())
        await js.publish(SUBJECT, trade("BTCUSDT", 3))
        await client.close()

    asyncio.run(send())


def ask(service: RunningService, path: str) -> None:
    """A request in a trace of the client's."""
    port = json.loads((service.data_dir / "http.json").read_text())["api_port"]
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"traceparent": traceparent(OF_CLIENT)})
    with urllib.request.urlopen(request, timeout=5) as response:
        assert response.status == 200


def exposed(service: RunningService) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The counters of `/metrics`, those of histograms too."""
    status, page = service.request("GET", "/metrics", port="metrics_port")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page.decode())
        if family.type in ("counter", "histogram")
        for sample in family.samples
        if sample.name.startswith("data_manager_")
    }


def names(service: RunningService) -> set[str]:
    """The families of `/metrics` that are ours."""
    _, page = service.request("GET", "/metrics", port="metrics_port")
    lines = (line for line in page.decode().splitlines() if line.startswith("# TYPE data_manager_"))
    return {line.split()[2] for line in lines}


def linked(collector: Collector, name: str, span: SpanId) -> bool:
    """Whether a span of that name has arrived that names this one."""
    return any((span.trace_id, span.span_id) in found.links for found in collector.spans(name))


@pytest.mark.faults
def test_a_collector_sees_the_publishers_trace_go_through_the_tree(collector: Collector, tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server, telling(collector, server.url, tmp_path) as service:
        publish_traced(server.url)
        for symbol, span in (("BTCUSDT", IN_HEADER), ("ETHUSDT", IN_ENVELOPE)):
            service.wait(lambda span=span: linked(collector, f"route {SUBJECT}", span))
            service.wait(lambda s=symbol, span=span: linked(collector, f"process data_manager.market.{s}", span))
        ask(service, "/data/trades?pair=BTCUSDT")
        service.wait(lambda: collector.spans("GET /data/trades"))
        [served] = collector.spans("GET /data/trades")
        assert (served.trace_id, served.parent_id) == (OF_CLIENT.trace_id, OF_CLIENT.span_id)
        [process] = collector.spans("process data_manager.market.BTCUSDT")
        writes = {(span.trace_id, span.parent_id) for span in collector.spans("write sqlite")}
        assert (IN_HEADER.trace_id, process.span_id) in writes
        assert process.resource["data_manager.actor"] == "ingest/BTCUSDT"
        assert process.resource["process.pid"] == service.actor("ingest/BTCUSDT")["pid"]
        service.wait(lambda: names(service) <= set(collector.metrics()))
        service.wait(lambda: {log.resource["data_manager.actor"] for log in collector.logs("nats_bound")} >= {"router"})
        assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert {line["event"] for line in lines if "telemetry" in line["event"]} == {"telemetry_received"}


@pytest.mark.faults
def test_ingest_goes_on_while_the_collector_is_away(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as server,
        HttpCollector() as collector,
        telling(collector, server.url, tmp_path) as service,
    ):
        service.wait(lambda: collector.logs("telemetry_received"))
        collector.stop()
        pids = {name: actor["pid"] for name, actor in service.actors().items()}
        with Load(server.url, PAIRS.split(","), rate=400) as load:
            publish_traced(server.url)
            service.wait(lambda: "telemetry_not_received" in service.log.read_text(), 60)
            service.wait(lambda: load.sent > 500, 60)
        service.wait(lambda: all(service.ledger(pair).total.stored >= load.sent for pair in PAIRS.split(",")), 60)
        assert {name: actor["pid"] for name, actor in service.actors().items()} == pids
        service.wait(lambda: any(name == "data_manager_telemetry_dropped_total" for name, _ in exposed(service)), 30)
        collector.start()
        service.wait(lambda: service.log.read_text().count('"telemetry_received"') == 2, 60)
        assert service.stop() == 0
    assert service.log.read_text().count('"telemetry_not_received"') == 1


@pytest.mark.faults
def test_a_collector_that_falls_silent_holds_up_no_stop(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as server,
        HttpCollector() as collector,
        telling(collector, server.url, tmp_path) as service,
    ):
        service.wait(lambda: collector.logs("telemetry_received"))
        collector.silent.set()
        publish_traced(server.url)
        assert service.stop() == 0  # 76 if anybody had to be killed
        collector.silent.clear()


@pytest.mark.faults
def test_no_counter_falls_when_actors_die(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as server,
        RunningService(tmp_path, server.url, PAIRS, heartbeat_miss_s=PATIENT) as service,
    ):
        seen = exposed(service)

        def watched() -> None:
            """Nothing falls from one look to the next, and nothing goes away."""
            nonlocal seen
            try:
                now = exposed(service)
            except AssertionError:  # http itself is being restarted
                return
            if any(name.startswith("data_manager_events") for name, _ in now):
                fallen = {key: (value, now.get(key)) for key, value in seen.items() if now.get(key, -1.0) < value}
                assert not fallen
                seen = now

        with Load(server.url, PAIRS.split(","), rate=300):
            service.wait(lambda: any(name == "data_manager_events_total" for name, _ in exposed(service)))
            for name in ("ingest/BTCUSDT", "router", "ingest/BTCUSDT", "http", "auditor"):
                old = service.actor(name)["pid"]
                service.command(name, "restart")  # http may be gone before it has answered
                service.wait(lambda name=name, old=old: watched() or service._runs_anew(name, old), 60)
        watched()
        restarts = {dict(labels)["actor"]: value for (name, labels), value in seen.items() if "restarts" in name}
        assert restarts["ingest/BTCUSDT"] == 2


@pytest.mark.faults
def test_where_no_collector_is_named_that_is_said_once(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server, RunningService(tmp_path, server.url, PAIRS) as service:
        publish(server.url, trade("BTCUSDT", 1))
        assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if '"telemetry' in line]
    assert [(line["event"], line["level"], line["actor"]) for line in lines] == [("telemetry_off", "WARNING", "http")]
