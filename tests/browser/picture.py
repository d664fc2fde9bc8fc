"""The README's picture: the dashboard of a demo of which something is missing, in repair, and repaired.

`python -m tests.browser.picture .github/dashboard.png` takes some minutes: history and analytics are waited for.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.dashboard import ARGUMENTS, CHROMIUM, DESKTOP
from tests.eventually import eventually_sync
from tests.servers.command import Command

SYMBOLS = "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT"
VICTIM = "ingest/ETHUSDT"  # dies once, for the tree to show a restart and its cause
PRODUCTION = {"ack_wait_s": "30", "store_timeout_s": "5", "heartbeat_s": "2", "restart_backoff_s": "0.2"}
PATIENCE_S = 900.0
LOOK_S = 0.2
SPARK_S = 90  # until the curve of the events has its whole width
BYTES_MAX = 300_000

# What the picture is to show: a gap and repaired bars in the chart, a job under way, the end of the first history.
TELLING = """() => {
  const chart = document.getElementById("chart").getAttribute("aria-label");
  const repaired = Number(/(\\d+) repaired bars/.exec(chart)?.[1] ?? 0);
  const has = (selector) => document.querySelector(selector) !== null;
  const lacking = document.querySelectorAll("#symbols button:is([data-state=open], [data-state=backfilling])");
  const told = Number(/In (\\d+) symbol/.exec(document.querySelector("#missing .reason").textContent)?.[1]);
  if (lacking.length !== told) return false; // the list of those that have ended is being asked for
  return / [1-9]\\d* gaps?,/.test(chart) && repaired >= 3 && has("#jobs progress:not(.ended)")
    && has("#analytics .badge") && !has("#symbols tbody .hour[data-state=none]");
}"""


def main() -> int:
    """Start the demo, wait until it has something to show, and write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.picture", description=__doc__)
    parser.add_argument("file", type=Path)
    file: Path = parser.parse_args().file
    settings = {**PRODUCTION, "enable_backfiller": "true", "enable_analytics": "true"}
    with (
        tempfile.TemporaryDirectory(prefix="picture-") as folder,
        (demo := Command(Path(folder), "demo", symbols=SYMBOLS, **settings)).starting(),
        sync_playwright() as playwright,
    ):
        demo.wait(lambda: demo.get("/health/readiness")[0] == 200, PATIENCE_S)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": DESKTOP[0], "height": DESKTOP[1]}, color_scheme="dark")
        port = json.loads((demo.data_dir / "http.json").read_text())["api_port"]
        page.goto(f"http://127.0.0.1:{port}/ui")
        page.wait_for_timeout(SPARK_S * 1000)
        os.kill(demo.actor(VICTIM)["pid"], signal.SIGKILL)
        eventually_sync(lambda: page.evaluate(TELLING), PATIENCE_S, LOOK_S)
        page.screenshot(path=file)
        browser.close()
    size = file.stat().st_size
    print(f"{file}: {size:,} bytes", file=sys.stderr)
    return 0 if size <= BYTES_MAX else 1


if __name__ == "__main__":
    sys.exit(main())
