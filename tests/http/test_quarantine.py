from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from data_manager.http.quarantine import RAW_ALONE, RAW_IN_LISTS, Kept, Name, id_of, name_of, raw_value
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.system.streams import ensure_feed
from tests.http.serving import BTC, NOW_MS, Api
from tests.http.test_data import shape, with_api
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer, connected
from tests.storage.examples import quarantined

ETH = Symbol("ETHUSDT")
VALUE = {
    "event_id": "str",
    "pair": "str",
    "event_type": "str",
    "reason": "str",
    "detail": "str",
    "received_at": "str",
    "stored_at": "str",
    "raw": "str",
    "raw_encoding": "str",
    "raw_bytes": "int",
    "raw_truncated": "bool",
}

pure = settings(derandomize=True, deadline=None, max_examples=200)


def test_a_quarantined_event_is_listed_with_its_reason_and_its_bytes(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(40, raw='{"p":"ö"}'.encode(), received_ms=NOW_MS - 5, stored_ms=NOW_MS)])
        answer = await api.get("/quarantine")
        assert shape(answer.body) == {
            "data": [VALUE],
            "filters_applied": {},
            "metadata": {"records_returned": "int", "last_updated": "str", "source": "str"},
            "parameters": {"limit": "int"},
        }
        assert answer.body["data"][0] == {
            "event_id": "BTCUSDT-5-40",
            "pair": "BTCUSDT",
            "event_type": "trade",
            "reason": "bad_shape",
            "detail": "price is missing - at `$.p`",
            "received_at": "2025-10-20T11:59:59.995000+00:00",
            "stored_at": "2025-10-20T12:00:00.000000+00:00",
            "raw": '{"p":"ö"}',
            "raw_encoding": "utf-8",
            "raw_bytes": 10,
            "raw_truncated": False,
        }

    with_api(tmp_path, check)


def test_the_newest_of_all_symbols_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(1, stored_ms=NOW_MS - 9), quarantined(2, stored_ms=NOW_MS - 3)])
        api.store([quarantined(3, stored_ms=NOW_MS - 6)], symbol=ETH)
        api.store([quarantined(4, stored_ms=NOW_MS - 4)], symbol=ALL_SYMBOLS)
        body = (await api.get("/quarantine")).body
        ids = [each["event_id"] for each in body["data"]]
        assert ids == ["BTCUSDT-5-2", "_all-5-4", "ETHUSDT-5-3", "BTCUSDT-5-1"]
        assert body["data"][1]["pair"] is None
        few = (await api.get("/quarantine", limit=2)).body
        assert [each["event_id"] for each in few["data"]] == ids[:2]

    with_api(tmp_path, check)


def test_pair_and_reason_filter(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(1), quarantined(2, reason="symbol_mismatch")])
        api.store([quarantined(3)], symbol=ETH)
        for params, ids in (
            ({"pair": BTC}, {"BTCUSDT-5-1", "BTCUSDT-5-2"}),
            ({"reason": "bad_shape"}, {"BTCUSDT-5-1", "ETHUSDT-5-3"}),
            ({"pair": ETH, "reason": "symbol_mismatch"}, set()),
            ({"reason": "' OR 1=1 --"}, set()),
            ({"pair": "XRPUSDT"}, set()),
        ):
            answer = await api.get("/quarantine", **params)
            assert answer.status == 200
            assert {each["event_id"] for each in answer.body["data"]} == ids
            assert answer.body["filters_applied"] == params

    with_api(tmp_path, check)


def test_a_list_shows_the_beginning_of_a_large_event_and_the_event_alone_shows_more(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(1, raw=b"x" * 5000), quarantined(2, raw=b"y" * (RAW_ALONE + 1))])
        for each in (await api.get("/quarantine")).body["data"]:
            assert (len(each["raw"]), each["raw_truncated"]) == (RAW_IN_LISTS, True)
        whole = (await api.get("/quarantine/BTCUSDT-5-1")).body
        assert (whole["raw"], whole["raw_bytes"], whole["raw_truncated"]) == ("x" * 5000, 5000, False)
        part = (await api.get("/quarantine/BTCUSDT-5-2")).body
        assert (len(part["raw"]), part["raw_bytes"], part["raw_truncated"]) == (RAW_ALONE, RAW_ALONE + 1, True)

    with_api(tmp_path, check)


def test_one_event_is_found_by_its_id_also_without_a_symbol(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7)])
        api.store([quarantined(8)], symbol=ALL_SYMBOLS)
        found = await api.get("/quarantine/BTCUSDT-5-7")
        assert found.status == 200
        assert shape(found.body) == VALUE
        assert (await api.get("/quarantine/_all-5-8")).body["pair"] is None

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "event_id",
    [
        "BTCUSDT-5-8",
        "ETHUSDT-5-7",
        "BTCUSDT-6-7",
        "btcusdt-5-7",
        "BTCUSDT",
        "BTCUSDT-5",
        "BTCUSDT-5-7-1",
        "BTCUSDT--5-7",
        "BTCUSDT-5-99999999999999999999",
        "BTCUSDT-5-9999999999999999999",
        "BTCUSDT-5-\u0667",
        "../market-5-7",
        "BTCUSDT-5-7;--",
        "%00-5-7",
        "x" * 3000,
    ],
)
def test_what_is_no_id_or_nobodys_is_404(tmp_path: Path, event_id: str) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7)])
        path = URL(f"/quarantine/{quote(event_id, safe='%')}", encoded=True)
        async with api.session.get(path) as response:
            assert response.status == 404
            assert "There is no" in (await response.json())["detail"]

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    ("params", "loc"),
    [({"pair": "x"}, "pair"), ({"reason": ""}, "reason"), ({"reason": "r" * 101}, "reason"), ({"limit": "0"}, "limit")],
)
def test_bad_parameters_are_refused(tmp_path: Path, params: dict[str, str], loc: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/quarantine", **params)
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] == ["query", loc]

    with_api(tmp_path, check)


@pytest.mark.parametrize("path", ["/quarantine", "/quarantine/BTCUSDT-5-7"])
def test_a_store_that_is_away_is_503(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7)])
        (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
        answer = await api.get(path)
        assert answer.status == 503
        assert str(tmp_path) not in str(answer.body)

    with_api(tmp_path, check)


@pure
@given(st.binary(max_size=40), st.integers(0, 50))
def test_shown_bytes_are_the_first_ones_in_either_form(raw: bytes, limit: int) -> None:
    value = raw_value(raw, limit)
    shown = value["raw"]
    assert isinstance(shown, str)
    if value["raw_encoding"] == "base64":
        assert base64.b64decode(shown) == raw[:limit]
    else:
        assert raw.startswith(shown.encode())
        assert limit - len(shown.encode()) < 4 or len(shown.encode()) == len(raw)
    assert value["raw_truncated"] == (len(raw) > limit)


@pure
@given(
    st.sampled_from(["BTCUSDT", "_all", "A_B", "测试USDT"]).map(Symbol),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
)
def test_an_id_names_its_event(symbol: Symbol, incarnation: int, feed_seq: int) -> None:
    event = quarantined(feed_seq, incarnation=incarnation)
    assert name_of(id_of(Kept(symbol, event))) == Name(symbol, incarnation, feed_seq)


# -- replay -------------------------------------------------------------------------------------------------

TOKEN = "only for tests"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
RAW = b'{"e":"trade","E":1760961600000,"s":"BTCUSDT","p":"x"}'


def test_a_replay_publishes_the_very_bytes_and_leaves_the_entry_where_it_is(tmp_path: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:

        async def check(api: Api) -> None:
            api.store([quarantined(7, raw=RAW)])
            async with connected(api.services.settings) as connection:
                js = connection.client.jetstream()
                await ensure_feed(js, api.services.settings)
                answer = await api.post("/quarantine/BTCUSDT-5-7/replay", headers=WITH_TOKEN)
                assert answer.status == 202
                assert {**answer.body, "message": ""} == {
                    "event_id": "BTCUSDT-5-7",
                    "subject": "binance.futures.websocket.data",
                    "delivery": "jetstream",
                    "stream": "data_manager_feed",
                    "sequence": 1,
                    "message": "",
                }
                assert (await js.get_msg("data_manager_feed", 1)).data == RAW
                again = await api.post("/quarantine/BTCUSDT-5-7/replay", headers=WITH_TOKEN)
                assert again.body["sequence"] == 2  # who asks twice gets it twice: ingest tells copies apart
            assert (await api.get("/quarantine/BTCUSDT-5-7")).status == 200

        with_api(tmp_path, check, token=TOKEN, nats_url=server.url)


def test_a_replay_needs_the_token_and_an_event(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7)])
        assert (await api.post("/quarantine/BTCUSDT-5-7/replay")).status == 401
        missing = await api.post("/quarantine/BTCUSDT-5-8/replay", headers=WITH_TOKEN)
        assert (missing.status, missing.body["title"]) == (404, "Not Found")

    with_api(tmp_path, check, token=TOKEN)


def test_without_a_token_in_the_settings_nobody_may_replay(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7)])
        assert (await api.post("/quarantine/BTCUSDT-5-7/replay", headers=WITH_TOKEN)).status == 403

    with_api(tmp_path, check)


def test_an_event_that_would_be_dated_by_its_replay_is_refused_with_the_reason(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7, raw=b'{"lastUpdateId":1,"bids":[],"asks":[]}', received_ms=NOW_MS)])
        answer = await api.post("/quarantine/BTCUSDT-5-7/replay", headers=WITH_TOKEN)
        assert answer.status == 409
        assert "2025-10-20T12:00:00" in answer.body["detail"]

    with_api(tmp_path, check, token=TOKEN)


def test_while_nats_is_away_a_replay_is_503_and_says_when_to_come_back(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.store([quarantined(7, raw=RAW)])
        answer = await api.post("/quarantine/BTCUSDT-5-7/replay", headers=WITH_TOKEN)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "stays in quarantine" in answer.body["detail"]

    with_api(tmp_path, check, token=TOKEN, nats_url=f"nats://127.0.0.1:{free_port()}", nats_connect_timeout=0.3)
