"""Figures beside their targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

Better = Literal["higher", "lower"]


class Figure(NamedTuple):
    """One measured number; without a target it is there to compare with."""

    name: str
    value: float
    unit: str
    target: float | None = None
    better: Better = "higher"

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.target is None:
            return None
        return self.value >= self.target if self.better == "higher" else self.value <= self.target

    @property
    def ratio(self) -> float | None:
        """How many times better than the target; None without one, or where it is zero."""
        if not self.target or (self.better == "lower" and not self.value):
            return None
        return self.value / self.target if self.better == "higher" else self.target / self.value


def render(figures: Sequence[Figure]) -> str:
    """The table, and in the last line how many targets were met."""
    rows = [("", "figure", "target", "ratio", ""), *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        "  ".join(
            cell.ljust(width) if column in (0, 4) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    met, targets = score(figures)
    return "\n".join([*lines, "", f"{met} of {targets} targets met"])


def score(figures: Sequence[Figure]) -> tuple[int, int]:
    """Targets met, and targets."""
    verdicts = [figure.met for figure in figures if figure.met is not None]
    return sum(verdicts), len(verdicts)


def to_json(figures: Sequence[Figure], **about: Mapping[str, str]) -> str:
    """The same for programs."""
    values = [{**figure._asdict(), "ratio": figure.ratio, "met": figure.met} for figure in figures]
    met, targets = score(figures)
    return json.dumps({**about, "met": met, "targets": targets, "figures": values}, indent=2)


def _row(figure: Figure) -> tuple[str, str, str, str, str]:
    sign = ">=" if figure.better == "higher" else "<="
    return (
        figure.name,
        f"{_number(figure.value)} {figure.unit}".rstrip(),
        "" if figure.target is None else f"{sign} {_number(figure.target)}",
        "" if figure.ratio is None else f"{figure.ratio:.2f}",
        {None: "", True: "met", False: "BELOW"}[figure.met],
    )


def _number(value: float) -> str:
    """Three digits or more, and no more decimals than they need."""
    if value == round(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
