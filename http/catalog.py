"""`/catalog/*`: which datasets there are, their schemas, and what they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Generic, NotRequired

from aiohttp import web
from pydantic import Field
from typing_extensions import TypedDict

from data_manager.http.answer_types import InBothDialects, T, Time
from data_manager.http.answers import answer, both_dialects, stamp, stamp_or_none
from data_manager.http.errors import Refusal, store_errors
from data_manager.http.operations import Answer, Operation, routes_of
from data_manager.http.paging import numbered
from data_manager.http.params import DatasetParams, LineageParams, Params, parse, parse_path
from data_manager.http.ports import Services
from data_manager.storage.protocols import Catalog, Dataset, Lineage
from data_manager.storage.schemas import BY_ID, Schema


class DatasetPath(Params):
    """`/catalog/.../{dataset_id}`."""

    dataset_id: Annotated[str, Field(description="A dataset's id.", examples=["candles_BTCUSDT_1m"])]


class ListedDataset(TypedDict):
    """A dataset in a list."""

    dataset_id: str
    name: str
    description: str
    category: str
    owner: str
    update_frequency: str
    tags: list[str]


class DatasetList(InBothDialects[T], Generic[T]):
    """A page of datasets."""

    datasets: NotRequired[list[T]]
    total_count: int
    last_updated: Time | None


class DatasetValue(TypedDict):
    """A dataset by itself."""

    dataset_id: str
    name: str
    description: str
    category: str
    schema_id: str
    storage_type: str
    owner: str
    update_frequency: str
    metadata: dict[str, str]
    created_at: Time
    updated_at: Time


class FieldValue(TypedDict):
    """One field of a dataset's rows."""

    name: str
    type: str
    nullable: bool
    description: str


class SchemaValue(TypedDict):
    """The fields of a dataset's rows, and what makes a row one of its kind."""

    schema_id: str
    version: str
    fields: list[FieldValue]
    primary_keys: Sequence[str]
    time_field: str
    created_at: Time


class LineageValue(TypedDict):
    """One derivation."""

    lineage_id: str
    source_dataset_id: str | None
    transformation: str
    input_records: int | None
    output_records: int | None
    timestamp: Time


class LineageMetadata(TypedDict):
    """When the newest derivation was made."""

    last_updated: Time | None


class LineageList(TypedDict):
    """What a dataset was made of."""

    dataset_id: str
    lineage: list[LineageValue]
    metadata: LineageMetadata


class CatalogRoutes:
    """Handlers; each makes one call to the catalog."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._catalog = services.catalog

    async def datasets(self, request: web.Request) -> web.Response:
        """The datasets that match, by id."""
        asked = parse(DatasetParams, request)
        with store_errors("catalog"):
            found, total = await self._catalog.call(
                lambda catalog: catalog.datasets(
                    category=asked.category,
                    owner=asked.owner,
                    search=asked.search,
                    limit=asked.limit,
                    offset=asked.offset,
                    descending=asked.sort_order == "desc",
                )
            )
        body = {
            **both_dialects(
                [listed_value(dataset) for dataset in found],
                asked.dialect or self._services.settings.api_dialect,
                "datasets",
            ),
            "total_count": total,
            "last_updated": stamp_or_none(max((dataset.updated_ms for dataset in found), default=None)),
            "pagination": numbered(asked.limit, asked.offset, total),
            "sort": {"by": asked.sort_by, "order": asked.sort_order},
            "filters_applied": {
                name: value
                for name, value in (("category", asked.category), ("owner", asked.owner), ("search", asked.search))
                if value is not None
            },
        }
        return answer(request, body)

    async def dataset(self, request: web.Request) -> web.Response:
        """One dataset."""
        return answer(request, dataset_value(await self._known(request)))

    async def schema(self, request: web.Request) -> web.Response:
        """The fields of a dataset's rows."""
        dataset = await self._known(request)
        schema = BY_ID.get(dataset.schema_id)
        if schema is None:
            raise Refusal(404, f"The schema {dataset.schema_id} of {dataset.dataset_id} is not known here.")
        return answer(request, schema_value(schema, dataset))

    async def lineage(self, request: web.Request) -> web.Response:
        """What a dataset was made of, the newest first; empty for one that came from the exchange as it is."""
        asked = parse(LineageParams, request)
        dataset_id = parse_path(DatasetPath, request).dataset_id

        def look(catalog: Catalog) -> tuple[Dataset | None, list[Lineage]]:
            return catalog.dataset(dataset_id), catalog.lineage(dataset_id, asked.limit)

        with store_errors("catalog"):
            dataset, records = await self._catalog.call(look)
        if dataset is None:
            raise unknown(dataset_id)
        body = {
            "dataset_id": dataset_id,
            "lineage": [lineage_value(record) for record in records],
            "metadata": {"last_updated": stamp_or_none(max((record.at_ms for record in records), default=None))},
        }
        return answer(request, body)

    async def _known(self, request: web.Request) -> Dataset:
        dataset_id = parse_path(DatasetPath, request).dataset_id
        with store_errors("catalog"):
            dataset = await self._catalog.call(lambda catalog: catalog.dataset(dataset_id))
        if dataset is None:
            raise unknown(dataset_id)
        return dataset


OPERATIONS = (
    Operation(
        "GET",
        "/catalog/datasets",
        CatalogRoutes.datasets,
        "catalog",
        {200: Answer(DatasetList[ListedDataset])},
        query=DatasetParams,
        refuses=(503,),
    ),
    Operation(
        "GET",
        "/catalog/datasets/{dataset_id}",
        CatalogRoutes.dataset,
        "catalog",
        {200: Answer(DatasetValue)},
        names=DatasetPath,
        refuses=(404, 503),
    ),
    Operation(
        "GET",
        "/catalog/schemas/{dataset_id}",
        CatalogRoutes.schema,
        "catalog",
        {200: Answer(SchemaValue)},
        names=DatasetPath,
        refuses=(404, 503),
    ),
    Operation(
        "GET",
        "/catalog/lineage/{dataset_id}",
        CatalogRoutes.lineage,
        "catalog",
        {200: Answer(LineageList)},
        names=DatasetPath,
        query=LineageParams,
        refuses=(404, 503),
    ),
)


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    return routes_of(OPERATIONS, CatalogRoutes(services))


def unknown(dataset_id: str) -> Refusal:
    """404 for an id that nothing is registered under."""
    return Refusal(404, f"There is no dataset {dataset_id}; /catalog/datasets lists those that hold data.")


def listed_value(dataset: Dataset) -> ListedDataset:
    """A dataset in a list."""
    return {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "description": dataset.description,
        "category": dataset.category,
        "owner": dataset.owner,
        "update_frequency": dataset.update_frequency,
        "tags": [],
    }


def dataset_value(dataset: Dataset) -> DatasetValue:
    """A dataset by itself."""
    return {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "description": dataset.description,
        "category": dataset.category,
        "schema_id": dataset.schema_id,
        "storage_type": dataset.storage_type,
        "owner": dataset.owner,
        "update_frequency": dataset.update_frequency,
        "metadata": {},
        "created_at": stamp(dataset.created_ms),
        "updated_at": stamp(dataset.updated_ms),
    }


def schema_value(schema: Schema, dataset: Dataset) -> SchemaValue:
    """A schema; it is there since its dataset is."""
    return {
        "schema_id": schema.schema_id,
        "version": schema.version,
        "fields": [
            {"name": each.name, "type": each.type, "nullable": each.nullable, "description": each.description}
            for each in schema.fields
        ],
        "primary_keys": schema.primary_key,
        "time_field": schema.time_field,
        "created_at": stamp(dataset.created_ms),
    }


def lineage_value(record: Lineage) -> LineageValue:
    """One derivation."""
    return {
        "lineage_id": record.lineage_id,
        "source_dataset_id": record.source_dataset_id,
        "transformation": record.transformation,
        "input_records": record.input_records,
        "output_records": record.output_records,
        "timestamp": stamp(record.at_ms),
    }
