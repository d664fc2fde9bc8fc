"""The candle chart: what it draws, what it reads out, and how it is moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.dashboard import dashboard, gap
from tests.eventually import eventually_sync
from tests.http.serving import MINUTE, NOW_MS, candle, store_rows

pytestmark = pytest.mark.browser

COLOURS = """node => {
  const found = new Set();
  for (const canvas of node.querySelectorAll("canvas")) {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    for (let at = 0; at < data.length; at += 4) if (data[at + 3]) found.add(data.slice(at, at + 3).join());
  }
  return [...found];
}"""


def colours(chart: Any) -> set[str]:
    """All that are painted, as red, green and blue."""
    return set(chart.evaluate(COLOURS))


def test_the_chart_tells_its_bars_its_gaps_and_its_repairs_to_eyes_and_keys(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    bars = [candle(NOW_MS - number * MINUTE) for number in (12, 11, 10, 2, 1)]
    store_rows(tmp_path, bars)
    with dashboard(browser, tmp_path) as shown:
        closed = gap("g2", NOW_MS - 2 * MINUTE, NOW_MS - MINUTE, status="closed", closed_ms=NOW_MS)
        shown.catalog.save_gaps([gap("g1", NOW_MS - 9 * MINUTE, NOW_MS - 2 * MINUTE), closed])
        shown.open()
        chart = shown.page.get_by_role("application", name="Candle chart of BTCUSDT, 1m: 5 bars, 1 gap, 1 repaired bar")
        expect(chart).to_be_visible()
        reading = shown.page.locator("#reading")
        expect(reading).to_contain_text("10-20 11:59")
        chart.focus()
        shown.page.keyboard.press("ArrowLeft")
        expect(reading).to_contain_text("10-20 11:58")
        expect(reading).to_contain_text("repaired")
        shown.page.keyboard.press("Home")
        expect(reading).to_contain_text("10-20 11:48")
        assert len(colours(chart)) > 20  # it is no empty canvas
        shown.page.get_by_role("radio", name="1h").check(force=True)
        expect(shown.page.locator("#chart-empty")).to_be_visible()


def test_a_missing_bar_is_hatched_and_a_repaired_one_is_tinted_in_either_theme(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "market").mkdir()
    store_rows(tmp_path, [candle(NOW_MS - number * MINUTE) for number in (12, 11, 10, 2, 1)])
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        chart = shown.page.get_by_role("application", name="Candle chart of BTCUSDT, 1m: 5 bars, 0 gaps")
        expect(chart).to_be_visible()
        plain = colours(chart)
        closed = gap("g2", NOW_MS - 2 * MINUTE, NOW_MS - MINUTE, status="closed", closed_ms=NOW_MS)
        shown.catalog.save_gaps([closed])
        shown.page.reload()
        expect(shown.page.get_by_role("application", name="0 gaps, 1 repaired bar")).to_be_visible()
        tinted = colours(shown.page.locator("#chart"))
        assert tinted - plain
        shown.catalog.save_gaps([gap("g1", NOW_MS - 9 * MINUTE, NOW_MS - 2 * MINUTE)])
        shown.page.reload()
        expect(shown.page.get_by_role("application", name="1 gap, 1 repaired bar")).to_be_visible()
        hatched = colours(shown.page.locator("#chart"))
        assert hatched - tinted
        shown.page.get_by_role("button", name="Use the light theme").click()
        expect(shown.page.locator("html")).to_have_attribute("data-theme", "light")
        assert colours(shown.page.locator("#chart")) != hatched


def test_wheel_drag_and_keys_move_the_axis_and_the_pointer_reads_a_bar(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "market").mkdir()
    store_rows(tmp_path, [candle(NOW_MS - number * MINUTE) for number in range(300, 0, -1)])
    with dashboard(browser, tmp_path) as shown:
        shown.open()
        chart = shown.page.get_by_role("application", name="Candle chart of BTCUSDT, 1m: 300 bars")
        expect(chart).to_be_visible()
        reading = shown.page.locator("#reading b").first
        expect(reading).to_have_text("10-20 11:59")

        def left() -> str:
            """The time of a bar at the left end of those in sight."""
            chart.hover(position={"x": 15, "y": 60})
            return str(reading.text_content())

        at_first = left()
        assert at_first < "10-20 11:00"

        def turned() -> bool:
            """Whether the wheel has brought the bar in the middle closer; it counts where the pointer is by then."""
            chart.hover()
            shown.page.mouse.wheel(0, -200)
            return left() > at_first

        eventually_sync(turned)
        closer = left()
        box = chart.bounding_box()
        assert box is not None
        shown.page.mouse.move(box["x"] + 100, box["y"] + 60)
        shown.page.mouse.down()
        shown.page.mouse.move(box["x"] + 300, box["y"] + 60, steps=4)
        shown.page.mouse.up()
        eventually_sync(lambda: left() < closer)
        shown.page.mouse.move(0, 0)
        expect(reading).to_have_text("10-20 11:59")  # the newest one, while none is pointed at
        chart.focus()
        shown.page.keyboard.press("0")
        eventually_sync(lambda: left() == at_first)
        shown.page.keyboard.press("+")
        eventually_sync(lambda: left() > at_first)
        shown.page.keyboard.press("-")
        shown.page.keyboard.press("Home")  # a bar that is out of sight comes into it
        expect(reading).to_have_text("10-20 07:00")
        eventually_sync(lambda: left() <= "10-20 07:05")
