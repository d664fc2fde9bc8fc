"""What may be asked of backfill: the body of `POST /backfill/start`, and the job that follows from it. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, WithJsonSchema

from data_manager.http.errors import invalid_value
from data_manager.http.paging import ceil_ms
from data_manager.http.params import MOMENT_TEXT, Moment, Pair, Period
from data_manager.storage.protocols import Job, JobReason, JobStatus
from data_manager.storage.records import TIMEFRAMES
from data_manager.storage.retention import DAY_MS

DataType = Literal["candles", "trades", "funding"]

CANDLES = "candles"
# Days that one job may span. Trades come a thousand a request, and a busy symbol has a million a day.
SPAN_DAYS: dict[str, int] = {CANDLES: 3660, "trades": 31, "funding": 3660}


LATEST_MS = 253_370_764_799_999  # the last millisecond of the year 9998
NUMBER = {"type": "number", "minimum": 0, "maximum": LATEST_MS}
JsonMoment = Annotated[Moment, WithJsonSchema({"anyOf": [MOMENT_TEXT, NUMBER]})]  # JSON has numbers too

EXAMPLE: JsonValue = {
    "symbol": "BTCUSDT",
    "data_type": "candles",
    "timeframe": "1m",
    "start_time": "2025-10-01T00:00:00Z",
    "end_time": "2025-10-02T00:00:00Z",
}


class JobRequest(BaseModel):
    """The body; unknown keys are ignored. `priority` 1 is worked on first, 10 last."""

    model_config = ConfigDict(frozen=True, extra="ignore", json_schema_extra={"examples": [EXAMPLE]})

    symbol: Pair
    data_type: DataType
    timeframe: Period | None = None
    start_time: JsonMoment
    end_time: JsonMoment
    priority: Annotated[int, Field(ge=1, le=10)] = 5


def job_for(asked: JobRequest, job_id: str, now_ms: int) -> Job:
    """The job, not begun yet; raises a 422 Refusal for a range that cannot be fetched.

    An end in the future means now. Only candles have a timeframe: that of anything else is left out.
    """
    start, end = ceil_ms(asked.start_time), min(ceil_ms(asked.end_time), now_ms)
    if start >= end:
        sentence = "start_time must be before end_time and before now"
        raise invalid_value(("body", "start_time"), sentence, asked.start_time.isoformat())
    longest = SPAN_DAYS[asked.data_type]
    if end - start > longest * DAY_MS:
        sentence = f"one job for {asked.data_type} spans at most {longest} days; ask for shorter ranges one by one"
        raise invalid_value(("body", "end_time"), sentence, asked.end_time.isoformat())
    if asked.data_type == CANDLES:
        check_bars(asked.timeframe, start, end)
    return Job(
        job_id=job_id,
        symbol=asked.symbol,
        data_type=asked.data_type,
        timeframe=asked.timeframe if asked.data_type == CANDLES else None,
        start_ms=start,
        end_ms=end,
        status=JobStatus.PENDING.value,
        created_ms=now_ms,
        priority=asked.priority,
        reason=JobReason.USER.value,
    )


def check_bars(timeframe: str | None, start_ms: int, end_ms: int) -> None:
    """Raise a 422 Refusal unless at least one bar opens in the range."""
    if timeframe is None:
        raise invalid_value(("body", "timeframe"), f"candles need a timeframe: {', '.join(TIMEFRAMES)}", None)
    length = TIMEFRAMES[timeframe]
    if -(-start_ms // length) * length >= end_ms:
        sentence = f"no bar of {timeframe} opens between start_time and end_time"
        raise invalid_value(("body", "end_time"), sentence, None)


def same_work(one: Job, other: Job) -> bool:
    """Whether both fetch the same."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("symbol", "data_type", "timeframe", "start_ms", "end_ms")
    )
