"""The demo: `run` with an embedded broker and a simulated exchange, a live status, and an honest summary.

Logs of all processes go to `<data_dir>/data-manager.log`; the terminal belongs to the status.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from typing import IO

import nats
from nats.js.errors import NotFoundError
from pydantic import SecretStr

from data_manager.system.account import Account, read_account
from data_manager.system.clock import SystemClock
from data_manager.system.demo_screen import Screen
from data_manager.system.errors import ConfigError, StoreUnavailable
from data_manager.system.lifecycle import Service, SystemDied
from data_manager.system.logs import configure
from data_manager.system.messages import ActorView, Tree
from data_manager.system.settings import Settings
from data_manager.system.tree import EXCHANGE

UNRECONCILED = 1
SETTLE_S = 5.0  # beyond the time of a redelivery: when nothing has been stored for so long, nothing will be
LOG_NAME, TOKEN_NAME = "data-manager.log", "api-token"

# What the demo sets where the operator sets nothing: its feed fails every so often, and one need not wait long to see
# that found, repaired and closed.
OF_ITS_OWN: dict[str, object] = {
    "exchange_outage_every_s": 45.0,
    "exchange_outage_s": 5.0,
    "audit_interval": 5.0,
    "gap_tolerance_seconds": 10.0,
}


class Demo:
    """One run of the demo."""

    def __init__(self, settings: Settings, seconds: float | None) -> None:
        self._settings = settings
        self._seconds = seconds
        self._clock = SystemClock()
        self._token_file = settings.data_dir / TOKEN_NAME
        self._before = Account({})  # the ledgers ...
        self._in_feed = 0  # ... and FEED as they were at the start

    def run(self) -> int:
        """Run until Ctrl-C or the end of the time, print the summary, and return the exit code."""
        console = self._redirect_output()
        service = Service(self._with_token(), before_actors=self._prepare)
        screen = Screen(console, service.settings, None if self._settings.has_api_token else self._token_file)
        try:
            with service, screen:
                self._watch(service, screen)
                published = self._settle(service, screen)
                code = service.stop()
        except SystemDied as death:
            screen.say(f"The system died: {death} (exit code {death.exit_code}).")
            return death.exit_code
        account = read_account(service.settings).since(self._before)
        screen.summary(account, published, self._carried, service.final_tree)
        return code or (0 if reconciles(account, published + self._carried) else UNRECONCILED)

    def _redirect_output(self) -> IO[str]:
        """Send this process's stdout, which every actor inherits, to the log file; return the terminal's."""
        path = self._settings.data_dir / LOG_NAME
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigError(
                f"the data folder {path.parent} cannot be written ({error.strerror}): name another with --data-dir"
            ) from error
        console = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(file, 1)
        os.close(file)
        configure("main", self._settings.log_level)
        return console

    def _with_token(self) -> Settings:
        """The settings, with a random API token unless the operator has one."""
        if self._settings.has_api_token:
            return self._settings
        return self._settings.model_copy(update={"api_token": SecretStr(secrets.token_urlsafe(24))})

    def _prepare(self, settings: Settings) -> None:
        """Once the folder is ours and the broker up: tell the token to this user alone, look what is there."""
        self._token_file.unlink(missing_ok=True)
        if not self._settings.has_api_token and settings.api_token is not None:
            file = os.open(self._token_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as writer:
                writer.write(f"{settings.api_token.get_secret_value()}\n")
        self._before = read_account(settings)
        self._in_feed = asyncio.run(last_sequence(settings)) or 0

    @property
    def _carried(self) -> int:
        """Events that an earlier, killed run left in FEED."""
        return max(0, self._in_feed - self._before.events)

    def _watch(self, service: Service, screen: Screen) -> None:
        began, ends = self._clock.monotonic(), float("inf")

        def go_on() -> bool:
            nonlocal ends
            elapsed = self._clock.monotonic() - began
            tree = service.tree.tree()
            if self._seconds is not None and ends == float("inf") and exchange_in(tree).ever_running:
                ends = elapsed + self._seconds
            screen.show(tree, elapsed)
            return elapsed < ends

        service.run(go_on)

    def _settle(self, service: Service, screen: Screen) -> int:
        """Silence the exchange and wait until all it published has been stored; returns how much that was."""
        screen.say("Stopping: the exchange first, then what is on its way.")
        while (state := exchange_in(service.tree.tree()).state) != "paused":
            if state != "stopping":
                service.tree.command(EXCHANGE, "pause")
            service.poll()
        published = self._published(service)
        most, since = 0, self._clock.monotonic()
        while (received := self._received()) < self._carried + published:
            now = self._clock.monotonic()
            if received > most:
                most, since = received, now
            elif now - since > self._settings.ack_wait_s + SETTLE_S:
                break
            service.poll()
        return published

    def _published(self, service: Service) -> int:
        """By FEED's count, which no kill can falsify; by the exchange's own where there is no FEED."""
        in_feed = asyncio.run(last_sequence(service.settings))
        return published_in(service.tree.tree()) if in_feed is None else in_feed - self._in_feed

    def _received(self) -> int:
        try:
            return read_account(self._settings).since(self._before).events
        except StoreUnavailable:  # the file of a writer that was killed is being recovered
            return 0


async def last_sequence(settings: Settings) -> int | None:
    """How many messages FEED has ever taken; None when there is no FEED."""
    client = await nats.connect(settings.nats_url)
    try:
        info = await client.jetstream().stream_info(settings.feed_stream)
        return int(info.state.last_seq)
    except NotFoundError:
        return None
    finally:
        await client.close()


def exchange_in(tree: Tree) -> ActorView:
    """The simulated exchange."""
    return next(view for view in tree.actors if view.name == EXCHANGE)


def published_in(tree: Tree) -> int:
    """How many events the exchange has published since the process started."""
    return int(sum(n for (name, _), n in tree.counters.items() if name == "data_manager_published_total"))


def reconciles(account: Account, published: int) -> bool:
    """Whether every event published was received, and each one received has exactly one outcome."""
    return account.events == published and account.balanced
