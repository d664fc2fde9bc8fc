"""Query parameters: what each route takes, its defaults and bounds; anything else is answered with 422."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from aiohttp import web
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

from data_manager.http.errors import Item, invalid
from data_manager.storage.protocols import GapStatus, JobStatus
from data_manager.storage.records import TIMEFRAMES
from data_manager.system.settings import is_symbol

OFFSET_MAX = 100_000
LIMIT_MAX = 1000
LIMIT_OF = "limit_max"  # what validation is told of the request: the largest limit of a range

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNESCAPED_PLUS = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")  # `+00:00`, as we write it, pasted without %2B


def check_pair(text: str) -> str:
    """Raises ValueError with a sentence for what cannot be a symbol."""
    if not is_symbol(text):
        raise ValueError("a pair is 2 to 20 upper-case letters, digits or '_', such as BTCUSDT")
    return text


def check_period(text: str) -> str:
    """Raises ValueError for a timeframe that does not exist."""
    if text not in TIMEFRAMES:
        raise ValueError(f"unknown period; use one of {', '.join(TIMEFRAMES)}")
    return text


def restore_plus(value: object) -> object:
    """Undo the form decoding of the `+` before a zone offset."""
    return UNESCAPED_PLUS.sub("+", value) if isinstance(value, str) else value


def to_utc(moment: datetime) -> datetime:
    """Aware UTC; a naive time is UTC. Raises ValueError outside the years 1970 to 9998."""
    if not 1970 <= moment.year <= 9998:
        raise ValueError("a time must lie in the years 1970 to 9998")
    aware = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return max(EPOCH, aware)


# A reader of patterns may know nothing of scripts: this one says of ASCII what is right, and leaves the rest open.
SYMBOL = r"[^\x00-/:-@\[-\^`-\x7f]{2,20}"
DAY = (
    r"(19[7-9][0-9]|[2-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])-"
    r"((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
)
CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
ISO = rf"{DAY}([Tt _]{CLOCK}(:[0-5][0-9]([.,][0-9]+)?)?([Zz]|[-+]{CLOCK.replace(':', ':?')})?)?"
EPOCH_TEXT = r"\+?([0-9]{1,14}(\.[0-9]*)?|\.[0-9]+)"

# What of these types a reader of the API's description can check, in the dialect of JSON Schema.
PAIR_TEXT = {
    "type": "string",
    "pattern": f"^{SYMBOL}$",
    "description": "A symbol: 2 to 20 letters, none of them lower case, digits of any script, or `_`.",
    "examples": ["BTCUSDT"],
}
PERIOD_TEXT = {"type": "string", "enum": list(TIMEFRAMES), "description": "A timeframe.", "examples": ["1m"]}
MOMENT_TEXT = {
    "type": "string",
    "pattern": f"^({ISO}|{EPOCH_TEXT})$",
    "description": "ISO 8601, without a zone in UTC (29 February too); or seconds since 1970, above 20,000,000,000 ms.",
    "examples": ["2025-10-20T12:00:00Z"],
}

Pair = Annotated[str, AfterValidator(check_pair), WithJsonSchema(PAIR_TEXT)]
Period = Annotated[str, AfterValidator(check_period), WithJsonSchema(PERIOD_TEXT)]
Moment = Annotated[
    datetime, BeforeValidator(restore_plus), AfterValidator(to_utc), WithJsonSchema(MOMENT_TEXT)
]  # ISO, or epoch s or ms
Filter = Annotated[str, Field(min_length=1, max_length=100)]
Limit = Annotated[int, Field(ge=1, le=LIMIT_MAX, description="How many at most.")]
Offset = Annotated[int, Field(ge=0, le=OFFSET_MAX, description="How many to leave out first.")]
Dialect = Annotated[
    Literal["v11", "head", "both"],
    Field(description="Under which of its names a list is given: the older one, `data`, or both (API_DIALECT)."),
]
Order = Annotated[Literal["asc", "desc"], Field(description="Ascending or descending.")]


class Params(BaseModel):
    """Base of all: unknown parameters are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PairParams(Params):
    """One symbol."""

    pair: Pair


class RangeParams(PairParams):
    """A page of the rows with `start <= time < end`.

    With none of `start`, `offset` and `sort_order` the page holds the newest rows before `end`, leaving out
    the `skip` newest of them. A page holds at most LIMIT_MAX rows; what is streamed may hold more.
    """

    start: Annotated[Moment | None, Field(description="Rows of then or later; by default of the last hours.")] = None
    end: Annotated[Moment | None, Field(description="Rows of before; by default before now.")] = None
    limit: Annotated[
        int,
        Field(ge=1, json_schema_extra={"maximum": LIMIT_MAX}, description="Rows at most; of a stream 1,000,000."),
    ] = 100
    offset: Offset | None = None
    skip: Annotated[
        Offset, Field(description="How many of the newest rows to leave out; not with start, offset or sort_order.")
    ] = 0
    sort_by: Literal["timestamp"] = "timestamp"
    sort_order: Order | None = None
    dialect: Dialect | None = None

    @field_validator("limit")
    @classmethod
    def _a_stream_may_be_longer(cls, limit: int, info: ValidationInfo) -> int:
        most = LIMIT_MAX if info.context is None else info.context[LIMIT_OF]
        if limit > most:
            raise PydanticKnownError("less_than_equal", {"le": most})
        return limit

    @property
    def newest(self) -> bool:
        """Whether the newest rows are asked for."""
        return self.start is None and self.offset is None and self.sort_order is None

    @model_validator(mode="after")
    def _skip_counts_from_the_newest(self) -> RangeParams:
        if self.skip and not self.newest:
            raise ValueError("skip cannot be combined with start, offset or sort_order; use offset")
        return self


class CandleParams(RangeParams):
    """`/data/candles`."""

    period: Period


class TradeParams(RangeParams):
    """`/data/trades`; without `kind`, raw trades where the range holds any, else aggregated ones."""

    kind: Annotated[
        Literal["trade", "aggTrade"] | None,
        Field(description="By default raw trades where the range holds any, else aggregated ones."),
    ] = None


class FundingParams(RangeParams):
    """`/data/funding`; predicted rates only when asked for."""

    settled: Annotated[
        Literal["true", "false", "any"], Field(description="Rates that were settled, that were predicted, or both.")
    ] = "true"


class TickerParams(RangeParams):
    """`/data/tickers`; of both kinds unless asked otherwise."""

    kind: Literal["24hrTicker", "24hrMiniTicker", "any"] = "any"


class DatasetParams(Params):
    """`/catalog/datasets`; `search` is looked for in id, name and description."""

    category: Filter | None = None
    owner: Filter | None = None
    search: Annotated[Filter | None, Field(description="Text in the id, the name or the description.")] = None
    limit: Annotated[int, Field(ge=1, le=500)] = 50
    offset: Offset = 0
    sort_by: Literal["dataset_id"] = "dataset_id"
    sort_order: Order = "asc"
    dialect: Dialect | None = None


class LineageParams(Params):
    """`/catalog/lineage/{dataset_id}`."""

    limit: Limit = 100


class HealthParams(PairParams):
    """`/health`; without `period`, of all the symbol's datasets."""

    period: Period | None = None


class JobParams(Params):
    """`/backfill/jobs`."""

    status: JobStatus | None = None
    symbol: Pair | None = None
    data_type: Filter | None = None
    since: Annotated[Moment | None, Field(alias="from", description="Created then or later.")] = None
    before: Annotated[Moment | None, Field(alias="to", description="Created before.")] = None
    limit: Limit = 100
    offset: Offset = 0
    sort_by: Literal["created_at"] = "created_at"
    sort_order: Order = "desc"
    dialect: Dialect | None = None


class GapParams(Params):
    """`/gaps`."""

    pair: Pair | None = None
    period: Annotated[Period | None, Field(description="Of the pair's candles of that timeframe.")] = None
    dataset: Annotated[Filter | None, Field(description="Of the dataset of that id.")] = None
    status: GapStatus | None = None
    limit: Limit = 100
    offset: Offset = 0
    sort_by: Literal["start"] = "start"
    sort_order: Order = "desc"

    @property
    def dataset_id(self) -> str | None:
        """The one dataset that is asked for."""
        return f"candles_{self.pair}_{self.period}" if self.period else self.dataset

    @model_validator(mode="after")
    def _period_is_of_one_symbol(self) -> GapParams:
        if self.period and (self.pair is None or self.dataset is not None):
            raise ValueError("period needs a pair, and cannot be combined with dataset")
        return self


class ConflictParams(Params):
    """`/conflicts`."""

    dataset: Annotated[Filter | None, Field(description="Of the dataset of that id.")] = None
    limit: Limit = 100


class LedgerParams(Params):
    """`/ledger`; without `pair`, of all symbols and of what has none."""

    pair: Pair | None = None


class QuarantineParams(Params):
    """`/quarantine`; without `pair`, of all symbols and of what has none."""

    pair: Pair | None = None
    reason: Filter | None = None
    limit: Limit = 100


class IncidentParams(Params):
    """`/system/incidents`."""

    limit: Limit = 100
    open: Annotated[bool, Field(description="Only those that last.")] = False


P = TypeVar("P", bound=Params)


def parse_path(model: type[P], request: web.Request) -> P:
    """The named parts of the request's path as `model`; raises a 422 Refusal."""
    try:
        return model.model_validate(dict(request.match_info))
    except ValidationError as error:
        raise invalid(items(error, "path")) from None


def parse(model: type[P], request: web.Request, *, limit_max: int = LIMIT_MAX) -> P:
    """The request's query as `model`, the last of repeated parameters counting; raises a 422 Refusal.

    `limit_max` is the largest limit of a range.
    """
    try:
        return model.model_validate(dict(request.query.items()), context={LIMIT_OF: limit_max})
    except ValidationError as error:
        raise invalid(items(error, "query")) from None


def items(error: ValidationError, where: str) -> list[Item]:
    """Pydantic's errors as clients know them: `loc` starts with `where`, `ctx` holds plain values only."""
    out = []
    for found in error.errors(include_url=False):
        item: Item = {
            "type": found["type"],
            "loc": [where, *found["loc"]],
            "msg": found["msg"],
            "input": plain(found["input"]),
        }
        if "ctx" in found:
            item["ctx"] = {
                key: value if isinstance(value, str | int | float | bool) else str(value)
                for key, value in found["ctx"].items()
            }
        out.append(item)
    return out


def plain(value: object) -> str | int | float | bool | None:
    """A value as an error repeats it: texts and numbers; None for what holds others, or is no number of JSON."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return value if isinstance(value, str | int | float | bool) else None
