"""`data-manager analytics`: what the running service has computed of its data, and what is out of the ordinary."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from data_manager.system.commands.options import EXIT_CODES, Assign, ConfigFile, load_settings
from data_manager.system.commands.service import AsJson, HowMany, Service, TokenFile, Url, connect, echo_json

analytics = typer.Typer(help="What is computed of the data.", no_args_is_help=True, rich_markup_mode=None)


class Category(StrEnum):
    """What is computed of one symbol."""

    VOLATILITY = "volatility"
    VOLUME = "volume"
    SPREAD = "spread"
    TREND = "trend"
    DEVIATION = "deviation"
    SEASONALITY = "seasonality"
    REGIME = "regime"


class Period(StrEnum):
    """Of which bars."""

    HOURS = "1h"
    DAYS = "1d"


class Method(StrEnum):
    """How anomalies are looked for."""

    ZSCORE = "zscore"
    MAD = "mad"
    MOVING_AVG = "moving_avg"
    ISOLATION_FOREST = "isolation_forest"
    ECOD = "ecod"
    COPOD = "copod"
    HBOS = "hbos"
    STALE_PRICE = "stale_price"
    VOLUME_WITHOUT_PRICE = "volume_without_price"


SERIES = (Category.VOLATILITY, Category.VOLUME, Category.TREND)  # answered with several documents
OVERVIEW_MAX = 100  # symbols in one answer
DETECT_S = 40.0  # longer than the service itself waits for what looks

Pair = Annotated[str, typer.Argument(metavar="SYMBOL", help="For example BTCUSDT.")]
PeriodOption = Annotated[Period, typer.Option("--period", "--timeframe", help="Of the bars of hours or of days.")]


@analytics.command(epilog=EXIT_CODES)
def show(
    symbol: Pair,
    category: Annotated[Category | None, typer.Option("--category", help="This one only.")] = None,
    period: PeriodOption = Period.HOURS,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Show the newest document of each category, and how far it can be trusted."""
    import orjson

    service = connect(config_file, assign, url)
    chosen = [category] if category is not None else list(Category)
    bodies = {each: service.get(f"/analysis/{each}", {"pair": symbol, "period": period}) for each in chosen}
    if as_json:
        echo_json(orjson.dumps({str(each): orjson.Fragment(body) for each, body in bodies.items()}))
        return
    for each, body in bodies.items():
        echo_document(each, body)


def echo_document(category: Category, body: bytes) -> None:
    """One category on stdout."""
    from data_manager.system.commands.documents import document_of, lines
    from data_manager.system.commands.tables import echo_table

    document = document_of(body, series=category in SERIES)
    if document is None:
        typer.echo(f"{category}: nothing is computed yet; `data-manager status` tells whether analytics is at work.")
        return
    typer.echo(f"{category}: {document.title}")
    echo_table(("FIELD", "VALUE"), lines(document))


@analytics.command(epilog=EXIT_CODES)
def overview(
    pairs: Annotated[
        str | None, typer.Option("--pairs", metavar="A,B,...", help="By default those of SUPPORTED_PAIRS.")
    ] = None,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of each symbol at a glance."""
    from data_manager.system.commands.documents import shown
    from data_manager.system.commands.service_answers import Overview, decode
    from data_manager.system.commands.tables import echo_table

    service = connect(config_file, assign, url)
    chosen = pairs or ",".join(load_settings(config_file, assign).settings.supported_pairs[:OVERVIEW_MAX])
    body = service.get("/analysis/market-overview", {"pairs": chosen, "limit": len(chosen.split(","))})
    known = decode(body, Overview)
    if as_json:
        echo_json(body)
        return
    rows = [
        (
            symbol,
            shown(each.volatility.annualized),
            shown(each.volume.spike_ratio),
            each.trend.direction,
            shown(each.trend.roc),
            each.regime.classification,
            shown(each.regime.confidence),
        )
        for symbol, each in known.overview.items()
    ]
    echo_table(("SYMBOL", "VOLATILITY", "VOLUME", "TREND", "CHANGE %", "REGIME", "CONFIDENCE"), rows)


@analytics.command(epilog=EXIT_CODES)
def anomalies(
    symbol: Pair,
    severity: Annotated[
        str | None, typer.Option("--severity", metavar="SEVERITY", help="info, low, medium, high or critical.")
    ] = None,
    limit: HowMany = 20,
    url: Url = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """List the anomalies of a symbol, the newest first."""
    from data_manager.system.commands.service_answers import Anomalies, decode
    from data_manager.system.commands.showing import printable, when
    from data_manager.system.commands.tables import echo_table

    query = {"pair": symbol, "severity": severity, "limit": limit, "dialect": "head"}
    body = connect(config_file, assign, url).get("/anomalies", query)
    page = decode(body, Anomalies)
    if as_json:
        echo_json(body)
        return
    rows = [(when(each.timestamp), each.severity, each.dataset_id, printable(each.details)) for each in page.data]
    if not rows:
        typer.echo(f"No anomaly is known; `data-manager analytics detect {symbol}` looks for some now.")
        return
    echo_table(("FOUND", "SEVERITY", "DATASET", "WHAT"), rows)
    if page.total_count > len(rows):
        typer.echo(f"{len(rows)} of {page.total_count:,}; more with --limit", err=True)


@analytics.command()
def detect(
    symbol: Pair,
    method: Annotated[Method, typer.Option("--method", help="How they are looked for.")] = Method.ZSCORE,
    period: PeriodOption = Period.HOURS,
    url: Url = None,
    token_file: TokenFile = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    as_json: AsJson = False,
) -> None:
    """Have a symbol's bars looked at by one method, now.

    Needs the service's API_TOKEN if it has one. Exit codes: 0 it was done, whatever was found, 2 usage, settings or
    token, 3 the service does not answer or its analytics is not at work.
    """
    from data_manager.system.commands.documents import shown
    from data_manager.system.commands.service_answers import Detection, decode
    from data_manager.system.commands.showing import printable, when
    from data_manager.system.commands.tables import echo_table

    service: Service = connect(config_file, assign, url, token_file, timeout_s=DETECT_S)
    body = service.post("/anomalies/detect", query={"pair": symbol, "timeframe": period, "method": method})
    found = decode(body, Detection)
    if as_json:
        echo_json(body)
        return
    if found.metadata is not None:
        typer.echo(printable(found.metadata.message))
        return
    typer.echo(f"{found.anomalies_detected:,} found in {symbol} {period} by {method}.")
    rows = [
        (when(each.timestamp), each.severity, shown(each.score), shown(each.price), printable(each.reason))
        for each in found.anomalies
    ]
    if rows:
        echo_table(("BAR", "SEVERITY", "SCORE", "PRICE", "WHY"), rows)
