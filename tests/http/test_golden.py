"""Operations as their clients know them: parameters with their defaults and bounds, keys and types of answers.

`tests/fixtures/golden/` says what must be there: of the original's 28 operations what the original took and served,
lists in both dialects; in ours.json of those that came later. shapes.py says how to read it. What is there beside it
is what the API's description names, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from data_manager.http.app import OPERATIONS
from data_manager.http.openapi import document
from data_manager.http.operations import Operation
from tests.http.shapes import differences
from tests.http.stocked import BEARER, stocked_api
from tests.http.test_operations import example_of
from tests.servers.api import ServedApi

FOLDER = Path(__file__).parents[1] / "fixtures" / "golden"
OURS: dict[str, dict[str, Any]] = json.loads((FOLDER / "ours.json").read_text())
GOLDEN: dict[str, dict[str, Any]] = {
    name: golden for path in sorted(FOLDER.glob("*.json")) for name, golden in json.loads(path.read_text()).items()
}
NO_JSON = {"GET /metrics", "GET /metrics/", "GET /system/events"}
OLD_NAMES = {"values", "jobs", "datasets", "anomalies"}
IN_BOTH_DIALECTS = [
    name for name, golden in GOLDEN.items() if "data" in golden["answer"] and OLD_NAMES & golden["answer"].keys()
]
DESCRIPTION = document(OPERATIONS, "0")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with stocked_api(tmp_path_factory.mktemp("api")) as served:
        yield served


def described(name: str) -> dict[str, Any]:
    method, path = name.split()
    operation: dict[str, Any] = DESCRIPTION["paths"][path][method.lower()]
    return operation


def asked(api: ServedApi, name: str, golden: dict[str, Any]) -> requests.Response:
    method, path = name.split()
    return requests.request(
        method,
        api.url + path.format_map(golden.get("path", {})),
        params=golden.get("request"),
        json=golden.get("body"),
        headers=BEARER,
        timeout=20,
    )


def test_there_are_28_of_the_originals_and_all_of_ours() -> None:
    every = {f"{each.method} {each.template}" for each in OPERATIONS} - NO_JSON
    short_paths = {name.replace("/anomalies/anomalies", "/anomalies") for name in GOLDEN if "/anomalies" in name}
    assert len(GOLDEN.keys() - OURS.keys()) == 28
    assert GOLDEN.keys() | short_paths == every


@pytest.mark.parametrize("name", GOLDEN)
def test_parameters_have_their_names_defaults_and_bounds(name: str) -> None:
    there = {each["name"]: {**each["schema"], "required": each["required"]} for each in described(name)["parameters"]}
    for parameter, wanted in GOLDEN[name]["parameters"].items():
        assert parameter in there
        found = {key: there[parameter].get(key) for key in wanted}
        assert found == wanted, parameter
    needed = {parameter for parameter, schema in there.items() if schema["required"]}
    assert needed == {parameter for parameter, wanted in GOLDEN[name]["parameters"].items() if "required" in wanted}


@pytest.mark.parametrize("name", GOLDEN)
def test_answers_have_their_keys_and_types(api: ServedApi, name: str) -> None:
    golden = GOLDEN[name]
    answer = asked(api, name, golden)
    assert answer.status_code == golden.get("status", 200)
    assert answer.headers["Content-Type"] == "application/json"
    assert list(differences(golden["answer"], answer.json())) == []


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith(("GET /anomalies", "POST /anomalies"))])
def test_anomalies_answer_at_the_documented_path_with_the_same_keys(api: ServedApi, name: str) -> None:
    single = name.replace("/anomalies/anomalies", "/anomalies")
    answer = asked(api, single, GOLDEN[name])
    assert list(differences(GOLDEN[name]["answer"], answer.json())) == []


@pytest.mark.parametrize("name", IN_BOTH_DIALECTS)
def test_either_dialect_can_be_had_alone(api: ServedApi, name: str) -> None:
    old = OLD_NAMES & GOLDEN[name]["answer"].keys()
    for dialect, names in (("v11", old), ("head", {"data"}), ("both", old | {"data"})):
        body = asked(api, name, {**GOLDEN[name], "request": {**GOLDEN[name]["request"], "dialect": dialect}}).json()
        assert body.keys() & (old | {"data"}) == names


JSON_ANSWERS = [each for each in OPERATIONS if any(answer.body is not None for answer in each.answers.values())]


@pytest.mark.parametrize("operation", JSON_ANSWERS, ids=lambda each: f"{each.method} {each.template}")
def test_an_answer_holds_what_its_description_names_and_nothing_else(api: ServedApi, operation: Operation) -> None:
    path, options = example_of(operation)
    answer = requests.request(operation.method, api.url + path, headers=BEARER, timeout=20, **options)
    content = described(f"{operation.method} {operation.template}")["responses"][str(answer.status_code)]["content"]
    schema = {**content["application/json"]["schema"], "components": closed(DESCRIPTION["components"])}
    jsonschema.validate(answer.json(), schema)


def closed(schema: Any) -> Any:
    """The schema without room for keys that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    inside = {key: closed(each) for key, each in schema.items()}
    return {**inside, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else inside
