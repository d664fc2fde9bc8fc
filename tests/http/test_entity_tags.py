"""A client that has the rows is not sent them again, and one that has others always is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from data_manager.http.entity_tags import is_known, weak_tag
from data_manager.storage.sqlite import SqliteMarketStore
from tests.http.serving import BTC, MINUTE, NOW_MS, Api, StillClock, candle, serving

PAGE = {"pair": BTC, "period": "1m"}


def with_bars(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 9)])
            await check(api)

    asyncio.run(run())


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_equal_content_has_equal_tags_and_other_content_others(one: bytes, other: bytes) -> None:
    assert (weak_tag(one) == weak_tag(other)) == (one == other)


def test_a_tag_is_the_same_in_every_process() -> None:
    code = "from data_manager.http.entity_tags import weak_tag; print(weak_tag(b'a', b'b'))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert made == weak_tag(b"a", b"b") == weak_tag(b"ab")


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ('W/"{}"', True),
        ('"{}"', True),  # weak comparison, as If-None-Match asks for
        ('"x", W/"{}"', True),
        ("*", True),
        ('W/"x"', False),
        ("{}", False),
        ("", False),
        ('"', False),
        (",,,", False),
        (None, False),
    ],
)
def test_a_client_may_name_what_it_has_in_every_form(header: str | None, known: bool) -> None:
    tag = weak_tag(b"rows")
    named = {} if header is None else {"If-None-Match": header.replace("{}", tag[3:-1])}
    assert is_known(make_mocked_request("GET", "/", headers=named), tag) is known


def test_a_page_is_sent_once_while_its_rows_are_the_same(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        first = await api.get("/data/candles", **PAGE)
        tag = first.headers["ETag"]
        assert tag.startswith('W/"')
        assert first.headers["Cache-Control"] == "no-cache"
        assert first.headers["Vary"] == "Accept"
        api.clock.us += 1_500_000  # the range's end moves, its rows do not
        for method in ("GET", "HEAD"):
            again = await api.request(method, "/data/candles", params=PAGE, headers={"If-None-Match": tag})
            assert (again.status, again.body) == (304, b"")
            assert again.headers["ETag"] == tag
            assert again.headers["Cache-Control"] == "no-cache"
            assert again.headers["Vary"] == "Accept"
        assert (await api.get("/data/candles", **PAGE)).headers["ETag"] == tag

    with_bars(tmp_path, check)


def test_a_new_row_a_repaired_one_and_another_place_have_other_tags(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        tags = [(await api.get("/data/candles", **PAGE)).headers["ETag"]]
        store = SqliteMarketStore(tmp_path / "market", clock=StillClock())
        assert store.merge(BTC, [candle(NOW_MS - 5 * MINUTE, close="42001.5", source="rest")]).replaced == 1
        store.close()
        tags.append((await api.get("/data/candles", **PAGE)).headers["ETag"])
        api.store([candle(NOW_MS - 20 * MINUTE)])
        tags.append((await api.get("/data/candles", **PAGE)).headers["ETag"])
        tags.append((await api.get("/data/candles", **PAGE, limit=3)).headers["ETag"])
        tags.append((await api.get("/data/candles", **PAGE, limit=3, sort_order="asc", offset=5)).headers["ETag"])
        assert len(set(tags)) == len(tags)
        known = await api.request("GET", "/data/candles", params=PAGE, headers={"If-None-Match": tags[0]})
        assert known.status == 200

    with_bars(tmp_path, check)


def test_when_rows_were_stored_changes_no_tag(tmp_path: Path) -> None:
    async def run() -> list[tuple[str, str]]:
        found = []
        for name, stored_ms in (("a", NOW_MS), ("b", NOW_MS + 7)):
            (tmp_path / name).mkdir()
            async with serving(tmp_path / name) as api:
                api.store([candle(NOW_MS - MINUTE, stored_ms=stored_ms)])
                answer = await api.get("/data/candles", **PAGE)
                found.append((answer.headers["ETag"], answer.body["metadata"]["last_updated"]))
        return found

    one, other = asyncio.run(run())
    assert one[0] == other[0]
    assert one[1] != other[1]


def test_a_large_page_differs_by_what_its_client_unpacks_too(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(9, 600)])
        answer = await api.get("/data/candles", **PAGE, limit=500)
        assert answer.headers["Vary"] == "Accept, Accept-Encoding"

    with_bars(tmp_path, check)
