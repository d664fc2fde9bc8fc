"""Verdicts and ratios of figures, and what is printed of them."""

from __future__ import annotations

import json

import pytest

from tests.bench.table import Figure, render, score, to_json

RATE = Figure("rate", 30_000, "events/s", 20_000)
SLOW = Figure("p99", 60.0, "ms", 30, "lower")
LOST = Figure("lost", 0, "", 0, "lower")
SEEN = Figure("server", 12.34, "µs/event")


@pytest.mark.parametrize(
    ("figure", "met", "ratio"),
    [
        (RATE, True, 1.5),
        (RATE._replace(value=20_000), True, 1.0),
        (RATE._replace(value=19_999), False, pytest.approx(0.99995)),
        (SLOW, False, 0.5),
        (SLOW._replace(value=30.0), True, 1.0),
        (LOST, True, None),
        (LOST._replace(value=1), False, None),
        (LOST._replace(value=-1), True, None),
        (SEEN, None, None),
    ],
)
def test_a_figure_meets_its_target_from_the_better_side(figure: Figure, met: bool | None, ratio: float | None) -> None:
    assert (figure.met, figure.ratio) == (met, ratio)


def test_a_figure_of_zero_has_no_ratio_where_less_is_better() -> None:
    assert SLOW._replace(value=0).ratio is None
    assert RATE._replace(value=0).ratio == 0


def test_the_last_line_counts_only_figures_with_a_target() -> None:
    figures = [RATE, SLOW, LOST, SEEN]
    assert score(figures) == (2, 3)
    assert render(figures).splitlines()[-1] == "2 of 3 targets met"


def test_the_table_puts_every_figure_beside_its_target() -> None:
    lines = [line.split("  ") for line in render([RATE, SLOW, SEEN]).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[1] == ["rate", "30,000 events/s", ">= 20,000", "1.50", "met"]
    assert cells[2] == ["p99", "60 ms", "<= 30", "0.50", "BELOW"]
    assert cells[3] == ["server", "12.3 µs/event"]


def test_the_columns_of_the_table_line_up() -> None:
    head, *rows = render([RATE, SLOW, SEEN]).splitlines()[:4]
    end = head.index("figure") + len("figure")
    assert all(row[end - 1] != " " and row[end : end + 2].strip() == "" for row in rows)


def test_programs_get_the_same_figures_with_their_verdicts() -> None:
    read = json.loads(to_json([RATE, LOST, SEEN], machine={"cpu": "2 x any"}))
    assert (read["met"], read["targets"], read["machine"]) == (2, 2, {"cpu": "2 x any"})
    assert [figure["met"] for figure in read["figures"]] == [True, True, None]
    assert read["figures"][0] == {**RATE._asdict(), "ratio": 1.5, "met": True}
