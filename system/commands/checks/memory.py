"""Whether the configured symbols fit into the memory that is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from data_manager.system.commands.checks.check import MIB, Check, fail, ok, warn

# Private memory as measured (see the README): of an ingest process, and of all other parts together.
INGEST_BYTES, OTHERS_BYTES = 20 * MIB, 400 * MIB
LEAST_MB = 64  # no ingest process can do with less
CGROUPS = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60  # bytes; version 1 of cgroups writes about 2**63 where there is none
LIMIT_FILES = (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # v2, v1


class Memory(NamedTuple):
    """What the host has left, the limit of our group of processes, and how much of that is used; in bytes."""

    available: int
    limit: int | None
    used: int

    @property
    def room(self) -> int:
        """What may still be taken."""
        return self.available if self.limit is None else min(self.available, max(0, self.limit - self.used))


def judged(symbols: int, hard_limit_mb: int, host: Memory, running: int | None) -> Check:
    """Whether so many symbols fit; `running` is what the service that runs here has taken, None where none does."""
    need = OTHERS_BYTES + symbols * INGEST_BYTES
    room = host.room + (running or 0)
    found = f"{symbols:,} symbols need about {need // MIB:,} MiB, and there are {room // MIB:,}"
    if running is not None:
        found += f", of which the running service has {running // MIB:,}"
    elif host.room < host.available:
        found += f" of the {host.limit or 0:,} bytes that this group of processes may have"
    if need > room:
        most = max(0, room - OTHERS_BYTES) // INGEST_BYTES
        fix = f"name no more than {most:,} symbols in SUPPORTED_PAIRS, or give it more memory"
        return fail("memory", f"{found}.", fix if most else "give it more memory, or stop what else runs here")
    together = OTHERS_BYTES + symbols * hard_limit_mb * MIB
    if host.limit is not None and together > host.limit:
        return over_limit(symbols, hard_limit_mb, together, host.limit)
    if need + hard_limit_mb * MIB > room:
        fix = f"set INGEST_MEMORY_HARD_MB to {max(LEAST_MB, (room - need) // MIB)} (and INGEST_MEMORY_SOFT_MB below it)"
        return warn("memory", f"{found}; a symbol that runs wild may take {hard_limit_mb:,} more.", fix)
    return ok("memory", f"{found}; with every symbol at its hard limit it would be {together // MIB:,} MiB.")


def over_limit(symbols: int, hard_limit_mb: int, together: int, limit: int) -> Check:
    """A container's limit would act before a process's own, and then Kubernetes ends all of it."""
    found = (
        f"{symbols:,} symbols at their hard limit of {hard_limit_mb:,} MiB each would take {together // MIB:,} MiB with"
        f" the rest, more than the {limit // MIB:,} that this group of processes may have: all of it would be ended."
    )
    raised = f"raise its limit to {-(-together // MIB):,} MiB"
    each = (limit - OTHERS_BYTES) // symbols // MIB
    if each < LEAST_MB:
        return fail("memory", found, raised)
    return fail(
        "memory", found, f"{raised}, or set INGEST_MEMORY_HARD_MB to {each} (and INGEST_MEMORY_SOFT_MB below it)"
    )


def measured(proc: Path = Path("/proc"), cgroups: Path = CGROUPS) -> Memory:
    """What the kernel says, with either version of cgroups."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", (proc / "meminfo").read_text(), re.MULTILINE)
    limits = [
        (limit, number_in(folder / usage) or 0)
        for folder in own_groups(proc, cgroups)
        for name, usage in LIMIT_FILES
        if (limit := number_in(folder / name)) is not None
    ]
    limit, used = min(limits, key=lambda each: each[0] - each[1], default=(None, 0))
    return Memory(int(found[1]) * 1024 if found else 0, limit, used)


def own_groups(proc: Path, cgroups: Path) -> Iterator[Path]:
    """The folders that may tell this process's limit: those of its group, and what a container sees as the root."""
    yield from (cgroups, cgroups / "memory")
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            yield cgroups / controllers / path.lstrip("/")


def number_in(path: Path) -> int | None:
    """The number that a file of the kernel's holds; None where there is no file, or no limit."""
    with suppress(OSError):
        text = path.read_text().strip()
        return int(text) if text.isdecimal() and int(text) < NO_LIMIT else None
    return None


def taken_by(pids: Iterable[int]) -> int:
    """The memory of the processes together, in bytes; what they share is counted once."""
    total = 0
    for pid in pids:
        with suppress(OSError):  # it has ended, or is another user's
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            total += int(found[1]) * 1024 if found else 0
    return total
