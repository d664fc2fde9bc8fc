"""What the API is described by is what is served and what validates."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from pydantic import BaseModel

from data_manager.http import docs, ui
from data_manager.http.app import OPERATIONS, build_app
from data_manager.http.gaps import GapPath
from data_manager.http.openapi import REFUSALS, document, identifier, implied
from data_manager.http.operations import Access, Answer, Operation, routes_of
from data_manager.http.params import Params
from tests.http.serving import serving
from tests.http.stocked import BEARER, stocked_api
from tests.servers.api import ServedApi

PATHS: dict[str, Any] = document(OPERATIONS, "0")["paths"]
CONTRACT = """
GET / | GET /health/liveness | GET /health/readiness | GET /health/summary | GET /health
GET /data/candles | GET /data/trades | GET /data/depth | GET /data/funding
GET /analysis/volatility | GET /analysis/volume | GET /analysis/spread | GET /analysis/trend | GET /analysis/correlation
GET /analysis/deviation | GET /analysis/seasonality | GET /analysis/regime | GET /analysis/market-overview
GET /catalog/datasets | GET /catalog/datasets/{dataset_id} | GET /catalog/schemas/{dataset_id}
GET /catalog/lineage/{dataset_id} | POST /backfill/start | GET /backfill/jobs | GET /backfill/jobs/{job_id}
GET /anomalies/anomalies | POST /anomalies/anomalies/detect | GET /anomalies/anomalies/summary
"""

named = pytest.mark.parametrize("operation", OPERATIONS, ids=identifier)


class Families:
    """Handlers for tests of the module itself."""

    async def gap(self, request: web.Request) -> web.Response:
        """One gap.

        With its job.
        """
        return web.Response(text=request.match_info["gap_id"])


def operation(**changes: Any) -> Operation:
    given: dict[str, Any] = {
        "method": "GET",
        "path": "/gaps/{gap_id:.+}",
        "handler": Families.gap,
        "tag": "gaps",
        "answers": {200: Answer(None)},
        "names": GapPath,
    }
    return Operation(**{**given, **changes})


def test_all_of_the_originals_operations_are_there() -> None:
    wanted = [tuple(entry.split()) for line in CONTRACT.strip().splitlines() for entry in line.split(" | ")]
    assert len(wanted) == 28
    for method, path in wanted:
        assert method.lower() in PATHS[path], path


def test_every_route_of_the_application_has_its_description(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            served = {(route.method, route.resource.canonical) for route in build_app(api.services).router.routes()}
            pages = {(each.method, each.path.split(":")[0]) for each in (*ui.routes(), *docs.routes(()))}
            described = {(each.method, each.template) for each in OPERATIONS}
            undescribed = {
                (method, path)
                for method, path in served - described
                if method != "HEAD" and not any(path.startswith(page) for _, page in pages)
            }
            assert not undescribed
            assert described <= served

    asyncio.run(run())


def test_no_two_operations_share_a_place_or_an_identifier() -> None:
    assert len({(each.method, each.template) for each in OPERATIONS}) == len(OPERATIONS)
    assert len({identifier(each) for each in OPERATIONS}) == len(OPERATIONS)


@named
def test_the_words_are_those_of_the_handler_and_never_none(operation: Operation) -> None:
    summary, _ = operation.words
    assert summary.endswith(".")
    assert "\n" not in summary
    assert "See " not in summary


@named
def test_every_part_of_the_path_is_described(operation: Operation) -> None:
    parts = set(re.findall(r"\{(\w+)\}", operation.template))
    assert parts == (set(operation.names.model_fields) if operation.names else set())


@named
def test_every_parameter_says_what_it_is(operation: Operation) -> None:
    for parameter in PATHS[operation.template][operation.method.lower()]["parameters"]:
        schema = parameter["schema"]
        assert "title" not in schema
        assert {"type", "enum", "const", "$ref", "anyOf"} & set(schema)
        if parameter["required"]:
            assert "example" in parameter, parameter["name"]


@named
def test_every_refusal_is_explained(operation: Operation) -> None:
    assert {*operation.refuses, *implied(operation)} <= set(REFUSALS)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with stocked_api(tmp_path_factory.mktemp("api")) as served:
        yield served


@named
def test_the_documented_model_is_the_one_that_validates(
    api: ServedApi, monkeypatch: pytest.MonkeyPatch, operation: Operation
) -> None:
    used: set[type[BaseModel]] = set()

    def record(name: str) -> None:
        validate = getattr(BaseModel, name).__func__

        def recording(model: type[BaseModel], *given: Any, **options: Any) -> Any:
            used.add(model)
            return validate(model, *given, **options)

        monkeypatch.setattr(BaseModel, name, classmethod(recording))

    record("model_validate")
    record("model_validate_json")
    path, options = example_of(operation)
    with requests.request(
        operation.method, api.url + path, headers=BEARER, timeout=20, stream=True, **options
    ) as answer:
        assert answer.status_code in operation.answers
    assert used & MODELS == models_of(operation)


def models_of(operation: Operation) -> set[type[BaseModel]]:
    return {model for model in (operation.names, operation.query, operation.body) if model is not None}


MODELS = {model for each in OPERATIONS for model in models_of(each)}


def example_of(operation: Operation) -> tuple[str, dict[str, Any]]:
    """A request as the description's examples make it: its path, and the rest."""
    asked = PATHS[operation.template][operation.method.lower()]["parameters"]
    given = {each["name"]: each["example"] for each in asked if each["required"]}
    path = operation.template.format_map(given)
    query = {name: value for name, value in given.items() if f"{{{name}}}" not in operation.template}
    options: dict[str, Any] = {"params": query}
    if operation.body is not None:
        schema = operation.body.model_json_schema()
        whole = {name: field["examples"][0] for name, field in schema["properties"].items() if "examples" in field}
        options["json"] = schema.get("examples", [whole])[0]
    return path, options


# -- the module by itself -------------------------------------------------------------------------------------


def test_a_template_has_no_patterns_and_the_words_have_two_parts() -> None:
    made = operation()
    assert made.template == "/gaps/{gap_id}"
    assert made.words == ("One gap.", "With its job.")


def test_a_route_is_bound_to_the_family_and_keeps_its_pattern() -> None:
    (route,) = routes_of([operation()], Families())
    assert (route.method, route.path) == ("GET", "/gaps/{gap_id:.+}")
    assert route.handler.__func__ is Families.gap


@pytest.mark.parametrize(
    ("access", "refused", "security"),
    [
        (Access.OPEN, set(), None),
        (Access.TOKEN, {401, 403}, [{"token": []}]),
        (Access.TOKEN_IF_SET, {401}, [{}, {"token": []}]),
    ],
)
def test_who_may_ask_shows_in_security_and_refusals(access: Access, refused: set[int], security: Any) -> None:
    made = operation(access=access)
    shown = document([made], "1")["paths"]["/gaps/{gap_id}"]["get"]
    assert set(implied(made)) & {401, 403} == refused
    assert shown.get("security") == security
    assert {str(status) for status in refused} <= set(shown["responses"])


def test_a_parameter_is_absent_instead_of_null() -> None:
    class Query(Params):
        """Some."""

        limit: int = 5
        kind: str | None = None

    limit, kind = document([operation(names=None, path="/", query=Query)], "1")["paths"]["/"]["get"]["parameters"]
    assert limit == {"name": "limit", "in": "query", "required": False, "schema": {"type": "integer", "default": 5}}
    assert kind == {"name": "kind", "in": "query", "required": False, "schema": {"type": "string"}}
