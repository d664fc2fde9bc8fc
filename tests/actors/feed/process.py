"""`data-manager feed` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_manager.system.settings_sources import NAMES


class FeedProcess:
    """The command in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / "feed.log"
        clean = {name: value for name, value in os.environ.items() if name not in NAMES}
        command = [sys.executable, "-m", "data_manager", "feed", *arguments]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, env=clean, stdout=log, stderr=subprocess.PIPE, text=True)

    def lines(self) -> list[dict[str, Any]]:
        """Its log so far; every line must be JSON."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15)


@contextmanager
def feed_command(folder: Path, *arguments: str) -> Iterator[FeedProcess]:
    feed = FeedProcess(folder, *arguments)
    try:
        yield feed
    finally:
        feed.process.kill()
        feed.process.communicate()
