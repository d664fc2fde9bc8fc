"""The served API against its description: schemathesis asks what may be asked, and what may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    missing_required_header,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from data_manager.http.app import OPERATIONS
from data_manager.http.openapi import document
from tests.http.stocked import BEARER, stocked_api
from tests.servers.api import ServedApi

ENDLESS = "/system/events"
# Of letters beyond ASCII, the description says that they may be refused and not which.
CONFIG = schemathesis.Config.from_dict({"generation": {"codec": "ascii"}})

description: Any = schemathesis.openapi.from_dict(document(OPERATIONS, "0"), config=CONFIG)


def valid_data_is_accepted(context: Any, response: Any, case: Any) -> None:
    """What fits every schema is refused only for how the parts of it fit together, which no schema tells."""
    if response.status_code != 422 or not all(map(is_about_several, response.json()["detail"])):
        positive_data_acceptance(context, response, case)


def is_about_several(item: dict[str, Any]) -> bool:
    return item["type"] == "value_error" and ("ctx" not in item or len(item["loc"]) == 1)


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    negative_data_rejection,
    valid_data_is_accepted,
    missing_required_header,
    unsupported_method,
    allow_header_conformance,
    ignored_auth,
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedApi]:
    with stocked_api(tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as kept:  # thousands of connections one after the other would take the longest
        yield kept


@description.exclude(path=ENDLESS).parametrize()
@settings(max_examples=5, suppress_health_check=list(HealthCheck))
def test_every_operation_answers_as_described(case: Any, api: ServedApi, session: requests.Session) -> None:
    case.call_and_validate(base_url=api.url, session=session, headers=BEARER, checks=CHECKS)


def test_what_never_ends_begins_as_described(api: ServedApi) -> None:
    with requests.get(api.url + ENDLESS, stream=True, timeout=20) as answer:
        described = document(OPERATIONS, "0")["paths"][ENDLESS]["get"]["responses"][str(answer.status_code)]
        assert list(described["content"]) == [answer.headers["Content-Type"]] == ["text/event-stream"]
        assert {name.lower() for name in described["headers"]} <= {name.lower() for name in answer.headers}
        assert next(answer.iter_lines()) == b"event: snapshot"
