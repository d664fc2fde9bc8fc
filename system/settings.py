"""Every setting of the service: one frozen model, field names = environment names in lower case.

Values come from defaults < YAML file < environment < flags; system/settings_sources.py reads them and knows
where each came from. An empty string means unset.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_serializer,
    model_validator,
)

from data_manager.system.addresses import EMBEDDED as EMBEDDED  # where those who read settings look for it
from data_manager.system.addresses import (
    MONGO_SCHEMES,
    MYSQL_SCHEMES,
    check_base_url,
    check_database_url,
    check_nats_url,
    check_network,
    check_origin,
)
from data_manager.system.logs import redact_url

MAX_SLOT_S = 3600  # the longest slot of a sampled storage policy
ANALYSED_DAYS = {  # how far back the longest analysis over the bars of a timeframe looks, and which one that is
    "1h": (90, "seasonality"),
    "1d": (365, "volatility, trend and deviation of days"),
}
RESERVED_SYMBOL = "SELFTEST"  # never configurable: the router quarantines it, so a test can make a round trip


class Delivery(StrEnum):
    """How events reach ingest: acknowledged by JetStream, at most once over core, or whichever is there."""

    AUTO = "auto"
    JETSTREAM = "jetstream"
    CORE = "core"


class StoragePolicy(BaseModel):
    """What of one event type is stored: everything, the last of each N seconds, or nothing."""

    model_config = ConfigDict(frozen=True)

    mode: Literal["full", "sampled", "off"]
    seconds: int = Field(default=0, ge=0, le=MAX_SLOT_S)

    @classmethod
    def parse(cls, text: object) -> object:
        """Read `full`, `off` or `sampled:N`; raises ValueError with a sentence for anything else."""
        if isinstance(text, cls):
            return text
        mode, _, seconds = str(text).strip().partition(":")
        if mode in ("full", "off") and not seconds:
            return cls(mode=mode)  # type: ignore[arg-type]
        if mode == "sampled" and re.fullmatch("[0-9]{1,4}", seconds) and 0 < int(seconds) <= MAX_SLOT_S:
            return cls(mode="sampled", seconds=int(seconds))
        raise ValueError(f"{text!r} is no storage policy: write full, off or sampled:SECONDS, at most {MAX_SLOT_S}")

    @property
    def slot_ms(self) -> int:
        """Length of a slot; 0 unless sampled."""
        return self.seconds * 1000

    @model_serializer
    def __str__(self) -> str:
        return f"sampled:{self.seconds}" if self.mode == "sampled" else self.mode


def is_symbol(text: str) -> bool:
    """Whether `text` is 2 to 20 letters (none lower case), digits of any script, or `_`."""
    return 2 <= len(text) <= 20 and all(
        c == "_" or unicodedata.category(c) in ("Lu", "Lt", "Lm", "Lo", "Nd", "Nl", "No") for c in text
    )


def parse_names(value: object) -> object:
    """Split a comma-separated list, trim the names, drop empty ones and repeats; order is kept."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple):
        return value
    return tuple(dict.fromkeys(name.strip() for name in map(str, names) if name.strip()))


def check_symbols(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names; raises ValueError with one sentence on all that cannot be symbols, or when there is none."""
    wrong = [repr(name) for name in names if not is_symbol(name)]
    if RESERVED_SYMBOL in names:
        raise ValueError(f"{RESERVED_SYMBOL} is reserved for the self-test and cannot be configured")
    if wrong:
        upper = ",".join(name.upper() for name in names)
        hint = f"; did you mean {upper}" if all(is_symbol(name.upper()) for name in names) else ""
        raise ValueError(f"{', '.join(wrong)} cannot be a symbol: use 2 to 20 upper-case letters, digits or '_'{hint}")
    if not names:
        raise ValueError("no symbol is left: name at least one, for example BTCUSDT")
    return names


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Policy = Annotated[StoragePolicy, BeforeValidator(StoragePolicy.parse)]
Symbols = Annotated[tuple[str, ...], BeforeValidator(parse_names), AfterValidator(check_symbols)]
NatsUrl = Annotated[str, AfterValidator(check_nats_url)]
LogLevel = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[int, Field(gt=0, le=36_500)]
Port = Annotated[int, Field(gt=0, le=65535)]
MongoUrl = Annotated[str, AfterValidator(partial(check_database_url, schemes=MONGO_SCHEMES))]
BaseUrl = Annotated[str, AfterValidator(check_base_url)]
WebSocketUrl = Annotated[str, AfterValidator(partial(check_base_url, plain="ws"))]
OtlpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/@?#]+(/[^\s?#]*)?$")]  # keys go into the headers, not here
Origins = Annotated[tuple[Annotated[str, AfterValidator(check_origin)], ...], BeforeValidator(parse_names)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(check_network)], ...], BeforeValidator(parse_names)]
MysqlUrl = Annotated[str, AfterValidator(partial(check_database_url, schemes=MYSQL_SCHEMES))]


class Settings(BaseModel):
    """All settings; frozen, and safe to pickle into an actor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # service
    environment: str = "production"
    log_level: LogLevel = "INFO"
    data_dir: Path = Path("data")
    supported_pairs: Symbols = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")

    # NATS
    nats_url: NatsUrl = "nats://localhost:4222"
    nats_consumer_subject: str = "binance.futures.websocket.data"
    nats_connect_timeout: Seconds = 10
    nats_reconnect_time_wait: Seconds = 0.1
    nats_creds_file: Path | None = None
    nats_ca_file: Path | None = None
    nats_cert_file: Path | None = None
    nats_key_file: Path | None = None
    delivery: Annotated[Delivery, BeforeValidator(_lower)] = Delivery.AUTO
    stream_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = "data_manager"
    feed_max_bytes: Annotated[int, Field(gt=0)] = 2 * 2**30
    feed_max_age_s: Seconds = 86_400
    market_max_batches: Annotated[int, Field(gt=0)] = 20_000  # per symbol; beyond it a symbol's events are not routed
    # the embedded broker's; `always` survives power loss and costs 10x
    nats_sync_interval: Annotated[str, Field(pattern=r"^(always|[1-9][0-9]*(ms|s|m))$")] = "10s"

    # routing and ingest
    linger_ms: Annotated[float, Field(ge=0, le=1000)] = 10  # how long the router gathers a batch
    max_batch: Annotated[int, Field(gt=0, le=10_000)] = 500  # events of one batch
    max_batch_bytes: Annotated[int, Field(gt=0)] = 256 * 1024
    ack_wait_s: Seconds = 10
    feed_max_ack_pending: Annotated[int, Field(gt=0)] = 20_000
    market_max_ack_pending: Annotated[int, Field(gt=0)] = 512
    depth_kind: Literal["auto", "partial", "diff"] = "auto"
    store_depth: Policy = StoragePolicy(mode="sampled", seconds=5)
    store_book_ticker: Policy = StoragePolicy(mode="sampled", seconds=1)
    store_ticker: Policy = StoragePolicy(mode="sampled", seconds=1)
    store_mark_price: Policy = StoragePolicy(mode="sampled", seconds=1)
    store_force_order: Policy = StoragePolicy(mode="full")
    quarantine_max_rows: Annotated[int, Field(ge=0)] = 100_000  # per symbol

    # stores; storage/choice.py makes a back end of them
    mongodb_url: MongoUrl | None = None
    mongodb_host: str | None = None
    mongodb_port: Port = 27017
    mongodb_user: str | None = None
    mongodb_password: SecretStr | None = None
    mongodb_db: str | None = None
    mongodb_write_concern: Annotated[str, Field(pattern=r"^(majority|[1-9][0-9]?)$")] = "majority"
    mysql_uri: MysqlUrl | None = None
    mysql_host: str | None = None
    mysql_port: Port = 3306
    mysql_user: str = "root"
    mysql_password: SecretStr | None = None
    mysql_db: str | None = None
    require_shared_stores: bool = False
    candle_database_type: Annotated[Literal["mongodb", "mysql"], BeforeValidator(_lower)] = "mongodb"
    sqlite_synchronous: Literal["NORMAL", "FULL"] = "NORMAL"
    store_timeout_s: Seconds = 5

    # retention: days since a row was stored
    trades_retention_days: Days = 7
    klines_retention_days_1m: Days = 7
    klines_retention_days_5m: Days = 14
    klines_retention_days_15m: Days = 30
    klines_retention_days_1h: Days = 180
    klines_retention_days_4h: Days = 180
    klines_retention_days_1d: Days = 1825
    depth_retention_days: Days = 1
    book_tickers_retention_days: Days = 7
    tickers_retention_days: Days = 7
    mark_prices_retention_days: Days = 7
    liquidations_retention_days: Days = 7
    funding_rates_retention_days: Days = 1825
    quarantine_retention_days: Days = 7
    analytics_retention_days: Days = 90
    health_metrics_retention_days: Days = 90
    records_retention_days: Days = 180  # audit logs, and jobs, gaps, incidents, conflicts and lineage that ended

    # space
    market_quota_mb: Annotated[int, Field(ge=0)] = 0  # 0: none
    shed_at_percent: Annotated[int, Field(gt=0, le=100)] = 80  # of the quota; above it raw order-book data goes
    disk_low_mb: Annotated[int, Field(ge=0)] = 512  # SQLite: with less left on the disk it goes too ...
    disk_min_mb: Annotated[int, Field(ge=16)] = 64  # ... and with less than this nothing more is written
    enable_mongo_data_size_gauge: bool = True
    mongo_data_size_refresh_interval: Seconds = 60

    # audit
    enable_auditor: bool = True
    audit_interval: Seconds = 300
    gap_tolerance_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 60

    # backfill
    enable_backfiller: bool = True
    enable_auto_backfill: bool = True  # jobs for the gaps that audits find
    min_auto_backfill_gap: Annotated[int, Field(ge=0)] = 0  # seconds; a shorter gap waits for a user
    max_auto_backfill_jobs: Annotated[int, Field(gt=0, le=100)] = 5  # at a time
    history_bootstrap: bool = True  # fetch what analytics looks back for symbols that are new
    binance_fapi_base_url: BaseUrl = "https://fapi.binance.com"
    # weight a minute, of the 2,400 that the exchange allows an address; one request can weigh 20
    binance_rate_limit: Annotated[int, Field(ge=20, le=2400)] = 1200

    # analytics
    enable_analytics: bool = True
    analytics_interval: Seconds = 900

    # the feed
    feed_enabled: bool = False  # publish the exchange's own live streams on nats_consumer_subject
    binance_ws_url: WebSocketUrl = "wss://fstream.binance.com"

    # HTTP
    enable_api: bool = True
    api_host: str = "0.0.0.0"  # noqa: S104
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8000
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    api_token: SecretStr | None = None
    api_token_file: Path | None = None
    api_cors_origins: Origins = ()  # whose pages may read the API in a browser
    api_rate_limit: Annotated[float, Field(ge=0, le=1_000_000)] = 0  # requests a second of each client; 0: no limit
    api_rate_burst: Annotated[int, Field(gt=0, le=1_000_000)] = 100  # requests at once, while none came for long
    api_trusted_proxies: Networks = ()  # whose X-Forwarded-For is believed
    api_dialect: Literal["v11", "head", "both"] = "both"

    # telemetry; empty endpoint: none is sent
    otel_enabled: bool = True
    otel_exporter_otlp_endpoint: OtlpUrl | None = None
    otel_exporter_otlp_protocol: Literal["grpc", "http/protobuf"] | None = None  # None: grpc on port 4317
    otel_exporter_otlp_headers: SecretStr | None = None
    otel_service_name: str = "petrosa-data-manager"
    otel_metric_export_interval: Annotated[int, Field(ge=100)] = 60_000  # ms, as the standard name has it

    # supervision
    heartbeat_s: Seconds = 2
    heartbeat_miss_s: Seconds = 10
    start_timeout_s: Seconds = 30
    restart_intensity: Annotated[int, Field(ge=0)] = 5  # restarts allowed ...
    restart_within_s: Seconds = 60  # ... in this time
    restart_backoff_s: Seconds = 0.2
    restart_backoff_cap_s: Seconds = 30
    healthy_after_s: Seconds = 60  # a run this long resets the back-off
    park_probe_s: Seconds = 60
    drain_timeout_s: Seconds = 12
    ingest_memory_soft_mb: Annotated[int, Field(gt=0)] = 256
    ingest_memory_hard_mb: Annotated[int, Field(gt=0)] = 512

    # the simulated exchange (demo and tests)
    exchange_enabled: bool = False
    exchange_seed: int = 7
    exchange_rate: Annotated[float, Field(gt=0, le=100_000)] = 300  # events per second, all symbols
    exchange_port: Annotated[int, Field(ge=0, le=65535)] = 0  # its REST side and streams, on loopback; 0: any
    exchange_outage_every_s: Annotated[float, Field(ge=0, le=86_400)] = 0  # its feed fails so often; 0: never ...
    exchange_outage_s: Annotated[float, Field(ge=0, le=86_400)] = 0  # ... for so long

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        """Settings that are good alone and wrong together."""
        if self.heartbeat_miss_s <= self.heartbeat_s:
            raise ValueError("HEARTBEAT_MISS_S must be greater than HEARTBEAT_S, or every actor is taken for hung")
        if self.heartbeat_miss_s <= self.store_timeout_s:
            raise ValueError("HEARTBEAT_MISS_S must be greater than STORE_TIMEOUT_S, or a slow store looks like a hang")
        if self.restart_backoff_cap_s < self.restart_backoff_s:
            raise ValueError("RESTART_BACKOFF_CAP_S must not be less than RESTART_BACKOFF_S")
        if self.ingest_memory_hard_mb < self.ingest_memory_soft_mb:
            raise ValueError("INGEST_MEMORY_HARD_MB must not be less than INGEST_MEMORY_SOFT_MB")
        if self.api_port and self.api_port == self.metrics_port:
            raise ValueError(f"API_PORT and METRICS_PORT are both {self.api_port}: give each its own, or 0 for any")
        if (self.nats_cert_file is None) != (self.nats_key_file is None):
            raise ValueError("NATS_CERT_FILE and NATS_KEY_FILE belong together: set both or neither")
        if self.api_token is not None and self.api_token_file is not None:
            raise ValueError("API_TOKEN and API_TOKEN_FILE exclude each other: set one of them")
        if self.exchange_outage_every_s and self.exchange_outage_s >= self.exchange_outage_every_s:
            raise ValueError("EXCHANGE_OUTAGE_S must be less than EXCHANGE_OUTAGE_EVERY_S, or the feed is never there")
        if self.exchange_enabled and self.feed_enabled:
            raise ValueError("FEED_ENABLED and EXCHANGE_ENABLED exclude each other: one store, one exchange")
        if self.disk_low_mb < self.disk_min_mb:
            raise ValueError("DISK_LOW_MB must not be less than DISK_MIN_MB")
        return self

    @model_validator(mode="after")
    def _check_retention(self) -> Self:
        """Bars are kept for as long as an analysis needs them."""
        for timeframe, (days, reason) in ANALYSED_DAYS.items():
            kept = getattr(self, f"klines_retention_days_{timeframe}")
            if kept < days:
                name = f"KLINES_RETENTION_DAYS_{timeframe.upper()}"
                raise ValueError(f"{name} is {kept} and must be at least {days}: so far back looks {reason}")
        return self

    def shown(self) -> dict[str, object]:
        """Every value as JSON has it, by name, with secrets and the credentials of URLs hidden."""
        values = self.model_dump(mode="json")
        return {name: redact_url(v) if isinstance(v, str) else v for name, v in values.items()}

    def __repr_args__(self) -> Iterable[tuple[str | None, object]]:
        return self.shown().items()

    @property
    def is_replicated(self) -> bool:
        """Whether this may be one of several replicas: both stores are on servers, and no exchange is its own."""
        market, catalog = (self.mongodb_url, self.mongodb_host), (self.mysql_uri, self.mysql_host)
        shared = all(any(place is not None for place in places) for places in (market, catalog))
        return shared and not self.exchange_enabled

    @property
    def has_api_token(self) -> bool:
        """Whether one is needed to change anything."""
        return self.api_token is not None or self.api_token_file is not None

    @property
    def market_dir(self) -> Path:
        """Where the SQLite market files live."""
        return self.data_dir / "market"

    @property
    def catalog_file(self) -> Path:
        """The SQLite catalog's file."""
        return self.data_dir / "catalog.sqlite3"

    @property
    def ports_file(self) -> Path:
        """Where the http actor tells which ports it has bound."""
        return self.data_dir / "http.json"

    @property
    def exchange_file(self) -> Path:
        """Where the simulated exchange tells which port it has bound."""
        return self.data_dir / "exchange.json"

    @property
    def feed_stream(self) -> str:
        """The stream that captures the raw subject."""
        return f"{self.stream_prefix}_feed"

    @property
    def market_stream(self) -> str:
        """The work queue between router and ingest."""
        return f"{self.stream_prefix}_market"

    def market_subject(self, symbol: str) -> str:
        """The MARKET subject of one symbol."""
        return f"{self.stream_prefix}.market.{symbol}"
