from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.http import paging
from data_manager.http.errors import Refusal
from data_manager.http.paging import Page, ceil_ms, links, page_of, pagination, query_for, span
from data_manager.http.params import EPOCH, RangeParams
from data_manager.storage.protocols import COUNT_CAP, Query
from data_manager.storage.records import Trade
from tests.http.serving import BTC, MINUTE, NOW_MS, candle, serving, trade

DAY = timedelta(days=1)
NOW = EPOCH + timedelta(milliseconds=1_000_000)
BACK = timedelta(milliseconds=200)


class Table:
    """Rows in memory, read as the MarketStore protocol says."""

    def __init__(self, times: list[int]) -> None:
        self.rows = [trade(number, time) for number, time in enumerate(sorted(times), 1)]

    def matching(self, query: Query) -> list[Trade]:
        start = query.start_ms if query.start_ms is not None else 0
        end = query.end_ms if query.end_ms is not None else 10**15
        found = [row for row in self.rows if start <= row.time_ms < end]
        return found[::-1] if query.descending else found

    def page(self, params: dict[str, str]) -> tuple[Page[Trade], dict[str, dict[str, str]]]:
        asked = RangeParams.model_validate({"pair": "BTCUSDT", **params})
        within = span(asked, NOW, BACK)
        query = query_for(asked, within, ())
        found = self.matching(query)[query.offset : query.offset + query.limit]

        def older() -> int | None:
            before = self.matching(Query(end_ms=within.start_ms, descending=True))
            return before[0].time_ms if before else None

        def passed(edge_ms: int) -> int:
            return sum(row.time_ms > edge_ms if query.descending else row.time_ms < edge_ms for row in matching)

        matching = self.matching(query)
        page = page_of(asked, found, lambda cap: min(cap, len(matching)), older, passed)
        return page, links(asked, within, page)

    def walk(self, params: dict[str, str], relation: str) -> list[list[int]]:
        pages = []
        while True:
            page, onward = self.page(params)
            pages.append([row.trade_id for row in page.rows])
            if relation not in onward:
                return pages
            params = onward[relation]
            assert len(pages) < 1000, "the links go round in circles"


times = st.lists(st.integers(999_000, 1_000_100) | st.integers(999_900, 999_905), max_size=60)
limits = st.integers(1, 12)


@settings(derandomize=True, deadline=None)
@given(times, limits)
def test_walking_back_from_the_newest_rows_yields_every_row_before_now_once(times: list[int], limit: int) -> None:
    table = Table(times)
    pages = table.walk({"limit": str(limit)}, "prev")
    assert all(page == sorted(page) for page in pages)
    walked = [number for page in reversed(pages) for number in page]
    assert walked == [row.trade_id for row in table.rows if row.time_ms < 1_000_000]


@settings(derandomize=True, deadline=None)
@given(times, limits, st.sampled_from(["asc", "desc"]))
def test_walking_a_range_by_next_yields_every_row_of_it_once(times: list[int], limit: int, order: str) -> None:
    table = Table(times)
    pages = table.walk({"limit": str(limit), "sort_order": order}, "next")
    walked = [number for page in pages for number in page]
    expected = [row.trade_id for row in table.rows if 999_800 <= row.time_ms < 1_000_000]
    assert walked == (expected if order == "asc" else expected[::-1])


crowded = st.lists(st.integers(999_900, 999_903), max_size=60)  # many rows a millisecond


@settings(derandomize=True, deadline=None, max_examples=400)
@given(times | crowded, limits, st.sampled_from(["asc", "desc"]), st.integers(0, 9), st.integers(0, 59))
def test_next_goes_on_beyond_the_largest_offset_from_any_start(
    times: list[int], limit: int, order: str, largest: int, offset: int
) -> None:
    table = Table(times)
    expected = [row.trade_id for row in table.rows if 999_800 <= row.time_ms < 1_000_000]
    if order == "desc":
        expected.reverse()
    most = max(map(times.count, times), default=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "OFFSET_MAX", max(largest, most))
        pages = table.walk({"limit": str(limit), "sort_order": order, "offset": str(offset)}, "next")
    assert [number for page in pages for number in page] == expected[offset:]


@settings(derandomize=True, deadline=None, max_examples=400)
@given(crowded, limits, st.integers(0, 59))
def test_walking_back_from_any_skip_yields_every_row_before_it_once(times: list[int], limit: int, skip: int) -> None:
    table = Table(times)
    pages = table.walk({"limit": str(limit), "skip": str(skip)}, "prev")
    walked = [number for page in reversed(pages) for number in page]
    assert walked == [row.trade_id for row in table.rows][: max(0, len(times) - skip)]


def test_no_link_has_an_offset_that_would_be_refused() -> None:
    table = Table([999_900] * 30 + [999_901])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "OFFSET_MAX", 9)
        for params in ({"sort_order": "asc"}, {"sort_order": "desc"}, {}):
            page, onward = table.page({"limit": "10", "offset": "9"} | params if params else {"limit": "20"})
            assert page.more
            assert all(int(fields.get("offset", 0)) <= 9 for fields in onward.values())
            assert all(int(fields.get("skip", 0)) <= 9 for fields in onward.values())


@settings(derandomize=True, deadline=None)
@given(times, limits, st.integers(0, 60))
def test_prev_leads_back_from_any_offset_to_the_first_row(times: list[int], limit: int, offset: int) -> None:
    table = Table(times)
    pages = table.walk({"limit": str(limit), "offset": str(offset)}, "prev")
    walked = [number for page in reversed(pages) for number in page]
    expected = [row.trade_id for row in table.rows if 999_800 <= row.time_ms < 1_000_000]
    assert walked == expected[: offset + limit]


@settings(derandomize=True, deadline=None)
@given(times, limits, st.integers(0, 60))
def test_totals_are_exact_below_the_cap(times: list[int], limit: int, offset: int) -> None:
    table = Table(times)
    expected = sum(999_800 <= row.time_ms < 1_000_000 for row in table.rows)
    for params in (
        {"offset": str(offset)},
        {"skip": str(offset)},
        {"offset": str(offset), "sort_order": "desc"},
    ):
        page, _ = table.page({"limit": str(limit), **params})
        assert (page.total, page.total_is_lower_bound) == (expected, False)


def asked_page(params: dict[str, object], rows: int, counted: int) -> tuple[RangeParams, Page[Trade]]:
    asked = RangeParams.model_validate({"pair": "BTCUSDT", **params})
    found = [trade(number, number) for number in range(rows)]
    return asked, page_of(asked, found, lambda cap: min(cap, counted), lambda: None, lambda edge_ms: 0)


@pytest.mark.parametrize(
    ("counted", "total", "bounded"),
    [
        (COUNT_CAP - 1, 9_999, False),
        (COUNT_CAP, 10_000, False),
        (COUNT_CAP + 1, 10_000, True),
        (10**6, 10_000, True),
    ],
)
def test_a_total_above_the_cap_is_a_lower_bound(counted: int, total: int, bounded: bool) -> None:
    asked, page = asked_page({"offset": 0, "limit": 10}, 11, counted)
    answer = pagination(asked, page)
    assert (answer["total"], answer["total_is_lower_bound"], answer["pages"]) == (total, bounded, 1000)
    assert (answer["page"], answer["has_next"]) == (1, True)


def test_a_lower_bound_is_never_below_what_was_seen() -> None:
    asked, page = asked_page({"offset": 50_000, "limit": 10}, 11, 10**6)
    assert page.total == 50_011
    asked, page = asked_page({"offset": 50_000, "limit": 10}, 7, 10**6)
    assert (page.total, page.total_is_lower_bound) == (50_007, False)
    assert pagination(asked, page)["page"] == 5001


def test_the_place_of_the_newest_page_in_an_uncounted_range_is_null() -> None:
    asked, page = asked_page({"limit": 10}, 11, 10**6)
    answer = pagination(asked, page)
    assert answer["offset"] is answer["page"] is None
    assert answer["has_previous"]


def test_an_offset_beyond_the_end_is_an_empty_page_with_the_total() -> None:
    asked, page = asked_page({"offset": 500, "limit": 10}, 0, 42)
    assert pagination(asked, page) == {
        "total": 42,
        "limit": 10,
        "offset": 500,
        "page": 51,
        "pages": 5,
        "has_next": False,
        "has_previous": True,
        "total_is_lower_bound": False,
    }


@pytest.mark.parametrize(("microseconds", "ms"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2), (10**15, 10**12)])
def test_bounds_round_up_to_the_next_whole_millisecond(microseconds: int, ms: int) -> None:
    assert ceil_ms(EPOCH + timedelta(microseconds=microseconds)) == ms


def test_an_empty_range_is_refused() -> None:
    asked = RangeParams.model_validate({"pair": "BTCUSDT", "start": "10", "end": "10"})
    with pytest.raises(Refusal) as refused:
        span(asked, NOW, DAY)
    assert refused.value.status == 422


def test_links_over_http_walk_trades_that_share_a_millisecond(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            api.store([trade(number, NOW_MS - 3 + number // 50) for number in range(1, 131)])
            api.store([trade(1000 + number, NOW_MS - 5 * 3_600_000 + number) for number in range(9)])
            seen: list[int] = []
            path = "/data/trades?pair=BTCUSDT&limit=7&dialect=head"
            while True:
                answer = await api.request("GET", path)
                seen = [row["trade_id"] for row in answer.body["data"]] + seen
                assert "values" not in answer.body
                if "prev" not in answer.links:
                    break
                path = str(answer.links["prev"]["url"].relative())
            assert seen == [*range(1000, 1009), *range(1, 131)]

    asyncio.run(run())


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_links_over_http_go_on_beyond_the_largest_offset(
    tmp_path: Path, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "OFFSET_MAX", 60)

    async def run() -> None:
        async with serving(tmp_path) as api:
            api.store([trade(number, NOW_MS - 3 + number // 50) for number in range(1, 131)])
            seen: list[int] = []
            path = f"/data/trades?pair=BTCUSDT&limit=7&dialect=head&sort_order={order}"
            while True:
                answer = await api.request("GET", path)
                seen += [row["trade_id"] for row in answer.body["data"]]
                assert int(answer.body["pagination"]["offset"]) <= 60
                if "next" not in answer.links:
                    break
                path = str(answer.links["next"]["url"].relative())
            assert seen == sorted(range(1, 131), reverse=order == "desc")

    asyncio.run(run())


def test_links_keep_the_parameters_and_pin_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 11)])
            first = await api.get("/data/candles", pair=BTC, period="1m", limit=4, sort_order="asc", dialect="v11")
            api.clock.us += 60_000_000
            api.store([candle(NOW_MS)])
            assert dict(first.links["next"]["url"].query) == {
                "pair": "BTCUSDT",
                "period": "1m",
                "dialect": "v11",
                "sort_order": "asc",
                "start": "2025-10-19T12:00:00.000000Z",
                "end": "2025-10-20T12:00:00.000000Z",
                "offset": "4",
                "limit": "4",
            }
            seen = [row["timestamp"] for row in first.body["values"]]
            answer = first
            while "next" in answer.links:
                answer = await api.request("GET", str(answer.links["next"]["url"].relative()))
                seen += [row["timestamp"] for row in answer.body["values"]]
            assert len(seen) == len(set(seen)) == 10
            assert answer.body["pagination"]["total"] == 10

    asyncio.run(run())
