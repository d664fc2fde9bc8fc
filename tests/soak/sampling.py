"""What the kernel says of each actor's process, and the file system of its data, again and again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.measure import private_mib
from tests.servers.command import Command


class Sample(NamedTuple):
    """One process at one moment."""

    at_s: float
    memory_mib: float  # that nobody else shares
    files: int
    threads: int


class Growth(NamedTuple):
    """The data at one moment."""

    at_s: float
    events: int
    bytes: int


def sample(pid: int, at_s: float) -> Sample:
    """A process as it is."""
    return Sample(at_s, private_mib(pid), len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")))


def bytes_in(folder: Path) -> int:
    """What all files below take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def observe(
    run: Command, symbols: list[str], seconds: float, every_s: float
) -> tuple[dict[str, list[Sample]], list[Growth]]:
    """Every process by its actor's name, main and all, and the market data; nobody may be replaced meanwhile."""
    pids = {"main": run.pid} | {name: view["pid"] for name, view in run.actors().items()}
    samples: dict[str, list[Sample]] = {name: [] for name in pids}
    data: list[Growth] = []
    began = time.monotonic()
    while (at_s := time.monotonic() - began) < seconds:
        for name, pid in pids.items():
            samples[name].append(sample(pid, at_s))
        data.append(Growth(at_s, run.events(*symbols), bytes_in(run.data_dir / "market")))
        time.sleep(every_s)
    assert {name: view["pid"] for name, view in run.actors().items()} == {
        name: pid for name, pid in pids.items() if name != "main"
    }
    return samples, data
