"""How commands show times, durations and tables. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

MINUTE, HOUR = 60, 3600
ESTIMATED_FROM = 0.001  # of the whole; before that what is left would be a guess


def when(moment: datetime) -> str:
    """A time in UTC, to the second unless it has a part of one; what `--from` and `--to` take."""
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"{text.removesuffix('.000')}Z"


def lasting(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), MINUTE)
    if seconds < HOUR:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, MINUTE)
    return f"{hours} h {minutes} min"


def counted(number: int, noun: str) -> str:
    """So many of something, whose plural takes an s."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def pace(done: int, noun: str, share: float | None, seconds: float) -> str:
    """How many are done, how fast, and how long the rest takes at that rate where `share`, the part done, is known."""
    known = [counted(done, noun)]
    if seconds > 0:
        known.append(f"{done / seconds:,.0f} a second")
    if share is not None and ESTIMATED_FROM <= share < 1:
        known.append(f"{lasting(seconds * (1 - share) / share)} left")
    return ", ".join(known)


def printable(text: str) -> str:
    """Text that others wrote, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def columns(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, its columns as wide as their widest entry."""
    table = [heading, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )
