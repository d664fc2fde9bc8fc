"""The dashboard in a headless Chromium, on a service of which a test sets tree, catalog and store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

from data_manager.storage.protocols import Gap, Job
from data_manager.system.messages import ActorView
from data_manager.system.metrics import Series
from tests.http.serving import MINUTE, NOW_MS, actor, replace, tree
from tests.servers.api import ServedApi, served_api

CHROMIUM = shutil.which("chromium")  # the system's own; `make browser` says so where there is none
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
DESKTOP = (1440, 900)
PHONE = (390, 844)
PATIENCE_MS = 15_000  # the machine may be busy

expect.set_options(timeout=PATIENCE_MS)


class Dashboard:
    """The page, and the service behind it."""

    def __init__(self, page: Page, served: ServedApi) -> None:
        self.page = page
        self.served = served
        self.catalog = served.catalog
        self.commands: list[tuple[str, str]] = served.system.commands

    def have(self, *actors: ActorView, after_s: int = 0, counted: dict[str, int] | None = None, **changes: Any) -> None:
        """Let the supervisor report these, so long after the beginning, with so many events stored of each symbol."""
        counters = dict(stored(symbol, events) for symbol, events in (counted or {}).items())
        counters |= changes.pop("counters", {})
        self.served.system.latest = tree(*actors, taken_ms=NOW_MS + 1000 * after_s, counters=counters, **changes)

    def open(self) -> None:
        """Load it, and wait until it shows what the service says."""
        self.page.goto(f"{self.served.url}/ui")
        expect(self.page.locator("#connection")).to_have_text("live")
        expect(self.page.locator("#tree tbody th").first).to_be_visible()

    def row(self, table: str, name: str) -> Any:
        """The row of that name in the table of a panel."""
        header = self.page.get_by_role("rowheader", name=name, exact=True)
        return self.page.locator(f"#{table} tbody tr").filter(has=header)


@contextmanager
def dashboard(
    browser: Browser, folder: Path, *, size: tuple[int, int] = DESKTOP, scheme: Any = "dark", **options: Any
) -> Iterator[Dashboard]:
    """A tab of its own, whose clock begins at the service's; what its console says in the end fails the test."""
    with served_api(folder, **options) as served:
        context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE_MS)
        try:
            page = context.new_page()
            page.clock.set_fixed_time(datetime.fromtimestamp(NOW_MS / 1000 + 1, UTC))
            said: list[str] = []
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("console", lambda message: said.append(message.text) if expected_not(message.text) else None)
            shown = Dashboard(page, served)
            shown.have(*working())
            yield shown
            assert not said, said
        finally:
            context.close()


def expected_not(text: str) -> bool:
    """Chromium itself logs every answer that refuses something, and every connection that breaks off."""
    return not text.startswith("Failed to load resource") and "net::ERR_" not in text


def working() -> list[ActorView]:
    """A tree at work."""
    names = ("http", "ingest/BTCUSDT", "ingest/ETHUSDT", "router", "auditor", "backfill", "analytics")
    return [actor(name, detail="delivery=jetstream" if name == "router" else "") for name in names]


def stored(symbol: str, events: float, outcome: str = "stored") -> tuple[Series, float]:
    """A count of the ledger."""
    labels = (("event_type", "trade"), ("outcome", outcome), ("symbol", symbol))
    return ("data_manager_events_total", labels), float(events)


def gap(gap_id: str, start_ms: int, end_ms: int, **changes: Any) -> Gap:
    """A gap of minutes of BTCUSDT."""
    found = Gap(
        gap_id,
        "candles_BTCUSDT_1m",
        "BTCUSDT",
        "candles",
        "1m",
        start_ms,
        end_ms,
        "open",
        "lost by the feed",
        "ids 17 to 42 were never seen",
        NOW_MS,
        NOW_MS,
    )
    return replace(found, changes)


def job(job_id: str, **changes: Any) -> Job:
    """A job that runs."""
    running = Job(
        job_id,
        "BTCUSDT",
        "candles",
        "1m",
        NOW_MS - 60 * MINUTE,
        NOW_MS,
        "running",
        NOW_MS - 20_000,
        progress=40.0,
        records_fetched=600,
        started_ms=NOW_MS - 10_000,
        reason="gap",
    )
    return replace(running, changes)


def texts(locator: Any) -> Sequence[str]:
    """What each of them shows, trimmed."""
    return [text.strip() for text in locator.all_inner_texts()]
