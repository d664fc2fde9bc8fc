"""What a backfill job would cost, from what was typed and this host's settings: nothing is asked of anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from data_manager.actors.audit.grid import Range
from data_manager.actors.backfill.conf import ExchangeConf, exchange_conf
from data_manager.actors.backfill.plan import DataType, Estimate, Work, estimate, of_candles, page_size
from data_manager.actors.backfill.weights import Route
from data_manager.storage.records import TIMEFRAMES, Symbol
from data_manager.system.commands.showing import counted, lasting, when
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings, is_symbol

if TYPE_CHECKING:
    from collections.abc import Sequence

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Wanted(NamedTuple):
    """What the options of `backfill run` and `plan` ask for; `timeframe` is of candles alone."""

    symbol: Symbol
    data_type: DataType
    timeframe: str | None
    start: datetime
    end: datetime

    def body(self, priority: int) -> dict[str, object]:
        """The body of `POST /backfill/start`."""
        return {
            "symbol": self.symbol,
            "data_type": self.data_type.value,
            "timeframe": self.timeframe,
            "start_time": self.start.isoformat(),
            "end_time": self.end.isoformat(),
            "priority": priority,
        }


class Plan(NamedTuple):
    """A job's cost; for trades, the number of which nobody knows before, the least."""

    wanted: Wanted
    bars: int | None  # of candles
    rows_a_request: int
    cost: Estimate
    weight_a_minute: int


def wanted(symbol: str, data_type: str, timeframe: str | None, since: str, until: str | None, now: datetime) -> Wanted:
    """The options, checked; raises ConfigError with one sentence a line for all that is wrong."""
    problems: list[str] = []
    if not is_symbol(symbol):
        hint = f"; did you mean {symbol.upper()}" if is_symbol(symbol.upper()) else ""
        problems.append(f"--symbol {symbol}: a symbol is 2 to 20 upper-case letters, digits or '_'{hint}.")
    if data_type not in list(DataType):
        problems.append(f"--type {data_type}: use {any_of(list(DataType))}.")
    elif data_type == DataType.CANDLES and timeframe not in TIMEFRAMES:
        given = "candles need a --timeframe" if timeframe is None else f"--timeframe {timeframe}"
        problems.append(f"{given}: use {any_of(list(TIMEFRAMES))}.")
    elif data_type != DataType.CANDLES and timeframe is not None:
        problems.append(f"--timeframe is of candles; leave it out for {data_type}.")
    start = moment("--from", since, problems)
    end = now if until is None else moment("--to", until, problems)
    if start is not None and end is not None and start >= min(end, now):
        problems.append("--from must be before --to, and before now.")
    if problems or start is None or end is None:
        raise ConfigError("\n".join(problems))
    return Wanted(Symbol(symbol), DataType(data_type), timeframe, start, min(end, now))


def moment(option: str, text: str, problems: list[str]) -> datetime | None:
    """A time as people and programs write it, in UTC unless it says otherwise; None, and a problem more, for others."""
    try:
        found = datetime.fromisoformat(text)
        aware = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        problems.append(f"{option} {text}: write a time such as 2025-10-20 or 2025-10-20T12:00:00Z.")
        return None
    if aware < EPOCH:
        problems.append(f"{option} {text}: nothing is older than 1970.")
        return None
    return aware


def any_of(names: Sequence[str]) -> str:
    """A choice in words."""
    return f"{', '.join(names[:-1])} or {names[-1]}"


def packaged_plan(wanted: Wanted, settings: Settings) -> Plan:
    """What it costs at the packaged table of weights, under the settings' budget; raises ConfigError as `plan_of`."""
    return plan_of(wanted, exchange_conf(), settings.binance_rate_limit)


def plan_of(wanted: Wanted, conf: ExchangeConf, weight_a_minute: int) -> Plan:
    """What it costs; raises ConfigError where no bar opens in the range."""
    within = Range(to_ms(wanted.start), to_ms(wanted.end))
    work = Work(wanted.symbol, wanted.data_type, within)
    bars = None
    if wanted.timeframe is not None:
        work = of_candles(wanted.symbol, wanted.timeframe, within)
        bars = work.within.bars(TIMEFRAMES[wanted.timeframe])
        if not bars:
            raise ConfigError(f"No bar of {wanted.timeframe} opens between --from and --to.")
    route = route_of(wanted.data_type, conf)
    return Plan(wanted, bars, page_size(work, route), estimate(work, route, weight_a_minute), weight_a_minute)


def route_of(data_type: DataType, conf: ExchangeConf) -> Route:
    """The address that is asked."""
    routes = conf.routes
    return {
        DataType.CANDLES: routes.klines,
        DataType.TRADES: routes.agg_trades,
        DataType.FUNDING: routes.funding_rates,
    }[data_type]


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970, the first at or after the time."""
    return -((EPOCH - moment) // MILLISECOND)


def in_words(plan: Plan) -> str:
    """The plan for people."""
    wanted, cost = plan.wanted, plan.cost
    what = " ".join(filter(None, (wanted.symbol, wanted.data_type.value, wanted.timeframe)))
    bars = "" if plan.bars is None else f": {counted(plan.bars, 'bar')}"
    least = "at least " if wanted.data_type is DataType.TRADES else ""
    weight = f"weight {cost.weight:,} of {plan.weight_a_minute:,} a minute" if cost.weight else "which weigh nothing"
    return "\n".join(
        (
            f"{what} from {when(wanted.start)} to {when(wanted.end)}{bars}",
            f"{least}{counted(cost.requests, 'request')} for up to {plan.rows_a_request:,} rows each, {weight}",
            f"{lasting(cost.seconds)} or more, with the whole budget to itself",
        )
    )


def in_json(plan: Plan) -> dict[str, object]:
    """The plan for programs."""
    body = plan.wanted.body(0)
    del body["priority"]
    return {
        **body,
        "bars": plan.bars,
        "rows_a_request": plan.rows_a_request,
        "requests": plan.cost.requests,
        "weight": plan.cost.weight,
        "weight_a_minute": plan.weight_a_minute,
        "least_seconds": round(plan.cost.seconds, 3),
    }
