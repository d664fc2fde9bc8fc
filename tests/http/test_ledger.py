from __future__ import annotations

from pathlib import Path

import pytest

from data_manager.storage.ledger import BatchEntry, Counts
from data_manager.storage.protocols import Write
from data_manager.storage.records import ALL_SYMBOLS, Symbol
from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.frames import position
from tests.http.serving import BTC, NOW, Api, StillClock
from tests.http.test_data import shape, with_api

ETH = Symbol("ETHUSDT")
COUNTS = {
    "received": "int",
    "stored": "int",
    "replaced": "int",
    "duplicate": "int",
    "skipped": "int",
    "quarantined": "int",
    "redelivered": "int",
    "published": "int",
}
MADE_NS = 1_760_961_600_000_000_000  # NOW


def count(folder: Path, symbol: Symbol, batches: tuple[BatchEntry, ...] = (), **by_type: Counts) -> None:
    store = SqliteMarketStore(folder / "market", clock=StillClock())
    store.write(symbol, Write(counts=by_type, batches=list(batches)))
    store.close()


def test_a_ledger_tells_what_became_of_every_event_of_every_type(tmp_path: Path) -> None:
    batch = BatchEntry(7, MADE_NS, 12, (position(9), position(10, 3)))

    async def check(api: Api) -> None:
        trades = Counts(received=9, stored=5, duplicate=3, quarantined=1, redelivered=2)
        count(tmp_path, BTC, (batch,), trade=trades, kline=Counts(received=4, stored=1, replaced=2, skipped=1))
        answer = await api.get("/ledger")
        assert answer.status == 200
        (ledger,) = answer.body["data"]
        assert shape(answer.body) == {
            "data": [
                {
                    "pair": "str",
                    "event_types": [{"event_type": "str", **COUNTS, "balanced": "bool"}],
                    "total": COUNTS,
                    "balanced": "bool",
                    "feed": {"sequence": "int", "routed_through": "int", "market_sequence": "int", "made_at": "str"},
                }
            ],
            "total": COUNTS,
            "balanced": "bool",
            "filters_applied": {},
            "metadata": {"records_returned": "int", "last_updated": "str", "source": "str"},
        }
        kline, trade = ledger["event_types"]
        assert (kline["event_type"], trade["event_type"]) == ("kline", "trade")
        assert trade == {
            "event_type": "trade",
            "received": 9,
            "stored": 5,
            "replaced": 0,
            "duplicate": 3,
            "skipped": 0,
            "quarantined": 1,
            "redelivered": 2,
            "published": 7,
            "balanced": True,
        }
        assert (ledger["total"]["received"], ledger["total"]["published"]) == (13, 11)
        assert ledger["feed"] == {"sequence": 10, "routed_through": 12, "market_sequence": 7, "made_at": NOW}

    with_api(tmp_path, check)


def test_in_core_mode_the_feed_was_never_made(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        count(tmp_path, BTC, (BatchEntry(0, 0, 0, (position(5),)),), trade=Counts(received=1, stored=1))
        (ledger,) = (await api.get("/ledger")).body["data"]
        assert ledger["feed"]["made_at"] is None
        assert ledger["feed"]["sequence"] == 5

    with_api(tmp_path, check)


def test_totals_add_up_over_symbols_and_what_has_no_symbol_comes_last(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        count(tmp_path, ETH, trade=Counts(received=2, stored=2))
        count(tmp_path, ALL_SYMBOLS, unknown=Counts(received=3, quarantined=3))
        count(tmp_path, BTC, trade=Counts(received=1, stored=1))
        body = (await api.get("/ledger")).body
        assert [ledger["pair"] for ledger in body["data"]] == ["BTCUSDT", "ETHUSDT", None]
        assert (body["total"]["received"], body["total"]["stored"], body["total"]["quarantined"]) == (6, 3, 3)
        assert body["balanced"] is True

    with_api(tmp_path, check)


def test_one_event_without_an_outcome_unbalances_its_type_its_symbol_and_the_whole(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        short, over = Counts(received=2, stored=1), Counts(received=1, stored=2)  # whose sums agree
        count(tmp_path, BTC, trade=short, kline=over)
        count(tmp_path, ETH, trade=Counts(received=1, stored=1))
        body = (await api.get("/ledger")).body
        assert [ledger["balanced"] for ledger in body["data"]] == [False, True]
        assert [each["balanced"] for each in body["data"][0]["event_types"]] == [False, False]
        assert body["balanced"] is False

    with_api(tmp_path, check)


def test_a_pair_filters_and_one_that_never_received_anything_has_no_ledger(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        count(tmp_path, BTC, trade=Counts(received=1, stored=1))
        count(tmp_path, ETH, trade=Counts(received=5, stored=5))
        body = (await api.get("/ledger", pair=ETH)).body
        assert [ledger["pair"] for ledger in body["data"]] == ["ETHUSDT"]
        assert body["total"]["received"] == 5
        assert body["filters_applied"] == {"pair": "ETHUSDT"}
        for pair in ("XRPUSDT", "测试USDT"):
            nothing = await api.get("/ledger", pair=pair)
            assert (nothing.status, nothing.body["data"], nothing.body["total"]["received"]) == (200, [], 0)

    with_api(tmp_path, check)


@pytest.mark.parametrize("pair", ["btcusdt", "_all", "../BTC", "", "A" * 21])
def test_what_cannot_be_a_symbol_is_refused(tmp_path: Path, pair: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/ledger", pair=pair)
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] == ["query", "pair"]

    with_api(tmp_path, check)


def test_a_store_that_is_away_is_503(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        count(tmp_path, BTC, trade=Counts(received=1, stored=1))
        (tmp_path / "market" / "BTCUSDT.sqlite3").write_bytes(b"this is no database" * 1000)
        answer = await api.get("/ledger")
        assert answer.status == 503
        assert "Retry-After" in answer.headers
        assert str(tmp_path) not in str(answer.body)

    with_api(tmp_path, check)
