"""`data-manager store`: what the stores hold, and their backups."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import typer

from data_manager.system.commands.options import Assign, ConfigFile, DataDir, load_settings
from data_manager.system.errors import ConfigError, StoreCorrupt

if TYPE_CHECKING:
    from data_manager.storage.protocols import Holding, MarketStore
    from data_manager.storage.sqlite.course import Step, Tell
    from data_manager.system.clock import Clock
    from data_manager.system.settings import Settings

store = typer.Typer(help="What the stores hold, and their backups.", no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]

SECRET_OPTION = re.compile("password|properties", re.IGNORECASE)  # of a MongoDB URI


class Stats(NamedTuple):
    """What a market store holds."""

    back_ends: Mapping[str, str]
    data_bytes: int
    free_bytes: int | None
    held: list[Holding]
    findings: list[str]


@store.command()
def stats(
    config_file: ConfigFile = None, assign: Assign = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Count the rows of every series in the market store, and name what is wrong with it.

    May be used while the service runs. Exit codes: 0 all is well, 1 something was found, 2 settings, 3 the store
    is not there.
    """
    from data_manager.storage.choice import described, open_market_store
    from data_manager.system.cli import PROBLEM_FOUND
    from data_manager.system.clock import SystemClock

    settings = load_settings(config_file, assign, data_dir=data_dir).settings
    market = open_market_store(settings, SystemClock(), read_only=True)
    try:
        findings = market.findings()
        held = counted(market, findings)
        found = Stats(described(settings), market.data_bytes(), market.free_bytes(), held, findings)
    finally:
        market.close()
    if as_json:
        echo_json(in_json(found))
    else:
        typer.echo(in_words(found))
    if findings:
        raise typer.Exit(PROBLEM_FOUND)


@store.command()
def backup(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New or empty; the backup is made there.")],
    config_file: ConfigFile = None,
    assign: Assign = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy every SQLite file, each as it is at one moment, with a manifest of sizes and checksums.

    May be used while the service runs. What is kept in MongoDB or MySQL is backed up with their own tools: the
    commands are printed. Exit codes: 0 done, 1 a file is damaged or the disk full, 2 settings, another folder, or
    nothing here is SQLite, 3 the folder cannot be written.
    """
    import msgspec

    from data_manager.storage.choice import SQLITE, catalog_backend, market_backend
    from data_manager.storage.sqlite.backup import back_up, sources
    from data_manager.system.clock import SystemClock

    settings = load_settings(config_file, assign, data_dir=data_dir).settings
    others = dump_commands(settings, folder)
    market = settings.market_dir if market_backend(settings) == SQLITE else None
    catalog = settings.catalog_file if catalog_backend(settings) == SQLITE else None
    if market is None and catalog is None:
        raise ConfigError("\n".join(["No store is SQLite: back them up with their own tools.", *others]))
    files = sources(market, catalog)
    if not files:
        raise ConfigError(f"{settings.data_dir} holds no data: name the folder of a service with --data-dir")
    clock = SystemClock()
    with told(clock) as tell:
        done = back_up(files, folder, clock, tell)
    if as_json:
        echo_json({"folder": str(folder), "manifest": msgspec.to_builtins(done), "not_in_here": others})
        return
    typer.echo(f"{len(done.files)} files, {size(sum(file.bytes for file in done.files))}, are in {folder}.")
    for command in others:
        typer.echo(f"not in this backup: {command}")


@store.command()
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What `store backup` made.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Move data that is there aside; nothing is deleted.")
    ] = False,
    config_file: ConfigFile = None,
    assign: Assign = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup in place, all of it or nothing; `run` then goes on from there.

    Only while the service does not run. Exit codes: 0 done, 1 the backup is damaged or of a newer version,
    2 settings, no backup, data that is there or a service that runs, 3 a folder cannot be written.
    """
    import msgspec

    from data_manager.storage.choice import SQLITE, catalog_backend, market_backend
    from data_manager.storage.data_dir import DataDir as Data
    from data_manager.storage.sqlite.manifest import read_manifest
    from data_manager.storage.sqlite.restore import restore as put_back
    from data_manager.system.clock import SystemClock

    settings = load_settings(config_file, assign, data_dir=data_dir).settings
    held = read_manifest(folder)
    for part, name, backend in (
        (held.has_market, "market data", market_backend(settings)),
        (held.has_catalog, "a catalog", catalog_backend(settings)),
    ):
        if part and backend != SQLITE:
            raise ConfigError(f"{folder} holds {name} of SQLite, but the settings choose {backend}: unset its address")
    clock = SystemClock()
    with told(clock) as tell:
        done = put_back(folder, Data(settings.data_dir), clock, tell, replace=replace)
    if as_json:
        aside = str(done.moved_aside) if done.moved_aside else None
        manifest = msgspec.to_builtins(done.manifest)
        echo_json({"data_dir": str(settings.data_dir), "manifest": manifest, "moved_aside": aside})
        return
    typer.echo(f"{len(done.manifest.files)} files of {done.manifest.made_at} are in {settings.data_dir}.")
    if done.moved_aside:
        typer.echo(f"What was there is in {done.moved_aside}.")


def counted(market: MarketStore, findings: list[str]) -> list[Holding]:
    """What is held of every symbol; one that is too damaged to be counted is added to the findings."""
    from data_manager.storage.records import ALL_SYMBOLS

    held: list[Holding] = []
    for symbol in (*market.symbols(), ALL_SYMBOLS):
        try:
            held += market.holdings(symbol)
        except StoreCorrupt as error:
            if str(error) not in findings:
                findings.append(str(error))
    return held


def in_json(found: Stats) -> dict[str, object]:
    """The report for programs."""
    from data_manager.system.clock import iso

    series = [
        {
            "symbol": each.series.symbol,
            "dataset": each.series.dataset_id,
            "rows": each.rows,
            "oldest": iso(each.oldest_ms),
            "newest": iso(each.newest_ms),
            "bytes": each.bytes,
        }
        for each in found.held
    ]
    return {**found._asdict(), "held": series}


def in_words(found: Stats) -> str:
    """The report for people."""
    from data_manager.system.clock import to_datetime

    rows: list[tuple[str, ...]] = [("DATASET", "ROWS", "OLDEST", "NEWEST", "SIZE")]
    for each in found.held:
        ends = (to_datetime(ms).isoformat(timespec="seconds") for ms in (each.oldest_ms, each.newest_ms))
        rows.append((each.series.dataset_id, str(each.rows), *ends, size(each.bytes)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [f"{name}: {place}" for name, place in found.back_ends.items()]
    lines += [f"data: {size(found.data_bytes)}", f"free: {size(found.free_bytes)}"]
    return "\n".join([*lines, *(f"found: {sentence}" for sentence in found.findings)])


def dump_commands(settings: Settings, folder: Path) -> list[str]:
    """What backs up the stores that are not SQLite, beside the folder; the tools ask for the password."""
    from data_manager.storage.choice import mongo_target, mysql_target

    mongo, mysql = mongo_target(settings), mysql_target(settings)
    commands = []
    if mongo:
        parts = urlsplit(mongo.url)
        options = [(name, value) for name, value in parse_qsl(parts.query) if not SECRET_OPTION.search(name)]
        uri = f"{mongo.place}?{urlencode(options)}" if options else mongo.place
        user = [f"--username={unquote(parts.username)}"] if parts.username else []
        commands.append(["mongodump", f"--uri={uri}", *user, f"--out={folder}-mongodb"])
    if mysql:
        parts = urlsplit(mysql.url)
        place = [f"--host={parts.hostname}", f"--port={parts.port or 3306}"]
        user = [f"--user={unquote(parts.username)}", "--password"] if parts.username else []
        result = f"--result-file={folder}-mysql.sql"
        commands.append(["mysqldump", *place, *user, "--single-transaction", result, mysql.database])
    return [shlex.join(command) for command in commands]


def size(count: int | None) -> str:
    """Bytes in MiB; `-` where they are not known."""
    return "-" if count is None else f"{count / 2**20:.1f} MiB"


@contextmanager
def told(clock: Clock) -> Iterator[Tell]:
    """How copying is told on stderr: by a bar with the time left on a terminal, else by a line for each file."""
    from data_manager.system.commands.progress import progress

    if sys.stderr.isatty():
        with progress(clock, "file") as tell:
            yield lambda step: tell(step.number, step.share)
        return
    lines: set[str] = set()

    def tell_once(step: Step) -> None:
        if (line := str(step)) not in lines:
            lines.add(line)
            typer.echo(line, err=True)

    yield tell_once


def echo_json(report: dict[str, object]) -> None:
    """One JSON object on stdout."""
    import orjson

    typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
