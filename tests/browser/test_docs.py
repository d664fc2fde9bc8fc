"""The page of the API in a browser that lets it load nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from data_manager.http.app import OPERATIONS
from tests.servers.api import served_api

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    with served_api(tmp_path) as served:
        context = browser.new_context(base_url=served.url, viewport={"width": 1440, "height": 900})
        yield context.new_page()
        context.close()


def test_every_operation_is_shown_and_nothing_is_asked_elsewhere(page: Page) -> None:
    elsewhere: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if "127.0.0.1" not in request.url else None)
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/docs")
    expect(page.locator(".opblock")).to_have_count(len(OPERATIONS))
    page.locator("#operations-gaps-get_gaps").click()
    expect(page.locator("#operations-gaps-get_gaps")).to_contain_text("The gaps that match, the latest first.")
    assert [url for url in elsewhere if not url.startswith("data:")] == []
    assert complaints == []


def test_an_operation_can_be_tried(page: Page) -> None:
    page.goto("/docs")
    operation: Any = page.locator("#operations-health-get_health_liveness")
    operation.click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_contain_text('"status": "ok"')


def test_the_dashboard_leads_here_and_back(page: Page) -> None:
    page.goto("/ui")
    page.locator("a[href='/docs']").first.click()
    expect(page.locator(".opblock").first).to_be_visible()
    page.get_by_role("link", name="dashboard").click()
    expect(page).to_have_title("Petrosa Data Manager")
