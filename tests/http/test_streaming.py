"""Lists as NDJSON and CSV: the rows of a page and more, block by block, and an end that tells whether it is one."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.http import streaming
from data_manager.http.streaming import CSV, NDJSON, ROWS_MAX, csv_lines, form_of, ndjson
from data_manager.system.metrics import series
from tests.eventually import eventually
from tests.http.serving import BTC, MINUTE, NOW_MS, Api, candle, funding, trade
from tests.http.test_data import with_api
from tests.http.test_stored_types import ROWS, mini_ticker

AS_NDJSON = {"Accept": "application/x-ndjson"}
AS_CSV = {"Accept": "text/csv"}


async def stream(api: Api, path: str, headers: dict[str, str], **params: object) -> Any:
    return await api.request("GET", path, params={key: str(value) for key, value in params.items()}, headers=headers)


def lines(answer: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.body.splitlines()]


# -- which form ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", None),
        ("*/*", None),
        ("application/json", None),
        ("text/html,application/xhtml+xml,*/*;q=0.8", None),
        ("image/png", None),
        ("text/csv;q=0", None),
        ("text/csv;q=high", None),
        (";;,=,q", None),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("application/x-ndjson", NDJSON),
        ("text/csv, */*;q=0.1", CSV),
        ("text/csv;q=0.5, application/x-ndjson;q=0.9, application/json;q=0.1", NDJSON),
        ("application/json, text/csv", None),
    ],
)
def test_the_form_that_is_preferred_is_served_and_json_where_none_is_known(accept: str, form: object) -> None:
    assert form_of(accept) is form


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.text(max_size=60))
def test_no_header_is_an_error(accept: str) -> None:
    assert form_of(accept) in (None, CSV, NDJSON)


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=8)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.lists(texts, min_size=2, max_size=2), max_size=5))
def test_any_text_comes_back_from_csv_as_it_was(rows: list[list[str]]) -> None:
    assert list(csv.reader(io.StringIO(csv_lines(rows).decode(), newline=""))) == rows


def test_what_is_unknown_is_empty_in_csv_and_truths_and_numbers_are_as_in_json() -> None:
    assert csv_lines([(None, True, False, 7, "0.10")]) == b",true,false,7,0.10\r\n"
    assert ndjson([{"a": None, "b": "0.10"}, {"a": True}]) == b'{"a":null,"b":"0.10"}\n{"a":true}\n'


# -- what is served ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ROWS)
def test_a_stream_holds_the_rows_of_the_page(tmp_path: Path, path: str) -> None:
    row, _, value = ROWS[path]

    async def check(api: Api) -> None:
        api.store([row])
        as_lines = await stream(api, path, AS_NDJSON, pair=BTC)
        assert as_lines.headers["Content-Type"] == "application/x-ndjson"
        assert lines(as_lines) == [value]
        as_csv = await stream(api, path, AS_CSV, pair=BTC)
        assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert list(csv.DictReader(io.StringIO(as_csv.body.decode()))) == [
            {key: str(content) for key, content in value.items()}
        ]

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("path", "params"),
    [("/data/candles", {"period": "1m"}), ("/data/trades", {}), ("/data/funding", {}), *((path, {}) for path in ROWS)],
)
def test_without_rows_csv_has_its_heading_and_ndjson_nothing(
    tmp_path: Path, path: str, params: dict[str, object]
) -> None:
    async def check(api: Api) -> None:
        empty = await stream(api, path, AS_CSV, pair=BTC, **params)
        (heading,) = empty.body.decode().splitlines()
        assert heading.startswith("timestamp,")
        nothing = await stream(api, path, AS_NDJSON, pair=BTC, **params)
        assert (nothing.status, nothing.body) == (200, b"")

    with_api(tmp_path, check)


def test_nulls_and_truths_are_written_as_each_form_has_them(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([mini_ticker(NOW_MS - 1), funding(NOW_MS - MINUTE, settled=True)])
        (line,) = (await stream(api, "/data/tickers", AS_CSV, pair=BTC)).body.decode().splitlines()[1:]
        assert line.endswith(",15656857610.42,,,")
        (line,) = (await stream(api, "/data/funding", AS_CSV, pair=BTC)).body.decode().splitlines()[1:]
        assert line.endswith(",42000.1,true")

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"limit": 7},
        {"limit": 7, "skip": 3},
        {"limit": 7, "skip": 40},
        {"limit": 1000, "skip": 20},
        {"limit": 9, "offset": 4},
        {"limit": 9, "offset": 4, "sort_order": "desc"},
        {"sort_order": "desc"},
        {"start": NOW_MS - 12 * MINUTE, "end": NOW_MS - 3 * MINUTE},
    ],
)
def test_a_stream_has_the_rows_of_a_page_in_its_order(
    tmp_path: Path, params: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCK", 4)

    async def check(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 31)])
        page = await api.get("/data/candles", pair=BTC, period="1m", **params)
        streamed = await stream(api, "/data/candles", AS_NDJSON, pair=BTC, period="1m", **params)
        assert lines(streamed) == page.body["data"]

    with_api(tmp_path, check)


def test_a_stream_may_be_longer_than_a_page_and_holds_every_row_once(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([trade(n, NOW_MS - 3000 + n // 2) for n in range(2500)])
        for params in ({}, {"sort_order": "asc"}, {"sort_order": "desc"}):
            answer = await stream(api, "/data/trades", AS_NDJSON, pair=BTC, limit=ROWS_MAX, **params)
            ids = [row["trade_id"] for row in lines(answer)]
            assert ids == sorted(range(2500), reverse=params.get("sort_order") == "desc")
        newest = await stream(api, "/data/trades", AS_NDJSON, pair=BTC, limit=1500)
        assert [row["trade_id"] for row in lines(newest)] == list(range(1000, 2500))

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("headers", "limit", "most"),
    [(AS_NDJSON, ROWS_MAX + 1, ROWS_MAX), ({"Accept": "application/json"}, 1001, 1000), (AS_CSV, 0, None)],
)
def test_a_limit_that_is_too_large_for_its_form_is_refused(
    tmp_path: Path, headers: dict[str, str], limit: int, most: int | None
) -> None:
    async def check(api: Api) -> None:
        answer = await stream(api, "/data/trades", headers, pair=BTC, limit=limit)
        assert answer.status == 422
        (item,) = answer.body["detail"]
        assert item["loc"] == ["query", "limit"]
        assert item["ctx"] == ({"ge": 1} if most is None else {"le": most})

    with_api(tmp_path, check)


def test_bad_parameters_are_refused_in_json_whatever_is_accepted(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await stream(api, "/data/book", AS_CSV, pair="x")
        assert (answer.status, answer.headers["Content-Type"]) == (422, "application/json")

    with_api(tmp_path, check)


def test_asking_for_the_head_of_a_stream_brings_no_body(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([trade(1, NOW_MS - 5)])
        answer = await api.request("HEAD", "/data/trades", params={"pair": BTC}, headers=AS_CSV)
        assert (answer.status, answer.body) == (200, b"")
        assert (await api.get("/data/trades", pair=BTC)).status == 200

    with_api(tmp_path, check)


def test_a_stream_carries_its_request_id_and_is_counted_without_its_length_in_time(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        named = AS_CSV | {"X-Request-Id": "mine-1"}
        answer = await stream(api, "/data/trades", named, pair=BTC)
        assert answer.headers["X-Request-Id"] == "mine-1"
        assert (await stream(api, "/data/trades", AS_CSV, pair=BTC)).headers["X-Request-Id"]
        await api.get("/data/trades", pair=BTC)

        def counters() -> dict[str, float]:
            return api.services.metrics.totals().counters

        labels = {"method": "GET", "endpoint": "/data/trades"}
        counted = series("data_manager_requests_total", labels | {"status_code": "200"})
        await eventually(lambda: counters()[counted] == 3)
        assert counters()[series("data_manager_request_duration_seconds_count", labels)] == 1, "of the page alone"

    with_api(tmp_path, check)


# -- what goes wrong -----------------------------------------------------------------------------------------


def test_a_store_that_is_away_before_the_first_row_is_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([trade(1, NOW_MS - 5)])
        (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
        answer = await stream(api, "/data/trades", AS_CSV, pair=BTC)
        assert answer.status == 503
        assert "Retry-After" in answer.headers

    with_api(tmp_path, check)


MANY = [trade(n, NOW_MS - 30_000 + n) for n in range(25_000)]


class Slow:
    """A client that has begun to read a stream, and reads on when it is told to."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def begin(self, path: str = "/data/trades?pair=BTCUSDT&sort_order=asc&limit=25000") -> bytes:
        """Its head, and nothing else yet: so little fits on the way that the rest has to wait."""
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._api.api_port, limit=4096)
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n\r\n".encode())
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        with_chunks = b""
        while part := await self.reader.read(65_536):
            with_chunks += part
            if with_chunks.endswith(b"\r\n0\r\n\r\n"):
                break
        return with_chunks

    def go(self) -> None:
        self.writer.transport.abort()


def hold(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Streams stand still behind their first block until the event is set."""
    go_on, real, sent = asyncio.Event(), streaming.write, set[int]()

    async def write(response: Any, content: bytes) -> None:
        if id(response) in sent:
            await go_on.wait()
        sent.add(id(response))
        await real(response, content)

    monkeypatch.setattr(streaming, "write", write)
    return go_on


def test_a_client_has_two_streams_at_a_time_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(api: Api) -> None:
        api.store(MANY[:3000])
        go_on = hold(monkeypatch)
        first, second = Slow(api), Slow(api)
        assert b" 200 " in await first.begin()
        assert b" 200 " in await second.begin()
        third = await stream(api, "/data/trades", AS_CSV, pair=BTC)
        assert third.status == 429
        assert int(third.headers["Retry-After"]) > 0
        assert (await api.get("/data/trades", pair=BTC)).status == 200, "pages are no streams"
        go_on.set()
        for client in (first, second):
            assert (await client.rest()).endswith(b"\r\n0\r\n\r\n")
            client.go()
        assert (await stream(api, "/data/trades", AS_CSV, pair=BTC)).status == 200

    with_api(tmp_path, check)


def test_all_clients_together_have_a_bounded_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "STREAMS_MAX", 1)

    async def check(api: Api) -> None:
        api.store(MANY[:3000])
        go_on = hold(monkeypatch)
        first = Slow(api)
        await first.begin()
        refused = await stream(api, "/data/trades", AS_CSV, pair=BTC)
        assert refused.status == 503
        assert "Retry-After" in refused.headers
        go_on.set()
        await first.rest()
        first.go()

    with_api(tmp_path, check)


def test_a_client_that_goes_away_leaves_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(api: Api) -> None:
        api.store(MANY)
        for _ in range(4):
            client = Slow(api)
            await client.begin()
            client.go()

        async def free() -> bool:
            return (await stream(api, "/data/trades", AS_CSV, pair=BTC)).status == 200

        await eventually(free, 10)

    with_api(tmp_path, check)


def test_a_client_that_takes_nothing_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "WRITE_S", 0.1)

    async def check(api: Api) -> None:
        api.store(MANY)
        real = streaming.write

        async def stuck(response: Any, content: bytes) -> None:
            await real(response, content)
            raise TimeoutError

        monkeypatch.setattr(streaming, "write", stuck)
        client = Slow(api)
        await client.begin()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.reader.readexactly(100_000_000)
        client.go()

    with_api(tmp_path, check)


def test_a_store_that_goes_away_under_way_cuts_the_stream_off_so_that_nobody_takes_it_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(api: Api) -> None:
        api.store(MANY[:3000])
        go_on = hold(monkeypatch)
        async with api.session.get(
            "/data/trades", params={"pair": BTC, "sort_order": "asc", "limit": "3000"}, headers=AS_NDJSON
        ) as response:
            assert response.status == 200
            for name in ("BTCUSDT.sqlite3", "BTCUSDT.sqlite3-wal"):
                (tmp_path / "market" / name).write_bytes(b"this is no database" * 1000)
            go_on.set()
            with pytest.raises(aiohttp.ClientError):
                await response.read()

    with_api(tmp_path, check)
