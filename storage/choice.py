"""Which back ends the settings choose, and the market store made of them; each process makes its own.

The catalog is made by storage/catalog.py, which carries SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import SecretStr

from data_manager.storage.protocols import MarketStore
from data_manager.storage.retention import retention_of
from data_manager.system.clock import Clock
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings

DATABASE = "petrosa_data_manager"  # where nothing names another
SHARED = "REQUIRE_SHARED_STORES is true, since replicas with stores of their own would each own every lease"
MONGO, MYSQL, SQLITE = "mongodb", "mysql", "sqlite"


class Target(NamedTuple):
    """A database: where it is, and its name there."""

    url: str  # with the name as its path
    database: str

    @property
    def place(self) -> str:
        """Scheme, hosts and database: what may be shown."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/{self.database}"


def mongo_target(settings: Settings) -> Target | None:
    """The MongoDB that the settings name; None where market data goes to SQLite."""
    url = settings.mongodb_url
    if url is None and settings.mongodb_host is None:
        return None
    if url is None:
        login = credentials(settings.mongodb_user, settings.mongodb_password)
        url = f"mongodb://{login}{settings.mongodb_host}:{settings.mongodb_port}/"
    return target(url, settings.mongodb_db)


def mysql_target(settings: Settings) -> Target | None:
    """The MySQL or MariaDB that the settings name, for SQLAlchemy; None where the catalog is a SQLite file."""
    url = settings.mysql_uri
    if url is None and settings.mysql_host is None:
        return None
    if url is None:
        login = credentials(settings.mysql_user, settings.mysql_password)
        url = f"mysql://{login}{settings.mysql_host}:{settings.mysql_port}/"
    return target(f"mysql+pymysql://{url.partition('://')[2]}", settings.mysql_db)


def credentials(user: str | None, password: SecretStr | None) -> str:
    """`user:password@` as a URL has it; empty without a user."""
    if not user:
        return ""
    secret = f":{quote(password.get_secret_value(), safe='')}" if password else ""
    return f"{quote(user, safe='')}{secret}@"


def target(url: str, configured: str | None) -> Target:
    """The URL's own database goes before the configured one, as in the original."""
    parts = urlsplit(url)
    database = parts.path.strip("/") or configured or DATABASE
    return Target(urlunsplit(parts._replace(path=f"/{database}")), database)


def market_backend(settings: Settings) -> str:
    """`mongodb` or `sqlite`."""
    return SQLITE if mongo_target(settings) is None else MONGO


def catalog_url(settings: Settings) -> str:
    """The catalog's URL for SQLAlchemy."""
    mysql = mysql_target(settings)
    return f"sqlite:///{settings.catalog_file}" if mysql is None else mysql.url


def catalog_backend(settings: Settings) -> str:
    """`mysql` or `sqlite`."""
    return SQLITE if mysql_target(settings) is None else MYSQL


def described(settings: Settings) -> Mapping[str, str]:
    """The choice in words, without credentials."""
    mongo, mysql = mongo_target(settings), mysql_target(settings)
    return {
        "market_store": mongo.place if mongo else f"sqlite files in {settings.market_dir}",
        "catalog": mysql.place if mysql else f"sqlite file {settings.catalog_file}",
    }


def check_choice(settings: Settings) -> list[str]:
    """Warnings about names that contradict each other.

    Raises ConfigError where shared stores are required and not configured, or candles are to come from a MySQL
    that nobody named.
    """
    mongo, mysql = mongo_target(settings), mysql_target(settings)
    problems = []
    if settings.require_shared_stores and mongo is None:
        problems.append(f"MONGODB_URL (or MONGODB_HOST) is not set, but {SHARED}: set it to the market store's server.")
    if settings.require_shared_stores and mysql is None:
        problems.append(f"MYSQL_URI (or MYSQL_HOST) is not set, but {SHARED}: set it to the catalog's server.")
    if settings.candle_database_type == MYSQL and mysql is None:
        problems.append("CANDLE_DATABASE_TYPE is mysql, whose klines_* tables MYSQL_URI (or MYSQL_HOST) must name.")
    if problems:
        raise ConfigError("\n".join(problems))
    pairs = (("MONGODB_DB", settings.mongodb_db, mongo), ("MYSQL_DB", settings.mysql_db, mysql))
    return [
        f"{name} is {configured!r}, but the database's URL names {chosen.database!r}, which is used."
        for name, configured, chosen in pairs
        if chosen is not None and configured and configured != chosen.database
    ]


def open_market_store(settings: Settings, clock: Clock, *, read_only: bool = False) -> MarketStore:
    """The market store of the settings; nothing is connected before its first call."""
    mongo = mongo_target(settings)
    if mongo is not None:
        from data_manager.storage.mongo import MongoMarketStore

        return MongoMarketStore(
            mongo.url,
            mongo.database,
            clock=clock,
            write_concern=settings.mongodb_write_concern,
            timeout_s=settings.store_timeout_s,
            quarantine_max_rows=settings.quarantine_max_rows,
            retention=retention_of(settings),
        )
    from data_manager.storage.sqlite import SqliteMarketStore

    return SqliteMarketStore(
        settings.market_dir,
        clock=clock,
        synchronous=settings.sqlite_synchronous,
        timeout_s=settings.store_timeout_s,
        quarantine_max_rows=settings.quarantine_max_rows,
        min_free_bytes=settings.disk_min_mb << 20,
        read_only=read_only,
    )
