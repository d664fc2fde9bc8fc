"""Telling how far something is, with rate and time left: a bar on a terminal, else a line now and then; on stderr.

with progress(SystemClock(), "row") as tell:
    tell(rows, rows / all_rows)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from data_manager.system.clock import Clock
from data_manager.system.commands.showing import pace

TELL_EVERY_S = 5.0  # between lines where there is no terminal

Tell = Callable[[int, float | None], None]  # how many are done, and which part of all that is; None: nobody knows


@contextmanager
def progress(clock: Clock, noun: str) -> Iterator[Tell]:
    """How to tell what is done while the block runs, in so many of a noun."""
    started = clock.monotonic()

    def words(done: int, share: float | None) -> str:
        return pace(done, noun, share, clock.monotonic() - started)

    if not sys.stderr.isatty():
        yield in_lines(clock, words)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting", total=None)  # without a total the bar only shows that it is alive

        def show(done: int, share: float | None) -> None:
            total = None if share is None else 1.0
            bar.update(task, description=words(done, share), total=total, completed=share or 0.0)

        yield show


def in_lines(clock: Clock, words: Callable[[int, float | None], str]) -> Tell:
    """Tell by a line, at most every TELL_EVERY_S: what takes no longer is not told at all."""
    told_at = clock.monotonic()

    def tell(done: int, share: float | None) -> None:
        nonlocal told_at
        if clock.monotonic() - told_at >= TELL_EVERY_S:
            told_at = clock.monotonic()
            typer.echo(words(done, share), err=True)

    return tell
