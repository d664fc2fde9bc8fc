"""`data-manager export`: stored rows as CSV or NDJSON, into a file or onto stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from data_manager.system.commands.options import Assign, ConfigFile
from data_manager.system.commands.service import Url, connect, reason
from data_manager.system.errors import ConfigError

if TYPE_CHECKING:
    from data_manager.system.clock import Clock
    from data_manager.system.commands.progress import Tell

ROWS_MAX = 1_000_000  # of one answer

PartOf = Callable[[bytes], float | None]  # of the range that was asked for, which these rows have reached


class Type(StrEnum):
    """What can be exported: what `/data/` serves as lists."""

    CANDLES = "candles"
    TRADES = "trades"
    FUNDING = "funding"
    TICKERS = "tickers"
    MARK_PRICES = "mark-prices"
    BOOK = "book"
    LIQUIDATIONS = "liquidations"


class Format(StrEnum):
    """How rows are written."""

    CSV = "csv"
    NDJSON = "ndjson"


ACCEPT = {Format.CSV: "text/csv", Format.NDJSON: "application/x-ndjson"}


def export(
    data_type: Annotated[Type, typer.Argument(metavar="TYPE", help=f"{', '.join(Type)}.")],
    symbol: Annotated[str, typer.Option("--symbol", metavar="SYMBOL", help="For example BTCUSDT.")],
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", metavar="TIMEFRAME", help="Of candles: 1m, 5m, 15m, 1h, 4h or 1d.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="The first time, in UTC; without it, the newest rows.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="Up to before this time; by default now.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=ROWS_MAX, help="How many rows at most.")] = ROWS_MAX,
    form: Annotated[Format, typer.Option("--format", help="How rows are written.")] = Format.CSV,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Written here instead of on stdout.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="FILE may be there already.")] = False,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --out: what was written, as JSON.")] = False,
) -> None:
    """Export stored rows of one symbol, the oldest first; numbers are the exchange's own decimal text.

    FILE appears when it is whole, or not at all. Exit codes: 0 done, 2 usage, 3 the service does not answer, or its
    answer broke off.
    """
    from data_manager.system.clock import SystemClock
    from data_manager.system.commands.progress import progress

    check_options(data_type, timeframe, out, replace=replace, as_json=as_json)
    query = {"pair": symbol, "period": timeframe, "start": since, "end": until, "limit": limit}
    pieces = connect(config_file, assign, url).stream(f"/data/{data_type}", query, ACCEPT[form])
    clock = SystemClock()
    part_of = reaching(since, until, clock)
    with progress(clock, "row") as tell:
        if out is None:
            rows = copy(pieces, sys.stdout.buffer, form, tell, part_of)
        else:
            with whole(out) as file:
                rows = copy(pieces, file, form, tell, part_of)
    report(rows, limit, out, as_json=as_json)


def check_options(data_type: Type, timeframe: str | None, out: Path | None, *, replace: bool, as_json: bool) -> None:
    """Raise ConfigError with one sentence a line for all that does not fit together."""
    problems = []
    if (data_type is Type.CANDLES) != (timeframe is not None):
        problems.append("--timeframe is of candles, which need one, and of nothing else.")
    if as_json and out is None:
        problems.append("--json needs --out: on stdout are the rows.")
    if out is not None and out.exists() and not replace:
        problems.append(f"{out} is there already: name another file, or add --replace.")
    if problems:
        raise ConfigError("\n".join(problems))


def reaching(since: str | None, until: str | None, clock: Clock) -> PartOf:
    """How to tell which part of the range some rows have reached; unknown where no range was given."""
    from data_manager.system.clock import now_ms, to_datetime
    from data_manager.system.commands.reached import moment_of, part_reached

    start = None if since is None else moment_of(since)
    end = to_datetime(now_ms(clock)) if until is None else moment_of(until)
    if start is None or end is None:
        return lambda piece: None
    return partial(part_reached, since=start, until=end)


def copy(pieces: Iterator[bytes], file: BinaryIO, form: Format, tell: Tell, part_of: PartOf) -> int:
    """Write all of it; return how many rows there were."""
    rows = -1 if form is Format.CSV else 0  # its heading is none
    for piece in pieces:
        file.write(piece)
        rows += piece.count(b"\n")
        tell(max(rows, 0), part_of(piece))
    file.flush()
    return rows


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name only when the block has ended well; raises ConfigError where it cannot be written."""
    draft = path.with_name(f"{path.name}.part")
    try:
        file = draft.open("wb")
    except OSError as error:
        raise ConfigError(f"--out {path} cannot be written ({reason(error)}).") from error
    try:
        with file:
            yield file
        os.replace(draft, path)
    except OSError as error:  # a full disk, above all
        raise ConfigError(f"--out {path} cannot be written ({reason(error)}).") from error
    finally:
        draft.unlink(missing_ok=True)


def report(rows: int, limit: int, out: Path | None, *, as_json: bool) -> None:
    """Say what was written."""
    if as_json:
        import orjson

        typer.echo(orjson.dumps({"file": str(out), "rows": rows, "limit_reached": rows == limit}).decode())
    elif out is not None:
        typer.echo(f"{rows:,} rows are in {out}.", err=True)
    if rows == limit:
        typer.echo("That is as many as were asked for; there may be more: go on with --from.", err=True)
