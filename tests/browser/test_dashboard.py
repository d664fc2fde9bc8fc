"""Every panel and every button of the dashboard, as a person meets them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from data_manager import __version__
from data_manager.http import events
from data_manager.storage.protocols import AuditLog, GapStatus
from tests.browser.dashboard import PHONE, dashboard, gap, job, working
from tests.http.computed import document, store_documents
from tests.http.serving import MINUTE, NOW_MS, actor, candle, store_rows

pytestmark = pytest.mark.browser

HOUR = 60 * MINUTE


def answer(shown: Any, question: str) -> Any:
    return shown.page.get_by_role("article", name=question)


def test_the_first_screen_says_that_data_flows_and_nothing_is_missing_or_in_repair(
    browser: Browser, tmp_path: Path
) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.have(*working(), counted={"BTCUSDT": 100, "ETHUSDT": 100})
        shown.open()
        shown.have(*working(), after_s=2, counted={"BTCUSDT": 300, "ETHUSDT": 140})
        expect(answer(shown, "Is data flowing?")).to_contain_text("Yes120 events/s")
        expect(shown.row("symbols", "BTCUSDT")).to_contain_text("100")
        expect(shown.row("symbols", "ETHUSDT")).to_contain_text("20")
        expect(answer(shown, "Is anything missing?")).to_contain_text("Nothing")
        expect(answer(shown, "Is anything being repaired?")).to_contain_text("No job is running")
        for question in ("Is data flowing?", "Is anything missing?", "Is anything being repaired?"):
            box = answer(shown, question).bounding_box()
            assert box["y"] + box["height"] < 900  # without scrolling


def test_a_symbol_that_is_silent_is_named_and_a_feed_that_is_silent_is_no_flow(
    browser: Browser, tmp_path: Path
) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.have(*working(), counted={"BTCUSDT": 100, "ETHUSDT": 100})
        shown.open()
        shown.have(*working(), after_s=5, counted={"BTCUSDT": 200, "ETHUSDT": 100})
        flowing = answer(shown, "Is data flowing?")
        expect(flowing).to_contain_text("1 symbol silent: ETHUSDT.")
        shown.have(*working(), after_s=15, counted={"BTCUSDT": 200, "ETHUSDT": 100})
        expect(flowing).to_contain_text("No event of any symbol")


def test_gaps_and_jobs_show_in_the_answers_as_they_come_and_go(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        shown.catalog.save_gaps([gap("g1", NOW_MS - 10 * MINUTE, NOW_MS - 5 * MINUTE)])
        missing = answer(shown, "Is anything missing?")
        expect(missing).to_contain_text("Yes1 open gap")
        expect(missing).to_contain_text("1 not yet in repair")
        shown.catalog.save_job(job("j1"))
        shown.catalog.move_gap("g1", GapStatus.BACKFILLING, only_from=[GapStatus.OPEN], at_ms=NOW_MS, job_id="j1")
        expect(missing).to_contain_text("all of them in repair")
        expect(answer(shown, "Is anything being repaired?")).to_contain_text("Yes1 job at 40 %")
        shown.catalog.move_gap("g1", GapStatus.CLOSED, only_from=[GapStatus.BACKFILLING], at_ms=NOW_MS)
        expect(missing).to_contain_text("Nothing")


def test_an_hour_with_a_gap_tells_its_cause(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.have(*working(), counted={"BTCUSDT": 1})
        start = NOW_MS - 2 * HOUR + 5 * MINUTE
        shown.catalog.save_gaps(
            [gap("g1", start, start + 3 * MINUTE), gap("g2", NOW_MS - 30 * HOUR, NOW_MS - 29 * HOUR)]
        )
        shown.open()
        hours = shown.row("symbols", "BTCUSDT").locator(".hour")
        expect(hours).to_have_count(24)
        cell = shown.page.get_by_role("button", name="BTCUSDT 10:00: missing")
        cell.click()
        dialog = shown.page.get_by_role("dialog", name="BTCUSDT, 10-20 10:00 to 11:00")
        expect(dialog).to_contain_text("candles 1m: missing")
        expect(dialog).to_contain_text("10-20 10:05 to 10:08")
        expect(dialog).to_contain_text("lost by the feed")
        expect(dialog).to_contain_text("ids 17 to 42 were never seen")
        shown.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(cell).to_be_focused()
        assert shown.page.locator("#symbols button.hour").count() == 1  # the other one is older than a day


def test_hours_before_a_symbols_first_bar_are_told_from_those_without_a_gap(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    store_rows(tmp_path, [candle(NOW_MS - 2 * HOUR), candle(NOW_MS - MINUTE)])
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        hours = shown.row("symbols", "BTCUSDT").locator(".hour")
        expect(hours.and_(shown.page.locator("[data-state=whole]"))).to_have_count(3)
        expect(hours.and_(shown.page.locator("[data-state=none]"))).to_have_count(21)
        none = shown.row("symbols", "ETHUSDT").locator(".hour[data-state=none]")
        expect(none).to_have_count(24)


def test_of_500_symbols_those_in_sight_are_drawn_and_the_filter_finds_one(browser: Browser, tmp_path: Path) -> None:
    names = [f"S{number:03}USDT" for number in range(500)]
    with dashboard(browser, tmp_path) as shown:
        shown.have(*(actor(f"ingest/{name}") for name in names))
        shown.open()
        expect(shown.page.locator("#symbols-count")).to_have_text("500")
        rows = shown.page.locator("#symbols tbody tr:not([aria-hidden])")
        expect(rows.first).to_be_visible()
        assert 5 < rows.count() < 40
        assert 5 < shown.page.locator("#tree tbody tr:not([aria-hidden])").count() < 40
        shown.page.locator("#symbols").evaluate("box => { box.scrollTop = box.scrollHeight; }")
        expect(shown.row("symbols", "S499USDT")).to_be_visible()
        assert rows.count() < 40
        shown.page.get_by_label("Filter symbols").fill("s123")
        expect(shown.row("symbols", "S123USDT")).to_be_visible()
        expect(rows).to_have_count(1)
        shown.page.get_by_label("Filter symbols").fill("nothing")
        expect(shown.page.locator("#symbols")).to_contain_text("No symbol has NOTHING in its name.")


def test_a_job_shows_its_progress_and_its_end(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.catalog.save_job(job("j1"))
        shown.open()
        row = shown.page.get_by_role("region", name="Repair jobs").locator("tbody tr").filter(has_text="BTCUSDT")
        expect(row).to_contain_text("gap, 10-20 11:00 to 12:00")
        expect(row).to_contain_text("running")
        expect(row.get_by_role("progressbar", name="Progress of BTCUSDT candles 1m")).to_have_attribute("max", "100")
        expect(row).to_contain_text("40 %")
        failed = job("j1", status="failed", error_message="the exchange refused", completed_ms=NOW_MS)
        shown.catalog.save_job(failed)
        expect(row).to_contain_text("failed")
        expect(row).to_contain_text("the exchange refused")


def test_a_symbol_is_chosen_in_its_line_or_in_the_list(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.get_by_role("heading", name="Candles of BTCUSDT")).to_be_visible()
        shown.page.get_by_role("button", name="ETHUSDT", exact=True).click()
        expect(shown.page.get_by_role("heading", name="Candles of ETHUSDT")).to_be_visible()
        shown.page.get_by_role("combobox", name="Symbol").select_option("BTCUSDT")
        expect(shown.page.get_by_role("button", name="BTCUSDT", exact=True)).to_have_attribute("aria-pressed", "true")


def test_analytics_and_anomalies_say_so_while_there_are_none(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.locator("#analytics")).to_contain_text("No analytics of BTCUSDT yet")
        expect(shown.page.locator("#anomalies")).to_contain_text("Nothing out of the ordinary is known of BTCUSDT.")


def test_the_regime_has_its_badges_and_the_metrics_their_numbers(browser: Browser, tmp_path: Path) -> None:
    store_documents(tmp_path, *(document(name) for name in ("regime", "volatility", "volume", "trend", "deviation")))
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.locator("#analytics-of")).to_have_text("BTCUSDT, bars of 1h")  # there are none of minutes
        analytics = shown.page.locator("#analytics")
        expect(analytics.locator(".badge").first).to_have_text("medium")
        expect(analytics).to_contain_text("12.5 %")
        expect(analytics).to_contain_text("0.125 x")


def test_anomalies_are_listed_with_their_severity(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        log = AuditLog("a1", "candles_BTCUSDT_1h", "BTCUSDT", "anomaly", "high", "price far from its mean", NOW_MS)
        shown.catalog.save_audit_logs([log])
        shown.open()
        row = shown.row("anomalies", "10-20 12:00")
        expect(row).to_contain_text("high")
        expect(row).to_contain_text("price far from its mean")
        expect(shown.page.locator("#anomalies-count")).to_have_text("1 of BTCUSDT, 1 in all")


def test_the_foot_names_the_version_and_leads_to_what_programs_ask(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.get_by_role("contentinfo")).to_contain_text(f"Petrosa Data Manager {__version__}")
        links = shown.page.get_by_role("navigation", name="For programs").get_by_role("link")
        paths = [link.get_attribute("href") for link in links.all()]
        assert {"/docs", "/metrics"} <= set(paths)
        for path in paths:
            assert shown.page.request.get(f"{shown.served.url}{path}").ok, path


def test_the_theme_is_the_systems_until_one_is_chosen_which_stays(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, scheme="light") as shown:
        shown.open()
        root = shown.page.locator("html")
        expect(root).to_have_attribute("data-theme", "light")
        shown.page.get_by_role("button", name="Use the dark theme").click()
        expect(root).to_have_attribute("data-theme", "dark")
        shown.page.reload()
        expect(root).to_have_attribute("data-theme", "dark")


def test_a_phone_shows_all_of_it_in_its_width(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path, size=PHONE) as shown:
        shown.open()
        assert shown.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        expect(shown.page.get_by_role("button", name="Restart router")).to_be_visible()


def test_a_supervisor_that_is_silent_makes_everything_unknown(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        shown.served.system.age_s = 60.0
        expect(shown.page.locator("#trouble")).to_contain_text("The supervisor does not report")
        expect(answer(shown, "Is data flowing?")).to_contain_text("Unknown")


def test_a_service_that_takes_nobody_more_is_asked_again(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dashboard(browser, tmp_path) as shown:
        with monkeypatch.context() as full:
            full.setattr(events, "MAX_CLIENTS", 0)
            shown.page.goto(f"{shown.served.url}/ui")
            expect(shown.page.locator("#connection")).to_have_text("reconnecting")
            expect(answer(shown, "Is data flowing?")).to_contain_text("Unknown")
            numbers = shown.page.locator("#figures dd")
            expect(numbers).to_have_text(["\u2013"] * numbers.count())  # what is not known is not 0
        expect(shown.page.locator("#connection")).to_have_text("live")


def test_everything_can_be_reached_with_the_tab_key(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        reached = []
        for _ in range(60):
            shown.page.keyboard.press("Tab")
            reached.append(shown.page.evaluate("document.activeElement.id || document.activeElement.ariaLabel"))
        assert reached[0] is None or reached[0] == ""  # the link that skips to the content
        assert {"theme", "filter", "symbols", "Restart router", "Pause router", "symbol", "chart", "jobs"} <= set(
            reached
        )
