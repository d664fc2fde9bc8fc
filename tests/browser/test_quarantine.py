"""The quarantine: what could not be used, its bytes, and its way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from data_manager.storage.records import ALL_SYMBOLS, Symbol
from tests.browser.dashboard import dashboard, stored, texts, working
from tests.http.serving import NOW_MS, store_rows
from tests.servers.nats import NatsServer
from tests.storage.examples import quarantined

pytestmark = pytest.mark.browser

TOKEN = "correct horse battery staple"
RAW = b'{"e":"trade","E":1760961600000,"s":"BTCUSDT","p":"x"}'


@pytest.fixture(autouse=True)
def folder_of_the_market(tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()


def test_while_every_event_could_be_used_it_says_so(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        expect(shown.page.locator("#quarantine")).to_contain_text("Every event could be used.")


def test_events_are_listed_with_their_reasons_the_newest_first(browser: Browser, tmp_path: Path) -> None:
    store_rows(tmp_path, [quarantined(7, raw=RAW, received_ms=NOW_MS - 60_000, stored_ms=NOW_MS - 60_000)])
    nobodys = quarantined(8, event_type="unknown", reason="not_json", raw=b"?", received_ms=NOW_MS, stored_ms=NOW_MS)
    store_rows(tmp_path, [nobodys], symbol=ALL_SYMBOLS)
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        rows = shown.page.locator("#quarantine tbody tr:not([aria-hidden])")
        expect(rows).to_have_count(2)
        assert texts(rows.nth(0).locator("td"))[:3] == ["no symbol", "unknown", "not_json"]
        assert texts(rows.nth(1).locator("td"))[:3] == ["BTCUSDT", "trade", "bad_shape"]
        expect(shown.page.locator("#quarantine-count")).to_have_text("2 events")


def test_the_list_grows_when_the_counters_say_that_there_is_more(browser: Browser, tmp_path: Path) -> None:
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        store_rows(tmp_path, [quarantined(3)], symbol=Symbol("ETHUSDT"))
        shown.have(*working(), after_s=1, counters=dict([stored("ETHUSDT", 1, "quarantined")]))
        expect(shown.page.locator("#quarantine tbody tr:not([aria-hidden])")).to_contain_text("ETHUSDT")
        figure = shown.page.locator("#figures > div").filter(has_text="quarantined")
        expect(figure.locator("dd")).to_have_text("1")


def test_the_enter_key_shows_an_event_with_its_bytes_as_text_or_in_base64(browser: Browser, tmp_path: Path) -> None:
    store_rows(tmp_path, [quarantined(7, raw=RAW, received_ms=NOW_MS, stored_ms=NOW_MS)])
    store_rows(tmp_path, [quarantined(6, raw=b"\xff\xfe", received_ms=NOW_MS - 60_000, stored_ms=NOW_MS - 60_000)])
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        quarantine = shown.page.locator("#quarantine")
        first = quarantine.get_by_role("button", name="10-20 12:00", exact=True)
        first.press("Enter")
        dialog = shown.page.get_by_role("dialog", name="BTCUSDT, bad_shape")
        expect(dialog).to_contain_text("price is missing - at `$.p`")
        expect(dialog).to_contain_text("53 bytes, as text")
        expect(dialog.get_by_role("region", name="Bytes of the event")).to_have_text(RAW.decode())
        shown.page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(first).to_be_focused()
        quarantine.get_by_role("button", name="10-20 11:59", exact=True).click()
        expect(dialog).to_contain_text("2 bytes, as base64")
        expect(dialog.get_by_role("region", name="Bytes of the event")).to_have_text("//4=")
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()


def test_replay_asks_for_the_token_and_publishes_the_event_from_its_line_and_from_its_dialog(
    browser: Browser, tmp_path: Path
) -> None:
    store_rows(tmp_path, [quarantined(7, raw=RAW, received_ms=NOW_MS, stored_ms=NOW_MS)])
    with (
        NatsServer(tmp_path / "nats", jetstream=False) as nats,
        dashboard(browser, tmp_path, token=TOKEN, nats_url=nats.url) as shown,
    ):
        shown.open()
        told = shown.page.get_by_role("status")
        replay = shown.page.get_by_role("button", name="Replay BTCUSDT-5-7")
        replay.click()
        shown.page.get_by_label("Token", exact=True).fill(TOKEN)
        shown.page.get_by_role("button", name="Go on").click()
        expect(told).to_have_text("BTCUSDT-5-7 is on its way again.")
        expect(replay).to_be_focused()
        told.evaluate("node => { node.textContent = ''; }")
        shown.page.locator("#quarantine").get_by_role("button", name="10-20 12:00", exact=True).click()
        shown.page.get_by_role("dialog").get_by_role("button", name="Replay").click()
        expect(told).to_have_text("BTCUSDT-5-7 is on its way again.")


def test_why_an_event_cannot_be_replayed_is_said_in_the_services_words(browser: Browser, tmp_path: Path) -> None:
    undated = b'{"lastUpdateId":1,"bids":[],"asks":[]}'
    store_rows(tmp_path, [quarantined(7, raw=undated, received_ms=NOW_MS, stored_ms=NOW_MS)])
    with dashboard(browser, tmp_path, token=TOKEN) as shown:
        shown.open()
        shown.page.get_by_role("button", name="Replay BTCUSDT-5-7").click()
        shown.page.get_by_label("Token", exact=True).fill(TOKEN)
        shown.page.get_by_role("button", name="Go on").click()
        expect(shown.page.get_by_role("status")).to_contain_text("2025-10-20T12:00:00")
