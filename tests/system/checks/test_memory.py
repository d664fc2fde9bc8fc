from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from data_manager.system.commands.checks.check import MIB, Verdict
from data_manager.system.commands.checks.memory import Memory, judged, measured, taken_by

LAPTOP = Memory(available=8 * 1024 * MIB, limit=None, used=0)


def test_a_thousand_symbols_on_a_laptop_are_too_many_and_how_many_are_not_is_said():
    found = judged(1000, 512, LAPTOP, None)
    assert found.verdict is Verdict.FAIL
    assert "1,000 symbols need about 20,400 MiB, and there are 8,192" in found.found
    assert found.fix.startswith("name no more than 389 symbols in SUPPORTED_PAIRS")
    assert judged(389, 1, LAPTOP, None).verdict is not Verdict.FAIL


def test_a_few_symbols_fit():
    assert judged(5, 512, LAPTOP, None).verdict is Verdict.OK


@given(st.integers(1, 3000), st.integers(0, 64 * 1024), st.integers(64, 4096))
def test_the_number_that_is_named_fits_and_the_next_one_does_not(symbols: int, room_mib: int, hard_mb: int):
    host = Memory(room_mib * MIB, None, 0)
    found = judged(symbols, hard_mb, host, None)
    if found.verdict is Verdict.FAIL and "name no more than" in found.fix:
        most = int(found.fix.split()[4].replace(",", ""))
        assert most < symbols
        assert judged(most, hard_mb, host, None).verdict is not Verdict.FAIL
        assert judged(most + 1, hard_mb, host, None).verdict is Verdict.FAIL


def test_one_symbol_that_runs_wild_must_not_end_its_neighbours():
    found = judged(5, 512, Memory(700 * MIB, None, 0), None)
    assert found.verdict is Verdict.WARN
    assert "INGEST_MEMORY_HARD_MB to 200" in found.fix


def test_a_running_service_has_its_memory_already():
    assert judged(5, 100, Memory(200 * MIB, None, 0), None).verdict is Verdict.FAIL
    assert judged(5, 100, Memory(200 * MIB, None, 0), 450 * MIB).verdict is Verdict.OK


def test_the_limit_of_a_group_of_processes_counts_where_it_is_lower():
    host = Memory(8 * 1024 * MIB, limit=512 * MIB, used=100 * MIB)
    assert host.room == 412 * MIB
    assert judged(5, 512, host, None).verdict is Verdict.FAIL
    assert Memory(100, limit=512, used=600).room == 0


def test_a_container_whose_limit_would_act_before_a_processs_own_is_refused():
    host = Memory(64 * 1024 * MIB, limit=2048 * MIB, used=600 * MIB)
    found = judged(5, 512, host, None)
    assert found.verdict is Verdict.FAIL
    assert "5 symbols at their hard limit of 512 MiB each would take 2,960 MiB" in found.found
    assert found.fix == (
        "raise its limit to 2,960 MiB, or set INGEST_MEMORY_HARD_MB to 329 (and INGEST_MEMORY_SOFT_MB below it)"
    )
    assert judged(5, 329, host, None).verdict is Verdict.OK
    assert judged(5, 330, host, None).verdict is Verdict.FAIL
    assert judged(5, 512, host._replace(limit=2960 * MIB), None).verdict is Verdict.OK
    assert judged(40, 64, host, None).fix == "raise its limit to 2,960 MiB"


def make_host(folder: Path, group: str) -> tuple[Path, Path]:
    proc, groups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    (proc / "self/cgroup").write_text(group)
    groups.mkdir()
    return proc, groups


def test_both_versions_of_cgroups_are_read(tmp_path: Path):
    proc, groups = make_host(tmp_path / "2", "0::/mine\n")
    (groups / "mine").mkdir()
    (groups / "mine/memory.max").write_text("1000000\n")
    (groups / "mine/memory.current").write_text("1000\n")
    assert measured(proc, groups) == Memory(2048 * 1024, 1_000_000, 1000)

    proc, groups = make_host(tmp_path / "1", "4:memory:/mine\n3:cpu:/\n")
    (groups / "memory/mine").mkdir(parents=True)
    (groups / "memory/mine/memory.limit_in_bytes").write_text("500\n")
    (groups / "memory/mine/memory.usage_in_bytes").write_text("20\n")
    (groups / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert measured(proc, groups) == Memory(2048 * 1024, 500, 20)


def test_no_limit_is_none(tmp_path: Path):
    proc, groups = make_host(tmp_path, "0::/\n")
    (groups / "memory.max").write_text("max\n")
    assert measured(proc, groups) == Memory(2048 * 1024, None, 0)


def test_this_host_says_something():
    assert measured().available > 0


def test_what_processes_take_is_measured_and_those_that_are_gone_take_none():
    mine = taken_by([os.getpid()])
    assert mine > 10 * MIB
    assert taken_by([2**22 + 1]) == 0
