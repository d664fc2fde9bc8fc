"""Copying write-ahead logs back into their files, beside the writer instead of in its way.

A checkpoint ends in two fsyncs, 20 to 30 ms on a cloud disk; in the writer's thread that is the 99th percentile
of its commits. A passive checkpoint on another connection stops nobody, but a log is reused only after one that
copied all of it, which a busy writer outruns: beyond MAX_FRAMES the writer makes one itself.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

EVERY_S = 1.0
MAX_FRAMES = 8_000  # of 4 KiB: 32 MiB of log, read again after a crash in a fraction of a second


class Checkpointer:
    """Checkpoints the files that it is told were written, on one thread; `overdue` are those it cannot keep up with."""

    def __init__(self) -> None:
        self._written: set[Path] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = False
        self._thread: threading.Thread | None = None
        self.overdue: set[Path] = set()

    def wrote(self, path: Path) -> None:
        """Something was committed to the file."""
        with self._lock:
            self._written.add(path)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread, after the checkpoint under way; closing the last connection makes the last one."""
        self._stop = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._wake.wait(EVERY_S) and not self._stop:
            with self._lock:
                written, self._written = self._written, set()
            for path in written:
                if frames_after_checkpoint(path) > MAX_FRAMES:
                    self.overdue.add(path)


def frames_after_checkpoint(path: Path) -> int:
    """Make a passive checkpoint and return the length of the log in frames.

    Where that fails the log counts as too long: the writer tries itself, and its error has somebody to go to.
    """
    try:
        connection = sqlite3.connect(path, timeout=0)
        try:
            _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return MAX_FRAMES + 1
    return int(frames)
