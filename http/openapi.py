"""The description of the API as an OpenAPI 3.1 document, made from the operations and the types they name. Pure.

The same operations make the same document, byte for byte. Nothing stands in it that no operation says: parameters and
bodies are those of the models that validate, answers those of the types that the handlers fill.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core import CoreSchema

from data_manager.http.answer_types import Invalid, Problem
from data_manager.http.operations import JSON, Access, Answer, Operation

Json = dict[str, Any]

TITLE = "Petrosa Data Manager API"
SCHEMAS = "#/components/schemas/{model}"
BEARER = "token"
ABOUT = """\
Market data for crypto futures: what is stored, what is missing and why, what is computed of it.

In answers times are ISO 8601 in UTC, prices and quantities the exchange's own decimal text, and null is what is not
known. In requests times are ISO 8601, UTC where no zone is named, or seconds or milliseconds since 1970. Unknown
parameters are ignored; of one that is repeated, the last counts. What takes GET takes HEAD too.

Ranges of rows are `start <= time < end`. With none of `start`, `offset` and `sort_order` a page holds the newest rows
before `end`, in the order of their times, and its `Link` header leads back in time; any of the three makes it begin
with the oldest."""

REFUSALS = {
    401: "The request has no valid token.",
    403: "This is switched off as long as the service has no token.",
    404: "There is nothing of that name.",
    408: "The body has not arrived in time.",
    409: "It cannot be done as things are; `detail` says why.",
    413: "The body is too large.",
    422: "Something in the request is not valid, item by item.",
    429: "Too much is under way already, or the client asks too often (API_RATE_LIMIT).",
    503: "A part that is needed for the answer is away; try again after `Retry-After` seconds.",
    504: "The part that was asked has not answered in time.",
}
HEADERS = {
    "Request-Id": ("The request's id: the client's own `X-Request-Id` where that is short and plain.", "string"),
    "Trace": ("The place of this answer in a trace (W3C Trace Context).", "string"),
    "Retry-After": ("Seconds after which it makes sense to try again.", "integer"),
    "Challenge": ("Which kind of token is wanted.", "string"),
}


class Untitled(GenerateJsonSchema):
    """Schemas whose fields have no titles: their names say it."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        """Never."""
        return False


def document(operations: Sequence[Operation], version: str) -> Json:
    """The OpenAPI document of these operations."""
    types = Types(operations)
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.template, {})[operation.method.lower()] = described(operation, types)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version, "description": ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "components": {
            "schemas": types.components,
            "responses": {str(status): refusal(status, types) for status in REFUSALS},
            "headers": {
                name: {"description": words, "schema": {"type": kind}} for name, (words, kind) in HEADERS.items()
            },
            "securitySchemes": {
                BEARER: {"type": "http", "scheme": "bearer", "description": "The service's API_TOKEN."}
            },
        },
    }


class Types:
    """The JSON schemas of all types that operations name: each once, under its own name."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._named: list[Any] = [Problem, Invalid]
        asked: list[Any] = []
        for operation in operations:
            self._named += [answer.body for answer in operation.answers.values() if answer.body is not None]
            asked += [model for model in (operation.names, operation.query, operation.body) if model is not None]
        inputs: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
            (id(model), "validation", TypeAdapter(model)) for model in dict.fromkeys(asked)
        ]
        outputs: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
            (id(each), "serialization", TypeAdapter(each)) for each in self._named
        ]
        self._of, definitions = TypeAdapter.json_schemas(
            [*inputs, *outputs], ref_template=SCHEMAS, schema_generator=Untitled
        )
        self._all: dict[str, Json] = definitions["$defs"]
        bodies = {operation.body for operation in operations}
        unfolded = {self._name(model) for model in asked if model not in bodies}
        self.components = {name: schema for name, schema in self._all.items() if name not in unfolded}

    def body(self, kind: Any) -> Json:
        """The schema of an answer's body."""
        return self._of[id(kind), "serialization"]

    def asked(self, model: type[BaseModel]) -> Json:
        """The schema of a request's body."""
        return self._of[id(model), "validation"]

    def fields(self, model: type[BaseModel]) -> Iterator[tuple[str, Json, bool]]:
        """Name, schema and need of each field of a model of parameters."""
        schema = self._all[self._name(model)]
        for name, field in schema["properties"].items():
            yield name, absent_instead_of_null(field), name in schema.get("required", ())

    def _name(self, model: type[BaseModel]) -> str:
        return str(self.asked(model)["$ref"].rpartition("/")[2])


def described(operation: Operation, types: Types) -> Json:
    """One operation."""
    summary, description = operation.words
    out: Json = {
        "operationId": identifier(operation),
        "tags": [operation.tag],
        "summary": summary,
        **({"description": description} if description else {}),
        "parameters": [*parameters(operation.names, "path", types), *parameters(operation.query, "query", types)],
        "responses": responses(operation, types),
    }
    if operation.body is not None:
        out["requestBody"] = {"required": True, "content": {JSON: {"schema": types.asked(operation.body)}}}
    if operation.access is not Access.OPEN:
        out["security"] = [{BEARER: []}] if operation.access is Access.TOKEN else [{}, {BEARER: []}]
    return out


def identifier(operation: Operation) -> str:
    """A name for programs: `get_gaps_gap_id`; paths that differ in their last slash alone get different ones."""
    words = re.findall(r"\w+", operation.template.replace("-", "_")) or ["root"]
    return "_".join([operation.method.lower(), *words, *(["slash"] if operation.template[1:].endswith("/") else [])])


def parameters(model: type[BaseModel] | None, place: str, types: Types) -> Iterator[Json]:
    """The parameters that a model takes from the path or the query."""
    for name, schema, required in types.fields(model) if model is not None else ():
        words, examples = schema.pop("description", None), schema.pop("examples", None)
        # An optional parameter gets none: pages that try examples out would send them all, which no call needs.
        yield {
            "name": name,
            "in": place,
            "required": required,
            **({"description": words} if words else {}),
            "schema": schema,
            **({"example": examples[0]} if examples and required else {}),
        }


def absent_instead_of_null(schema: Json) -> Json:
    """A parameter cannot be null, only absent."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    rest = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    if len(kinds) != 1:
        return rest
    return {**kinds[0], **{name: value for name, value in rest.items() if name != "anyOf"}}


def responses(operation: Operation, types: Types) -> Json:
    """By status: the answers, then the refusals."""
    out = {str(status): response(answer, types) for status, answer in operation.answers.items()}
    refused = sorted({*operation.refuses, *implied(operation)} - set(operation.answers))
    return out | {str(status): {"$ref": f"#/components/responses/{status}"} for status in refused}


def implied(operation: Operation) -> Iterator[int]:
    """The refusals that follow from what an operation takes, and from whom."""
    yield 429
    if operation.access is not Access.OPEN:
        yield 401
    if operation.access is Access.TOKEN:
        yield 403
    if operation.body is not None:
        yield from (408, 413)
    if operation.names or operation.query or operation.body:
        yield 422


def response(answer: Answer, types: Types) -> Json:
    """One answer."""
    content: Json = {} if answer.body is None else {JSON: {"schema": types.body(answer.body)}}
    content |= {media: {"schema": {"type": "string"}} for media in answer.others}
    headers = {
        header.value[0]: {"description": header.value[1], "schema": {"type": "string"}} for header in answer.headers
    }
    return {"description": answer.description, "headers": {**headers, **of_all()}, "content": content}


def refusal(status: int, types: Types) -> Json:
    """One way to be refused, the same for all operations."""
    headers = of_all()
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/Retry-After"}
    if status == 401:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/Challenge"}
    body = types.body(Invalid if status == 422 else Problem)
    return {
        "description": f"{HTTPStatus(status).phrase}. {REFUSALS[status]}",
        "headers": headers,
        "content": {JSON: {"schema": body}},
    }


def of_all() -> Json:
    """The headers that every response has."""
    return {
        "X-Request-Id": {"$ref": "#/components/headers/Request-Id"},
        "traceparent": {"$ref": "#/components/headers/Trace"},
    }
