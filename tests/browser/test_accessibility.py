"""axe (Deque Systems, unchanged, in axe-core-*/) finds nothing to complain of, in any theme, width or state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from data_manager.storage.protocols import AuditLog
from data_manager.system.fleet_messages import FleetNews, Replica
from tests.browser.dashboard import DESKTOP, PHONE, Dashboard, dashboard, gap, job, stored, working
from tests.http.computed import document, store_documents
from tests.http.serving import MINUTE, NOW_MS, actor, candle, store_rows
from tests.storage.examples import quarantined

pytestmark = pytest.mark.browser

AXE = next(Path(__file__).parent.glob("axe-core-*/axe.min.js")).read_text()
HOUR = 60 * MINUTE


def violations(shown: Dashboard) -> list[str]:
    """What axe finds, each with the element that it is about."""
    shown.page.evaluate(AXE)
    found: Any = shown.page.evaluate("axe.run(document)")
    assert found["passes"]  # it has looked
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


def full(shown: Dashboard, folder: Path) -> None:
    """Something in every panel."""
    bars = [candle(NOW_MS - number * MINUTE) for number in range(12, 0, -1)]
    store_rows(folder, bars)
    store_documents(folder, *(document(name, timeframe="1m") for name in ("regime", "volatility", "volume", "trend")))
    states = ("open", "backfilling", "closed", "unfillable", "exchange_empty")
    shown.catalog.save_gaps(
        [gap(state, NOW_MS - (n + 1) * HOUR, NOW_MS - n * HOUR - 1, status=state) for n, state in enumerate(states)]
    )
    shown.catalog.save_job(job("j1"))
    shown.catalog.save_job(job("j2", status="failed", error_message="refused", completed_ms=NOW_MS))
    shown.catalog.save_job(job("j3", status="completed", completed_ms=NOW_MS))
    log = AuditLog("a1", "candles_BTCUSDT_1h", "BTCUSDT", "anomaly", "high", "price far from its mean", NOW_MS)
    shown.catalog.save_audit_logs([log])
    store_rows(folder, [quarantined(7, received_ms=NOW_MS, stored_ms=NOW_MS)])
    pods = ("pod-a/15/1", "pod-b/16/2")
    replicas = tuple(Replica(name, name[:5], 15, "2.0.0", NOW_MS, ("router",), ()) for name in pods)
    shown.served.system.replicas = FleetNews(pods[0], replicas, {"router": pods[0]})
    gone = [actor("ingest/XRPUSDT", "retired", pid=None), actor("feed", "elsewhere", pid=None)]
    trouble = [actor("ingest/SOLUSDT", "parked", last_cause="signal 9"), actor("ingest/ADAUSDT", "paused")]
    shown.have(
        *working(), *trouble, *gone, counters=dict([stored("ETHUSDT", 3, "quarantined"), stored("BTCUSDT", 297)])
    )
    shown.open()
    expect(shown.page.locator("#analytics .badge").first).to_be_visible()
    expect(shown.page.locator("#symbols button.hour").first).to_be_visible()
    expect(shown.page.locator("#anomalies tbody th").first).to_be_visible()
    expect(shown.page.locator("#quarantine tbody th").first).to_be_visible()
    expect(shown.page.locator("#replicas")).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "size"), [("dark", DESKTOP), ("light", DESKTOP), ("dark", PHONE), ("light", PHONE)], ids=str
)
def test_a_full_page_has_no_violations(browser: Browser, tmp_path: Path, scheme: str, size: tuple[int, int]) -> None:
    with dashboard(browser, tmp_path, scheme=scheme, size=size) as shown:
        full(shown, tmp_path)
        assert violations(shown) == []


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_dialogs_have_no_violations(browser: Browser, tmp_path: Path, scheme: str) -> None:
    with dashboard(browser, tmp_path, scheme=scheme, token="correct horse") as shown:
        full(shown, tmp_path)
        openers = (
            shown.page.locator("#symbols button.hour").first,
            shown.page.locator("#quarantine tbody button.link"),
            shown.page.get_by_role("button", name="Add symbol"),
            shown.page.get_by_role("button", name="Retire BTCUSDT"),
            shown.page.get_by_role("button", name="Restart router"),
        )
        for opener in openers:
            opener.click()
            expect(shown.page.get_by_role("dialog")).to_be_visible()
            assert violations(shown) == []
            shown.page.keyboard.press("Escape")
            expect(shown.page.get_by_role("dialog")).to_be_hidden()


def test_an_empty_page_has_no_violations(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        assert violations(shown) == []
