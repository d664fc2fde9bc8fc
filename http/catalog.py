"""`/catalog/*`: which datasets there are, their schemas, and what they were made of."""

from __future__ import annotations

from aiohttp import web

from data_manager.http.answers import answer, both_dialects, stamp, stamp_or_none
from data_manager.http.errors import Refusal, store_errors
from data_manager.http.paging import numbered
from data_manager.http.params import DatasetParams, LineageParams, parse
from data_manager.http.ports import Services
from data_manager.storage.protocols import Catalog, Dataset, Lineage
from data_manager.storage.schemas import BY_ID, Schema

Value = dict[str, object]


def routes(services: Services) -> list[web.RouteDef]:
    """The family's routes."""
    catalog = CatalogRoutes(services)
    return [
        web.get("/catalog/datasets", catalog.datasets),
        web.get("/catalog/datasets/{dataset_id}", catalog.dataset),
        web.get("/catalog/schemas/{dataset_id}", catalog.schema),
        web.get("/catalog/lineage/{dataset_id}", catalog.lineage),
    ]


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
        dataset_id = request.match_info["dataset_id"]

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
        dataset_id = request.match_info["dataset_id"]
        with store_errors("catalog"):
            dataset = await self._catalog.call(lambda catalog: catalog.dataset(dataset_id))
        if dataset is None:
            raise unknown(dataset_id)
        return dataset


def unknown(dataset_id: str) -> Refusal:
    """404 for an id that nothing is registered under."""
    return Refusal(404, f"There is no dataset {dataset_id}; /catalog/datasets lists those that hold data.")


def listed_value(dataset: Dataset) -> Value:
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


def dataset_value(dataset: Dataset) -> Value:
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


def schema_value(schema: Schema, dataset: Dataset) -> Value:
    """A schema; it is there since its dataset is."""
    return {
        "schema_id": schema.schema_id,
        "version": schema.version,
        "fields": [field._asdict() for field in schema.fields],
        "primary_keys": schema.primary_key,
        "time_field": schema.time_field,
        "created_at": stamp(dataset.created_ms),
    }


def lineage_value(record: Lineage) -> Value:
    """One derivation."""
    return {
        "lineage_id": record.lineage_id,
        "source_dataset_id": record.source_dataset_id,
        "transformation": record.transformation,
        "input_records": record.input_records,
        "output_records": record.output_records,
        "timestamp": stamp(record.at_ms),
    }
