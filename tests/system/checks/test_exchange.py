from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.backfill import door
from data_manager.storage.catalog import SqlCatalog
from data_manager.storage.cataloged import ExchangeState
from data_manager.storage.choice import catalog_url
from data_manager.system.commands.checks import exchange as checked
from data_manager.system.commands.checks.check import Check, Verdict
from data_manager.system.commands.checks.exchange import Told, budget, exchange, skew
from data_manager.system.settings import Settings
from tests.actors.exchange.serving import NOW, Asking, SetClock, asking
from tests.servers.databases import free_port


def told(**changes: object) -> Told:
    return Told(200, 1_000_000, 1_000_000, 20, 5)._replace(**changes)  # type: ignore[arg-type]


def of(settings: Settings, clock: SetClock) -> dict[str, Check]:
    return {check.name: check for check in exchange(settings, clock)}


@pytest.mark.parametrize(
    ("off_ms", "verdict", "words"),
    [
        (0, Verdict.OK, "0 ms behind"),
        (900, Verdict.OK, "900 ms ahead of"),
        (-5_000, Verdict.WARN, "5,000 ms behind"),
        (7_200_000, Verdict.FAIL, "7,200,000 ms ahead of"),
        (-7_200_000, Verdict.FAIL, "7,200,000 ms behind"),
    ],
)
def test_a_clock_is_judged_by_how_far_it_is_off(off_ms: int, verdict: Verdict, words: str):
    check = skew(told(local_ms=1_000_000 + off_ms))
    assert check.verdict is verdict
    assert words in check.found


@given(st.integers(-(10**7), 10**7), st.integers(0, 10_000))
def test_a_slow_answer_never_makes_a_good_clock_bad(off_ms: int, took_ms: int):
    """The exchange read its clock at some moment of the request; ours was in the middle of it."""
    check = skew(told(local_ms=1_000_000 + off_ms, took_ms=took_ms))
    if check.verdict is not Verdict.OK:
        assert abs(off_ms) - took_ms / 2 > 900


def test_what_answers_and_is_not_the_exchange_is_said():
    assert skew(told(server_ms=None, status=404)).verdict is Verdict.WARN


def test_a_share_that_leaves_nothing_to_others_is_a_warning():
    assert budget(Settings(), told()).verdict is Verdict.OK
    assert "has used 5 in this one" in budget(Settings(), told()).found
    assert budget(Settings(binance_rate_limit=2400), None).verdict is Verdict.WARN
    assert budget(Settings(), told(status=418)).verdict is Verdict.FAIL


def test_the_exchange_is_asked_once_and_its_clock_compared(tmp_path: Path):
    async def scenario(site: Asking) -> None:
        settings = Settings(data_dir=tmp_path, binance_fapi_base_url=site.exchange.url)
        checks = await asyncio.to_thread(of, settings, SetClock(NOW))
        assert checks["clock"].verdict is Verdict.OK
        assert "has used 1 in this one" in checks["weight budget"].found
        late = await asyncio.to_thread(of, settings, SetClock(NOW - 3_600_000))
        assert late["clock"].verdict is Verdict.FAIL
        assert "3,600,000 ms behind" in late["clock"].found

    asking(scenario)


def test_offline_the_clock_is_skipped_with_a_sentence_and_nothing_fails(tmp_path: Path):
    checks = of(Settings(data_dir=tmp_path, binance_fapi_base_url=f"http://127.0.0.1:{free_port()}"), SetClock())
    assert checks["clock"].verdict is Verdict.SKIPPED
    assert "does not answer" in checks["clock"].found
    assert checks["weight budget"].verdict is Verdict.OK


def test_while_the_exchange_forbids_requests_it_is_not_asked(tmp_path: Path):
    settings = Settings(data_dir=tmp_path, binance_fapi_base_url=f"http://127.0.0.1:{free_port()}")
    catalog = SqlCatalog(catalog_url(settings), clock=SetClock())
    catalog.save_exchange_state(ExchangeState(door.BUDGET, "{}", NOW + 60_000, NOW))
    catalog.close()
    checks = of(settings, SetClock(NOW))
    assert checks["clock"].found == "The exchange takes no requests from here until 2025-10-20T00:01:00Z."
    assert checks["weight budget"].verdict is Verdict.WARN
    assert of(settings, SetClock(NOW + 60_000))["weight budget"].verdict is Verdict.OK


def test_the_name_under_which_the_ban_is_kept_is_backfills():
    assert checked.BUDGET == door.BUDGET


def test_a_catalog_that_cannot_be_read_is_anothers_finding(tmp_path: Path):
    settings = Settings(data_dir=tmp_path)
    settings.catalog_file.write_bytes(b"no database" * 1000)
    assert checked.closed_until(settings) == 0
