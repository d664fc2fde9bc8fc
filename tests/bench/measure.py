"""What the kernel and the service's own metrics say: CPU, memory, latency, and on what machine."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from data_manager.system.lifecycle import descendants_of
from data_manager.system.metrics import Series, quantile, series
from tests.servers.nats import BINARY

LATENCY = "data_manager_publish_to_stored_seconds"
PACKAGES = ("petrosa-data-manager", "nats-py", "msgspec", "aiohttp", "orjson", "thespian")

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: Iterable[int]) -> float:
    """CPU seconds that these processes have used, in user and kernel mode."""
    return sum(_ticks(Path(f"/proc/{pid}/stat").read_text()) for pid in pids) / _TICKS


def strangers_s() -> float:
    """CPU seconds that this machine was busy with anything but this process and those it started.

    Only the difference of two calls means something, and only if no process of ours ended between them.
    """
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    busy = (user + nice + system + irq + soft + steal) / _TICKS
    return busy - cpu_s([os.getpid(), *descendants_of(os.getpid())])


def resident_mib() -> float:
    """What of this process is in memory, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def private_mib(pid: int) -> float:
    """Memory that nobody else shares, in MiB."""
    return _rollup_mib(pid, ("Private_Clean", "Private_Dirty"))


def pss_mib(pids: Iterable[int]) -> float:
    """Memory of a family of processes, each shared page counted once, in MiB."""
    return sum(_rollup_mib(pid, ("Pss",)) for pid in pids)


def latencies(metrics: str) -> dict[Series, float]:
    """The publish-to-stored histogram of a /metrics page, as `system.metrics.quantile` takes it."""
    return {
        series(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in (f"{LATENCY}_bucket", f"{LATENCY}_count")
    }


def observed(counters: dict[Series, float]) -> int:
    """How many events a histogram holds."""
    return int(counters.get(series(f"{LATENCY}_count", {}), 0))


def since(before: dict[Series, float], after: dict[Series, float]) -> dict[Series, float]:
    """What was added between two scrapes.

    A bucket that has no series yet holds as much as the next lower one that has.
    """
    old = _by_bound(before)

    def held(bound: float) -> float:
        return old[max(b for b in old if b <= bound)] if old and bound >= min(old) else 0.0

    return {
        (name, labels): value - (held(float(dict(labels)["le"])) if labels else before.get((name, labels), 0))
        for (name, labels), value in after.items()
    }


def latency_ms(counters: dict[Series, float], q: float) -> float:
    """The q-quantile in ms: the upper bound of its bucket, which is 15 % wide."""
    bound = quantile(counters, LATENCY, q)
    assert bound is not None, "nothing was stored"
    return bound * 1000


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": f"{len(os.sched_getaffinity(0))} x {models[0] if models else platform.machine()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "load": f"{os.getloadavg()[0]:.1f} at the start",
    }


def versions() -> dict[str, str]:
    """Of what the figures depend on."""
    server = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True, timeout=10)
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "nats-server": server.stdout.split()[-1].lstrip("v"),
        **{name: version(name) for name in PACKAGES},
    }


def _ticks(stat: str) -> int:
    """utime and stime; the name before them, in parentheses, may hold anything."""
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _rollup_mib(pid: int, names: tuple[str, ...]) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in names) / 1024


def _by_bound(counters: dict[Series, float]) -> dict[float, float]:
    return {
        float(dict(labels)["le"]): value for (name, labels), value in counters.items() if name == f"{LATENCY}_bucket"
    }
