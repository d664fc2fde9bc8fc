"""One actor's connection to NATS: waits for the server for ever, and says so once per change of state."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import random
import ssl
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client

from data_manager.system.clock import Clock
from data_manager.system.errors import ConfigError, FeedError
from data_manager.system.logs import log, redact_url
from data_manager.system.settings import Settings

CLIENT_NAME = "petrosa-data-manager"
MAX_REASONS = 5  # why we wait is said once each, and not for ever in turns
BACKOFF_S = (0.1, 5.0)  # first and longest pause between attempts to connect, before jitter
PING_INTERVAL_S = 5
MAX_OUTSTANDING_PINGS = 2  # a half-open socket is found after three intervals
PENDING_BYTES = 8 * 2**20  # what may wait for the socket; beyond it publishing waits, or raises while disconnected
FLUSH_S = 2.0
CLOSE_S = 3.0
ABANDON_S = 0.5

ERROR_TYPES = ("connection", "subscription", "publish", "general")


class Connection:
    """A nats-py client with the settings' address and credentials.

    `client` may be used once `open` has returned True; from then on it is one object and reconnects by
    itself. `errors` counts by ERROR_TYPES.
    """

    def __init__(self, settings: Settings, name: str, clock: Clock, rng: random.Random | None = None) -> None:
        self._settings = settings
        self._name = f"{CLIENT_NAME}-{name}"
        self._clock = clock
        self._rng = rng or random.Random(name)  # noqa: S311  jitter, no secret
        self._url = redact_url(settings.nats_url)
        self._tried = self._opened = self._closing = False
        self._lost_at = 0.0
        self._last_error = ""
        self.errors = dict.fromkeys(ERROR_TYPES, 0)
        self.client = Client()

    @property
    def connected(self) -> bool:
        """Whether the server is there now, as far as we know."""
        return self._opened and self.client.is_connected

    @property
    def reconnects(self) -> int:
        """How often the connection came back since `open`."""
        return int(self.client.stats["reconnects"])

    async def open(self, stop: asyncio.Event) -> bool:
        """Connect, trying for ever with bounded back-off; False when `stop` was set first.

        Raises ConfigError for certificates or credentials that cannot be read.
        """
        options = _security(self._settings)
        pause, longest = BACKOFF_S
        said: set[str] = set()
        while not stop.is_set():
            attempt = asyncio.ensure_future(self._attempt(options))
            if not await _unless(stop, attempt):
                break
            if attempt.result():
                self._opened = True
                log("nats_connected", url=self._url)
                return True
            if self._last_error not in said and len(said) < MAX_REASONS:
                said.add(self._last_error)
                log("nats_waiting", logging.WARNING, url=self._url, reason=self._last_error)
            await sleep_unless(stop, pause * self._rng.uniform(0.5, 1.5))
            pause = min(pause * 2, longest)
        await self.close()
        return False

    async def open_in_time(self) -> None:
        """Connect within NATS_CONNECT_TIMEOUT, for commands, which do not wait for ever.

        Raises FeedError when NATS is not there by then, and ConfigError as `open` does.
        """
        too_late = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(self._settings.nats_connect_timeout, too_late.set)
        reached = await self.open(too_late)
        timer.cancel()
        if not reached:
            seconds = self._settings.nats_connect_timeout
            raise FeedError(f"NATS at {self._url} could not be reached within {seconds:g} s")

    async def close(self) -> None:
        """Send what is buffered and disconnect, in at most FLUSH_S + CLOSE_S seconds; may be repeated."""
        self._closing = True
        if self.connected:
            await within(FLUSH_S, self.client.flush())
        if self._tried:
            await within(CLOSE_S, self.client.close())

    async def _attempt(self, options: dict[str, object]) -> bool:
        """One round over the servers; False, with the reason in `_last_error`, when none takes us."""
        self._tried = True
        self.client = Client()
        try:
            await asyncio.wait_for(self._connect(options), self._settings.nats_connect_timeout)
        except (nats.errors.NoServersError, TimeoutError) as error:
            self._last_error = self._last_error or str(error) or "no answer"
            # nats-py waits for ever, here and above, after a TLS handshake that failed
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.client.close(), ABANDON_S)
            return False
        except nats.errors.Error as error:  # whatever a server may answer has become NoServersError
            raise ConfigError(f"NATS_URL {self._url} cannot be used: {error}") from error
        self.client.options["max_reconnect_attempts"] = -1
        return True

    async def _connect(self, options: dict[str, object]) -> None:
        settings = self._settings
        await self.client.connect(
            servers=[url.strip() for url in settings.nats_url.split(",")],
            name=self._name,
            connect_timeout=settings.nats_connect_timeout,  # type: ignore[arg-type]  # floats are fine
            reconnect_time_wait=settings.nats_reconnect_time_wait,  # type: ignore[arg-type]
            max_reconnect_attempts=1,  # for now: with -1 the first connect never returns
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=MAX_OUTSTANDING_PINGS,
            pending_size=PENDING_BYTES,
            flush_timeout=FLUSH_S,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            **options,  # type: ignore[arg-type]
        )

    async def _on_error(self, error: Exception) -> None:
        self.errors[error_type(error)] += 1
        self._last_error = redact_url(str(error) or type(error).__name__)

    async def _on_disconnected(self) -> None:
        self._lost_at = self._clock.monotonic()
        if self._opened and not self._closing:
            log("nats_disconnected", logging.WARNING, url=self._url, reason=self._last_error)

    async def _on_reconnected(self) -> None:
        log("nats_reconnected", url=self._url, after_s=round(self._clock.monotonic() - self._lost_at, 3))

    async def _on_closed(self) -> None:
        if self._opened and not self._closing:
            reason = str(self.client.last_error or self._last_error)
            log("nats_closed", logging.ERROR, url=self._url, reason=reason)


def error_type(error: Exception) -> str:
    """Which of ERROR_TYPES a nats-py error is."""
    text = str(error).lower()
    if isinstance(error, nats.errors.SlowConsumerError | nats.errors.BadSubscriptionError):
        return "subscription"
    if "permissions violation" in text:
        return "subscription" if "subscription" in text else "publish"
    if isinstance(
        error,
        nats.errors.OutboundBufferLimitError | nats.errors.MaxPayloadError | nats.errors.FlushTimeoutError,
    ):
        return "publish"
    if isinstance(error, OSError | nats.errors.Error):  # OSError includes time-outs
        return "connection"
    return "general"


async def within(seconds: float, work: Awaitable[object]) -> bool:
    """Wait for `work` at most so long; True when it ended in time, be it with a NATS or socket error.

    Work that is late goes on unwatched: nats-py's read loop ends on the PONG of a flush that was cancelled.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_look_at)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if task in done and not task.cancelled():
        error = task.exception()
        if error is not None and not isinstance(error, nats.errors.Error | OSError):
            raise error
    return task in done


def _look_at(task: asyncio.Future[object]) -> None:
    """Keep asyncio from reporting an error nobody waits for any more."""
    if not task.cancelled():
        task.exception()


async def sleep_unless(stop: asyncio.Event, seconds: float) -> None:
    """Sleep, but wake at once when `stop` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _unless(stop: asyncio.Event, task: asyncio.Future[bool]) -> bool:
    """Wait for `task`; cancel it and return False when `stop` is set first."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        either: set[asyncio.Future[Any]] = {task, stopped}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return task.done()
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def _security(settings: Settings) -> dict[str, object]:
    """The client's options for TLS and credentials; user, password and token come with the URL."""
    options: dict[str, object] = {}
    ca, cert, key = settings.nats_ca_file, settings.nats_cert_file, settings.nats_key_file
    if ca or cert or key:
        options["tls"] = _tls(ca, cert, key)
    if settings.nats_creds_file:
        try:
            settings.nats_creds_file.read_bytes()
        except OSError as error:
            raise ConfigError(f"NATS_CREDS_FILE cannot be read: {error}") from error
        if importlib.util.find_spec("nkeys") is None:  # nats-py signs with it
            raise ConfigError("NATS_CREDS_FILE needs the package nkeys: pip install nkeys")
        options["user_credentials"] = str(settings.nats_creds_file)
    return options


def _tls(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca)
        if cert:
            context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the NATS certificates ({ca}, {cert}, {key}) cannot be used: {error}") from error
    return context
