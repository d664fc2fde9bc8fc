"""What is read from the kernel and from /metrics."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from data_manager.system.metrics import Metrics, Series
from tests.bench import measure
from tests.bench.measure import LATENCY, latency_ms, observed, since


def histogram(*waits: float) -> dict[Series, float]:
    """What an actor that saw these would ship."""
    metrics = Metrics()
    for wait in waits:
        metrics.observe(LATENCY, wait)
    return {key: value for key, value in metrics.totals().counters.items() if not key[0].endswith("_sum")}


def test_the_difference_of_two_scrapes_holds_only_what_came_between() -> None:
    slow, quick = [2.0] * 50, [0.005] * 98 + [0.02] * 2
    added = since(histogram(*slow), histogram(*slow, *quick))
    assert observed(added) == 100
    assert latency_ms(added, 0.5) == pytest.approx(5, rel=0.16)
    assert latency_ms(added, 0.99) == pytest.approx(20, rel=0.16)


def test_a_bucket_without_a_series_before_holds_what_the_next_lower_one_holds() -> None:
    before = {key: value for key, value in histogram(0.005).items() if dict(key[1]).get("le") != "+Inf"}
    lowest = min(before, key=lambda key: float(dict(key[1]).get("le", "inf")))
    sparse = {lowest: before[lowest]}
    added = since(sparse, histogram(0.005, 0.3))
    assert latency_ms(added, 0.5) == pytest.approx(300, rel=0.16)


def test_nothing_before_leaves_the_later_scrape_as_it_is() -> None:
    later = histogram(0.01, 0.1)
    assert since({}, later) == later


def test_only_the_latency_is_read_from_the_page() -> None:
    page = (
        f"# TYPE {LATENCY} histogram\n"
        f'{LATENCY}_bucket{{le="0.005"}} 3.0\n{LATENCY}_bucket{{le="+Inf"}} 4.0\n'
        f"{LATENCY}_count 4.0\n{LATENCY}_sum 0.5\n"
        '# TYPE other_total counter\nother_total{le="1"} 7.0\n'
    )
    read = measure.latencies(page)
    assert observed(read) == 4
    assert latency_ms(read, 0.75) == 5
    assert len(read) == 3


def test_asking_for_the_latency_of_nothing_fails() -> None:
    with pytest.raises(AssertionError, match="nothing was stored"):
        latency_ms({}, 0.99)


def test_cpu_seconds_are_those_of_the_named_process() -> None:
    before, began = measure.cpu_s([os.getpid()]), time.process_time()
    while time.process_time() - began < 0.2:
        pass
    assert 0.15 <= measure.cpu_s([os.getpid()]) - before <= 0.4


def test_memory_that_a_process_allocates_is_its_private_memory() -> None:
    code = "import sys; hoard = bytearray(b'x' * (32 << 20)); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        private, shared_out = measure.private_mib(child.pid), measure.pss_mib([child.pid])
        child.communicate()
    assert 32 <= private <= 64
    assert private <= shared_out + 0.1


def test_the_machine_and_the_versions_are_named() -> None:
    assert measure.machine()["cpu"].startswith(f"{len(os.sched_getaffinity(0))} x ")
    assert {"python", "sqlite", "nats-server", "nats-py"} <= measure.versions().keys()
    assert measure.versions()["nats-server"][0].isdigit()
