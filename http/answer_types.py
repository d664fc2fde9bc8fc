"""What the bodies of many answers are made of, as types from which OpenAPI is written."""

from __future__ import annotations

from typing import Annotated, Any, Generic, NotRequired, TypeVar

from pydantic import WithJsonSchema
from typing_extensions import TypedDict  # pydantic reads typing's own only from Python 3.12 on

T = TypeVar("T")

NOW = "2025-10-20T12:00:00.123000+00:00"

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time", "examples": [NOW]})]
Exact = Annotated[  # the exchange's own text; computed numbers as the shortest text of a double
    str,
    WithJsonSchema(
        {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$", "examples": ["110850.40"]}
    ),
]


class Pagination(TypedDict):
    """Where a page of a list stands whose length is known."""

    total: int
    limit: int
    offset: int
    page: int
    pages: int
    has_next: bool
    has_previous: bool


class RangePagination(TypedDict):
    """The same in a range of rows; what would have to be counted too far is null."""

    total: int
    limit: int
    offset: int | None
    page: int | None
    pages: int
    has_next: bool
    has_previous: bool
    total_is_lower_bound: bool


class Sort(TypedDict):
    """The order of a list; null where it has none of its own."""

    by: str | None
    order: str | None


class Returned(TypedDict):
    """How many there are in this answer."""

    records_returned: int


class ReturnedFrom(Returned):
    """The same, from where, and when."""

    last_updated: Time
    source: str


class Listed(TypedDict, Generic[T]):
    """A page of a list."""

    data: list[T]
    pagination: Pagination
    sort: Sort
    filters_applied: dict[str, str]


class InBothDialects(TypedDict, Generic[T]):
    """A page of a list that has an older name too; `dialect` leaves one of the two out."""

    data: NotRequired[list[T]]
    pagination: Pagination
    sort: Sort
    filters_applied: dict[str, str]


class RangeMetadata(Returned):
    """From where the rows of a page are; `message` says why there are none."""

    data_completeness: float | None
    last_updated: Time | None
    source: str
    collection: str
    message: NotRequired[str]


class RangeEcho(TypedDict):
    """The range that was read, with its defaults filled in."""

    pair: str
    start: Time
    end: Time
    limit: int


class Ranged(TypedDict, Generic[T]):
    """Rows of a range, under both their names unless `dialect` leaves one of them out."""

    pair: str
    values: NotRequired[list[T]]
    data: NotRequired[list[T]]
    pagination: RangePagination
    sort: Sort
    filters_applied: dict[str, str]


# A generic type keeps its parameter only in those that are generic themselves, for pydantic.
class RangePage(Ranged[T], Generic[T]):
    """A page of them."""

    metadata: RangeMetadata
    parameters: RangeEcho


class Problem(TypedDict):
    """An error; `type` and `title` as in RFC 9457."""

    detail: str
    type: str
    title: str


class InvalidItem(TypedDict):
    """One thing that is wrong with a request; `loc` begins with `query`, `path` or `body`."""

    type: str
    loc: list[str | int]
    msg: str
    input: str | int | float | bool | None
    ctx: NotRequired[dict[str, Any]]


class Invalid(TypedDict):
    """What is wrong with a request, item by item."""

    detail: list[InvalidItem]
    type: str
    title: str
