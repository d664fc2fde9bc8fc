"""Query parameters of `/analysis/*` and of the anomalies: defaults and names are the original's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from data_manager.http.params import (
    SYMBOL,
    Dialect,
    Limit,
    Moment,
    Offset,
    Order,
    PairParams,
    Params,
    Period,
    check_pair,
)

PAIRS_MAX = 100
VOLATILITY_WINDOW, VOLUME_WINDOW, TREND_WINDOW, CORRELATION_WINDOW = "30d", "24h", "20", "30d"

LABEL = "[1-9][0-9]{0,5}[hd]"  # hours or days: 24h, 30d
Window = Annotated[str, Field(pattern=f"^{LABEL}$")]


def check_pairs(text: str) -> str:
    """Raises ValueError unless it is a list of pairs with commas between them."""
    pairs = split(text)
    if len(pairs) > PAIRS_MAX:
        raise ValueError(f"at most {PAIRS_MAX} pairs can be asked for at a time")
    for pair in pairs:
        check_pair(pair)
    return text


def split(pairs: str) -> list[str]:
    """The pairs of a list, each once, in its order."""
    return list(dict.fromkeys(pair.strip() for pair in pairs.split(",")))


PAIRS_TEXT = {
    "type": "string",
    "pattern": f"^ *{SYMBOL} *(, *{SYMBOL} *){{0,{PAIRS_MAX - 1}}}$",
    "description": "Symbols with commas between them.",
    "examples": ["BTCUSDT,ETHUSDT"],
}
Pairs = Annotated[str, AfterValidator(check_pairs), WithJsonSchema(PAIRS_TEXT)]


class SeriesParams(PairParams):
    """What volatility, volume and trend share."""

    period: Period
    dialect: Dialect | None = None


class VolatilityParams(SeriesParams):
    """`/analysis/volatility`; `method` is the estimator that is annualised."""

    method: Literal[
        "rolling_stddev", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang", "ewma_volatility"
    ] = "rolling_stddev"
    window: Window = VOLATILITY_WINDOW


class VolumeParams(SeriesParams):
    """`/analysis/volume`."""

    window: Window = VOLUME_WINDOW


class TrendParams(SeriesParams):
    """`/analysis/trend`; the original's window is the average's length in bars."""

    window: Annotated[str, Field(pattern=rf"^({TREND_WINDOW}|{LABEL})$")] = TREND_WINDOW


class PeriodParams(PairParams):
    """`/analysis/deviation` and `/analysis/seasonality`."""

    period: Period


class SpreadParams(PairParams):
    """`/analysis/spread`; of 1h is the newest book, of 1d the average of a day's."""

    period: Period = "1h"


class RegimeParams(PairParams):
    """`/analysis/regime`."""

    period: Period = "1h"


class CorrelationParams(Params):
    """`/analysis/correlation`."""

    pairs: Pairs
    period: Period
    window: Window = CORRELATION_WINDOW


class OverviewParams(Params):
    """`/analysis/market-overview`; in the order of `pairs` unless `sort_by` says otherwise."""

    pairs: Pairs = "BTCUSDT,ETHUSDT"
    limit: Annotated[int, Field(ge=1, le=PAIRS_MAX)] = 10
    offset: Offset = 0
    sort_by: Literal["symbol", "volatility", "volume", "trend"] | None = None
    sort_order: Order = "asc"


class AnomalyParams(PairParams):
    """`/anomalies`."""

    severity: Literal["info", "low", "medium", "high", "critical"] | None = None
    status: Annotated[
        Literal["new", "acknowledged", "resolved"] | None,
        Field(description="Nobody acknowledges or resolves an anomaly here: each of them is new."),
    ] = None
    since: Annotated[Moment | None, Field(alias="from", description="Found then or later.")] = None
    before: Annotated[Moment | None, Field(alias="to", description="Found before.")] = None
    limit: Limit = 100
    offset: Offset = 0
    sort_by: Literal["timestamp"] = "timestamp"
    sort_order: Order = "desc"
    dialect: Dialect | None = None


class DetectParams(PairParams):
    """`POST /anomalies/detect`: the original's four methods, and those that were added."""

    timeframe: Period = "1h"
    method: Literal[
        "zscore",
        "mad",
        "moving_avg",
        "isolation_forest",
        "ecod",
        "copod",
        "hbos",
        "stale_price",
        "volume_without_price",
    ] = "zscore"
