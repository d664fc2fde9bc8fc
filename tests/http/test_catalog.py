from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from data_manager.storage.inventory import dataset_of
from data_manager.storage.protocols import Catalog, Dataset, Lineage
from data_manager.storage.records import Candle, Series, Symbol, series_of
from data_manager.storage.schemas import SCHEMAS
from tests.http.serving import BTC, NOW, NOW_MS, Api, serving

HOUR_MS = 3_600_000
CANDLES = "candles_BTCUSDT_1h"
NAMES = ("dataset_id", "name", "description", "category", "owner", "update_frequency", "tags")


def entries(*symbols: str) -> list[Dataset]:
    return [
        dataset_of(series, "sqlite", created_ms=NOW_MS - 5000, updated_ms=NOW_MS)
        for symbol in symbols
        for series in series_of(Symbol(symbol))
    ]


async def fill(api: Api, *datasets: Dataset, lineage: tuple[Lineage, ...] = ()) -> None:
    def save(catalog: Catalog) -> None:
        catalog.save_datasets(datasets)
        catalog.save_lineage(lineage)

    await api.services.catalog.call(save)


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with serving(folder, **settings) as api:
            await check(api)

    asyncio.run(run())


def with_datasets(folder: Path, check: Callable[[Api], Awaitable[None]], **settings: Any) -> None:
    async def filled(api: Api) -> None:
        await fill(api, *entries("BTCUSDT", "ETHUSDT"))
        await check(api)

    with_api(folder, filled, **settings)


def ids(answer: Any) -> list[str]:
    return [dataset["dataset_id"] for dataset in answer.body["data"]]


# -- the list ------------------------------------------------------------------------------------------------


def test_the_list_has_the_keys_of_both_dialects(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/catalog/datasets", search="1h", limit=1)
        body = answer.body
        assert answer.status == 200
        assert tuple(body["datasets"][0]) == NAMES
        assert body["datasets"][0] == {
            "dataset_id": CANDLES,
            "name": "BTCUSDT 1h candles",
            "description": "Closed 1h bars of BTCUSDT under their open times.",
            "category": "market_data",
            "owner": "data-manager",
            "update_frequency": "real-time",
            "tags": [],
        }
        assert {key: value for key, value in body.items() if key != "datasets"} == {
            "data": body["datasets"],
            "total_count": 2,
            "last_updated": NOW,
            "pagination": {
                "total": 2,
                "limit": 1,
                "offset": 0,
                "page": 1,
                "pages": 2,
                "has_next": True,
                "has_previous": False,
            },
            "sort": {"by": "dataset_id", "order": "asc"},
            "filters_applied": {"search": "1h"},
        }

    with_datasets(tmp_path, check)


@pytest.mark.parametrize(("dialect", "names"), [("v11", {"datasets"}), ("head", {"data"})])
def test_one_dialect_can_be_asked_for(tmp_path: Path, dialect: str, names: set[str]) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/catalog/datasets", dialect=dialect)
        assert {"datasets", "data"} & answer.body.keys() == names

    with_datasets(tmp_path, check)


def test_an_empty_catalog_is_an_empty_list(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/catalog/datasets")
        assert answer.status == 200
        assert (answer.body["datasets"], answer.body["total_count"], answer.body["last_updated"]) == ([], 0, None)
        assert answer.body["pagination"]["pages"] == 0

    with_api(tmp_path, check)


def test_pages_lead_through_all_of_it(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        seen: list[str] = []
        more = True
        while more:
            answer = await api.get("/catalog/datasets", limit=7, offset=len(seen))
            seen += ids(answer)
            more = answer.body["pagination"]["has_next"]
        assert seen == sorted(entry.dataset_id for entry in entries("BTCUSDT", "ETHUSDT"))
        backwards = await api.get("/catalog/datasets", sort_order="desc")
        assert ids(backwards) == seen[::-1]

    with_datasets(tmp_path, check)


def test_filters_thin_it_out(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        everything = await api.get("/catalog/datasets", category="market_data", owner="data-manager")
        assert everything.body["total_count"] == 26
        assert everything.body["pagination"]["has_next"] is False
        assert everything.body["filters_applied"] == {"category": "market_data", "owner": "data-manager"}
        for name in ("category", "owner", "search"):
            assert (await api.get("/catalog/datasets", **{name: "nobody"})).body["total_count"] == 0

    with_datasets(tmp_path, check)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": 501}, {"offset": -1}, {"sort_order": "up"}, {"dialect": "v12"}, {"search": "x" * 101}],
    ids=str,
)
def test_what_is_out_of_bounds_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/catalog/datasets", **wrong)
        assert answer.status == 422
        assert answer.body["detail"][0]["loc"] == ["query", *wrong]

    with_api(tmp_path, check)


# -- one dataset ---------------------------------------------------------------------------------------------


def test_a_dataset_by_itself(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(f"/catalog/datasets/{CANDLES}")
        assert answer.status == 200
        assert answer.body == {
            "dataset_id": CANDLES,
            "name": "BTCUSDT 1h candles",
            "description": "Closed 1h bars of BTCUSDT under their open times.",
            "category": "market_data",
            "schema_id": "candle_schema_v1",
            "storage_type": "sqlite",
            "owner": "data-manager",
            "update_frequency": "real-time",
            "metadata": {},
            "created_at": "2025-10-20T11:59:55.000000+00:00",
            "updated_at": NOW,
        }

    with_datasets(tmp_path, check)


def test_a_schema_is_that_of_the_dataset(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        body = (await api.get(f"/catalog/schemas/{CANDLES}")).body
        schema = SCHEMAS[Candle]
        assert body.keys() == {"schema_id", "version", "fields", "primary_keys", "time_field", "created_at"}
        assert (body["schema_id"], body["version"], body["time_field"]) == ("candle_schema_v1", "1.0.0", "timestamp")
        assert body["primary_keys"] == ["symbol", "timeframe", "timestamp"]
        assert len(body["fields"]) == len(schema.fields)
        assert body["fields"][0] == {
            "name": "symbol",
            "type": "string",
            "nullable": False,
            "description": "Trading pair.",
        }

    with_datasets(tmp_path, check)


def test_every_dataset_has_its_schema(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for entry in entries("ETHUSDT"):
            answer = await api.get(f"/catalog/schemas/{entry.dataset_id}")
            assert answer.body["schema_id"] == entry.schema_id

    with_datasets(tmp_path, check)


def test_a_schema_of_somebody_else_is_not_known(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        await fill(api, Dataset("other", "Other", "", "x", "their_schema", "mysql", "them", "1d", NOW_MS, NOW_MS))
        answer = await api.get("/catalog/schemas/other")
        assert answer.status == 404
        assert answer.body["detail"] == "The schema their_schema of other is not known here."

    with_api(tmp_path, check)


def record(hour: int, dataset_id: str = CANDLES) -> Lineage:
    return Lineage(f"id{hour}", dataset_id, "candles_BTCUSDT_15m", "roll_up", 4, 1, NOW_MS - hour * HOUR_MS)


def test_lineage_tells_what_a_dataset_was_made_of(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        entry = dataset_of(Series(BTC, Candle, "1h"), "sqlite", created_ms=NOW_MS, updated_ms=NOW_MS)
        await fill(api, entry, lineage=(record(0), record(1), record(2), record(3, "candles_BTCUSDT_4h")))
        body = (await api.get(f"/catalog/lineage/{CANDLES}", limit=2)).body
        assert body == {
            "dataset_id": CANDLES,
            "lineage": [
                {
                    "lineage_id": f"id{hour}",
                    "source_dataset_id": "candles_BTCUSDT_15m",
                    "transformation": "roll_up",
                    "input_records": 4,
                    "output_records": 1,
                    "timestamp": f"2025-10-20T{12 - hour}:00:00.000000+00:00",
                }
                for hour in (0, 1)
            ],
            "metadata": {"last_updated": NOW},
        }

    with_api(tmp_path, check)


def test_a_dataset_from_the_exchange_has_no_lineage(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/catalog/lineage/trades_BTCUSDT")
        assert answer.status == 200
        assert answer.body == {
            "dataset_id": "trades_BTCUSDT",
            "lineage": [],
            "metadata": {"last_updated": None},
        }

    with_datasets(tmp_path, check)


@pytest.mark.parametrize("family", ["datasets", "schemas", "lineage"])
def test_an_unknown_dataset_is_not_found(tmp_path: Path, family: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(f"/catalog/{family}/candles_XRPUSDT_1h")
        assert answer.status == 404
        assert answer.body["detail"].startswith("There is no dataset candles_XRPUSDT_1h;")

    with_datasets(tmp_path, check)


@pytest.mark.parametrize("path", ["datasets", "datasets/x", "schemas/x", "lineage/x"])
def test_a_catalog_that_is_away_is_a_503(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        answer = await api.get(f"/catalog/{path}")
        assert answer.status == 503
        assert answer.headers["Retry-After"]
        assert answer.body["detail"] == "The catalog is not available now; try again in a few seconds."

    (tmp_path / "catalog.sqlite3").mkdir()  # no database can be opened there
    with_api(tmp_path, check)
