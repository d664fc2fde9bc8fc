from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from data_manager.http.metrics import TreeCollector
from data_manager.system.messages import Tree
from data_manager.system.metrics import FAMILIES, Metrics, add_counters, series
from tests.http.serving import HandSetSystem, serving, working_tree

HISTOGRAM = "data_manager_message_processing_seconds"


def render(tree: Tree | None) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The samples of a tree's metrics, after a round trip through the text format."""
    system = HandSetSystem()
    system.latest = tree
    registry = CollectorRegistry()
    registry.register(TreeCollector(system))
    return parse(generate_latest(registry).decode())


def parse(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    out = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in out, f"{key} stands there twice"
            out[key] = sample.value
    return out


def sample(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


def test_without_a_tree_there_is_nothing_of_ours() -> None:
    assert render(None) == {}


def test_counters_gauges_and_histograms_are_rendered_with_their_labels() -> None:
    metrics = Metrics()
    metrics.inc("data_manager_messages_failed_total", 3, event_type="raw", error_type='odd "quoted"\nname')
    metrics.set("data_manager_nats_connection_status", 1)
    metrics.observe(HISTOGRAM, 0.003, times=4, event_type="trade")
    metrics.observe(HISTOGRAM, 0.2, event_type="trade")
    totals = metrics.totals()
    found = render(working_tree(counters=totals.counters, gauges=totals.gauges))
    assert found[sample("data_manager_messages_failed_total", event_type="raw", error_type='odd "quoted"\nname')] == 3
    assert found[sample("data_manager_nats_connection_status")] == 1
    assert found[sample(f"{HISTOGRAM}_count", event_type="trade")] == 5
    assert found[sample(f"{HISTOGRAM}_sum", event_type="trade")] == 4 * 0.003 + 0.2
    assert found[sample(f"{HISTOGRAM}_bucket", event_type="trade", le="0.0025")] == 0
    assert found[sample(f"{HISTOGRAM}_bucket", event_type="trade", le="0.005")] == 4
    assert found[sample(f"{HISTOGRAM}_bucket", event_type="trade", le="0.25")] == 5
    assert found[sample(f"{HISTOGRAM}_bucket", event_type="trade", le="+Inf")] == 5


values = st.floats(0, 20, allow_nan=False)


@settings(derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["trade", "depth"]), values), min_size=1, max_size=30),
    st.integers(0, 30),
)
def test_every_bucket_is_there_and_cumulative_over_two_generations(
    observed: list[tuple[str, float]], killed_after: int
) -> None:
    generations = [Metrics(), Metrics()]
    for number, (event_type, value) in enumerate(observed):
        generations[number >= killed_after].observe(HISTOGRAM, value, event_type=event_type)
    found = render(working_tree(counters=add_counters(metrics.totals().counters for metrics in generations)))
    for event_type in {event_type for event_type, _ in observed}:
        seen = [value for kind, value in observed if kind == event_type]
        for bound in FAMILIES[HISTOGRAM].buckets:
            expected = sum(value <= bound for value in seen)
            assert found[sample(f"{HISTOGRAM}_bucket", event_type=event_type, le=repr(bound))] == expected
        assert found[sample(f"{HISTOGRAM}_bucket", event_type=event_type, le="+Inf")] == len(seen)
        assert found[sample(f"{HISTOGRAM}_count", event_type=event_type)] == len(seen)


def test_every_family_is_rendered_under_its_own_name() -> None:
    metrics = Metrics()
    for name, family in FAMILIES.items():
        labels = dict.fromkeys(family.labels, "x")
        if family.kind == "counter":
            metrics.inc(name, **labels)
        elif family.kind == "gauge":
            metrics.set(name, 1, **labels)
        else:
            metrics.observe(name, 0.1, **labels)
    totals = metrics.totals()
    names = {name for name, _ in render(working_tree(counters=totals.counters, gauges=totals.gauges))}
    for name, family in FAMILIES.items():
        suffix = "_count" if family.kind == "histogram" else "" if family.kind == "gauge" else "_total"
        assert name.removesuffix("_total") + suffix in names


def test_both_ports_serve_the_same_metrics_with_and_without_the_slash(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            key = series("data_manager_events_total", {"symbol": "BTCUSDT", "event_type": "trade", "outcome": "stored"})
            api.system.latest = working_tree(counters={key: 5.0})
            for url in ("/metrics", "/metrics/"):
                for base in ("", f"http://127.0.0.1:{api.metrics_port}"):
                    answer = await api.request("GET", base + url, allow_redirects=False)
                    assert answer.status == 200
                    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
                    found = parse(answer.body.decode())
                    assert found[key[0], frozenset(key[1])] == 5
                    assert found[sample("process_resident_memory_bytes")] > 0
                    assert any(name == "python_info" for name, _ in found)

    asyncio.run(run())


def test_the_metrics_port_serves_nothing_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, token="secret") as api:
            for path in ("/", "/health/liveness", "/data/depth?pair=BTCUSDT", "/system/tree"):
                assert (await api.request("GET", f"http://127.0.0.1:{api.metrics_port}{path}")).status == 404

    asyncio.run(run())


def test_requests_are_counted_by_route_template_and_sent_upwards_only(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, token="secret") as api:
            await api.get("/data/depth", pair="BTCUSDT")
            await api.get("/data/depth", pair="bad")
            await api.get("/no/such/path")
            await api.request("PROPFIND", "/")
            await api.post("/system/actors/ingest/BTCUSDT/restart", data=b"12345")
            counters = api.services.metrics.totals().counters

            def counted(name: str, **labels: str) -> float:
                return counters[series(f"data_manager_{name}", labels)]

            depth = {"method": "GET", "endpoint": "/data/depth"}
            command = {"method": "POST", "endpoint": "/system/actors/{name}/{action}"}
            assert counted("requests_total", status_code="200", **depth) == 1
            assert counted("requests_total", status_code="422", **depth) == 1
            assert counted("errors_total", error_type="validation", **depth) == 1
            assert counted("request_duration_seconds_count", **depth) == 2
            assert counted("response_size_bytes_sum", **depth) > 100
            assert counted("requests_total", status_code="404", method="GET", endpoint="unmatched") == 1
            assert counted("requests_total", status_code="405", method="other", endpoint="unmatched") == 1
            assert counted("requests_total", status_code="401", **command) == 1
            assert counted("request_size_bytes_sum", **command) == 5
            own = [name for name, _ in parse((await api.get("/metrics")).body.decode()) if "data_manager" in name]
            assert own == [], "what http counts itself comes back with the tree, never from here"

    asyncio.run(run())
