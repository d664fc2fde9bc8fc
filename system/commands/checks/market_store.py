"""The market store: damage, versions, indexes and space. Nothing is written, made or deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from data_manager.storage.choice import MONGO, described, market_backend, mongo_target, open_market_store
from data_manager.storage.space import Limits
from data_manager.system.clock import Clock
from data_manager.system.commands.checks.check import MIB, Check, Verdict, away, by_sentence, fail, ok, warn
from data_manager.system.errors import ConfigError, StoreError, StoreUnavailable
from data_manager.system.settings import Settings

if TYPE_CHECKING:
    from data_manager.storage.protocols import MarketStore

NAME = "market store"
SPACE = "space"
LONG_LOG_BYTES = 512 * MIB  # of one SQLite file: its log is cut at 64 MiB unless some reader never ends


def market_store(settings: Settings, clock: Clock) -> list[Check]:
    """All checks of the store that the settings choose."""
    if market_backend(settings) != MONGO:
        if not settings.market_dir.is_dir():
            return [ok(NAME, f"{settings.market_dir} is not there yet and will be made."), free_space(settings)]
        return [*looked_at(settings, clock), free_space(settings), long_logs(settings)]
    try:
        return [server(settings), *looked_at(settings, clock)]
    except StoreUnavailable as error:
        fix = "start it, or check MONGODB_URL; without any the data goes to SQLite files"
        return [away(NAME, f"{error}.", fix)]
    except StoreError as error:
        return [by_sentence(NAME, str(error))]


def looked_at(settings: Settings, clock: Clock) -> list[Check]:
    """What the store itself finds wrong, and how much it holds; raises StoreError of a server."""
    try:
        store = open_market_store(settings, clock, read_only=True)
    except ConfigError as error:
        return [by_sentence(NAME, str(error))]
    try:
        return [found(settings, store), quota(settings, store)]
    finally:
        store.close()


def found(settings: Settings, store: MarketStore) -> Check:
    """Files that are damaged or newer, indexes that stand in the way; files up to 16 MiB are read whole."""
    findings = store.findings()
    place = described(settings)["market_store"]
    if not findings:
        return ok(NAME, f"{place}: {len(store.symbols())} symbols, nothing is wrong with what is there.")
    first = by_sentence(NAME, findings[0])
    more = f" And {len(findings) - 1} more: `data-manager store stats` names them." if findings[1:] else ""
    return first._replace(found=f"{first.found}.{more}")


def quota(settings: Settings, store: MarketStore) -> Check:
    """How much the data takes of what it may take."""
    taken, limit = store.data_bytes(), Limits.of(settings).data_bytes
    if limit and taken > limit:
        says = f"The data takes {taken // MIB:,} MiB of MARKET_QUOTA_MB={settings.market_quota_mb:,}"
        return warn("quota", f"{says}: order-book data goes, oldest first.", "shorten retention, or raise the quota")
    of = f" of MARKET_QUOTA_MB={settings.market_quota_mb:,}" if settings.market_quota_mb else "; there is no quota"
    return ok("quota", f"The data takes {taken // MIB:,} MiB{of}.")


def free_space(settings: Settings) -> Check:
    """What is left on the disk of the data folder."""
    import shutil

    path = settings.data_dir.absolute()
    free = shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free // MIB
    says = f"{free:,} MiB are left for {settings.data_dir}"
    fix = "free some space, or set DATA_DIR to a larger disk"
    if free < settings.disk_min_mb:
        return fail(SPACE, f"{says}; below {settings.disk_min_mb:,} (DISK_MIN_MB) nothing is written.", fix)
    if free < settings.disk_low_mb:
        return warn(SPACE, f"{says}; below {settings.disk_low_mb:,} (DISK_LOW_MB) order-book data goes.", fix)
    broker = settings.feed_max_bytes // MIB
    if settings.nats_url == "embedded" and free < broker:
        lower = f"{fix}, or set FEED_MAX_BYTES lower"
        return warn(SPACE, f"{says}; the embedded broker may take {broker:,} (FEED_MAX_BYTES).", lower)
    return ok(SPACE, f"{says}.")


def long_logs(settings: Settings) -> Check:
    """Whether some file's write-ahead log grows without end."""
    logs = {path.name: path.stat().st_size for path in settings.market_dir.glob("*-wal")}
    return judged_logs(logs.items())


def judged_logs(logs: Iterable[tuple[str, int]]) -> Check:
    """The same of names and sizes."""
    sizes = dict(logs)
    longest = max(sizes, key=lambda name: sizes[name], default=None)
    if longest is not None and sizes[longest] > LONG_LOG_BYTES:
        says = f"{longest} has {sizes[longest] // MIB:,} MiB"
        fix = "end what reads that file (`lsof` names it), or restart the service, which cuts the log"
        return warn("logs of SQLite", f"{says}: some reader keeps it from being cut.", fix)
    return ok("logs of SQLite", f"{len(sizes)} logs, {sum(sizes.values()) // MIB:,} MiB.")


def server(settings: Settings) -> Check:
    """MongoDB itself: its version, and whether it takes writes with the write concern; raises StoreError."""
    from data_manager.storage.mongo.connection import Connection

    target = mongo_target(settings)
    assert target is not None  # the settings choose it
    concern = settings.mongodb_write_concern
    connection = Connection(target.url, target.database, write_concern=concern, timeout_s=settings.store_timeout_s)
    try:
        with connection.using() as database, connection.in_time():
            hello = database.client.admin.command("hello")
            version = str(database.client.server_info()["version"])
    finally:
        connection.close()
    members = len(hello.get("hosts", ())) or 1
    says = f"{target.place} answers: version {version}, {members} members, write concern {concern}"
    if not hello.get("isWritablePrimary", hello.get("ismaster", False)):
        return fail("MongoDB", f"{says}; it takes no writes.", "name all members in MONGODB_URL, or wait for a primary")
    if concern.isdigit() and int(concern) > members:
        fix = f"MONGODB_WRITE_CONCERN=majority, or at most {members}"
        return fail("MongoDB", f"{says}: more than there are members.", fix)
    if concern == "1" and members > 1:
        fix = "MONGODB_WRITE_CONCERN=majority"
        return warn("MongoDB", f"{says}: a failover may lose what was acknowledged.", fix)
    return Check("MongoDB", Verdict.OK, f"{says}.")
