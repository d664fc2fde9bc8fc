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
from data_manager.system.errors import ConfigError
from data_manager.system.lifecycle import Service, SystemDied
from data_manager.system.logs import configure
from data_manager.system.messages import Tree
from data_manager.system.settings import Settings
from data_manager.system.tree import EXCHANGE

UNRECONCILED = 1
SETTLE_S = 20.0  # for what was published to be stored, once the exchange is silent
LOG_NAME, TOKEN_NAME = "data-manager.log", "api-token"


class Demo:
    """One run of the demo."""

    def __init__(self, settings: Settings, seconds: float | None) -> None:
        self._settings = settings
        self._seconds = seconds
        self._clock = SystemClock()
        self._carried = 0  # events that an earlier, killed run left in the streams

    def run(self) -> int:
        """Run until Ctrl-C or the end of the time, print the summary, and return the exit code."""
        console = self._redirect_output()
        service = Service(self._with_token(), before_actors=self._count_leftovers)
        screen = Screen(console, service.settings)
        try:
            before = read_account(service.settings)
            with service, screen:
                self._watch(service, screen)
                published = self._settle(service, screen)
                code = service.stop()
        except SystemDied as death:
            screen.say(f"The system died: {death} (exit code {death.exit_code}).")
            return death.exit_code
        account = read_account(service.settings).since(before)
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
        """The settings with a random API token, told to the operator in a file only they can read."""
        if self._settings.api_token is not None:
            return self._settings
        token = secrets.token_urlsafe(24)
        path = self._settings.data_dir / TOKEN_NAME
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{token}\n")
        return self._settings.model_copy(update={"api_token": SecretStr(token)})

    def _count_leftovers(self, settings: Settings) -> None:
        in_feed = asyncio.run(last_sequence(settings))
        self._carried = max(0, in_feed - read_account(settings).events)

    def _watch(self, service: Service, screen: Screen) -> None:
        began = self._clock.monotonic()

        def go_on() -> bool:
            elapsed = self._clock.monotonic() - began
            if screen.due(elapsed):
                screen.show(service.tree.tree(), elapsed)
            return self._seconds is None or elapsed < self._seconds

        service.run(go_on)

    def _settle(self, service: Service, screen: Screen) -> int:
        """Silence the exchange and wait until all it published has been stored; returns how much that was."""
        screen.say("Stopping: the exchange first, then what is on its way.")
        service.tree.command(EXCHANGE, "pause")
        deadline = self._clock.monotonic() + SETTLE_S
        while True:
            tree = service.tree.tree()
            published = published_in(tree)
            silent = all(view.state == "paused" for view in tree.actors if view.name == EXCHANGE)
            lag = sum(view.lag or 0 for view in tree.actors)
            if (silent and lag == 0) or self._clock.monotonic() > deadline:
                return published
            service.tree.watch(0.1)


async def last_sequence(settings: Settings) -> int:
    """How many messages FEED has ever taken; 0 when there is no FEED yet."""
    client = await nats.connect(settings.nats_url)
    try:
        info = await client.jetstream().stream_info(settings.feed_stream)
        return int(info.state.last_seq)
    except NotFoundError:
        return 0
    finally:
        await client.close()


def published_in(tree: Tree) -> int:
    """How many events the exchange has published since the process started."""
    return int(sum(n for (name, _), n in tree.counters.items() if name == "data_manager_published_total"))


def reconciles(account: Account, published: int) -> bool:
    """Whether every event published was received, and each one received has exactly one outcome."""
    return account.events == published and account.balanced
