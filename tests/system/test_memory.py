"""How much memory there is, on this host and in containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.system.memory import memory_bytes

HOST = memory_bytes(Path("/nowhere"))


def test_without_a_container_it_is_the_hosts() -> None:
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    assert int(line.split()[1]) * 1024 == HOST


@pytest.mark.parametrize(("told", "expected"), [("1048576\n", 2**20), ("max\n", HOST), (f"{HOST * 2}\n", HOST)])
def test_a_containers_limit_counts_where_it_is_one(tmp_path: Path, told: str, expected: int) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(told)
    assert memory_bytes(limit) == expected
