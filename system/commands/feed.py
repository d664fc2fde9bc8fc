"""`data-manager feed`: publish the exchange's live streams."""

from __future__ import annotations

from data_manager.system.commands.options import Assign, ConfigFile, LogLevel, NatsUrl, load_settings
from data_manager.system.errors import ConfigError


def feed(
    nats: NatsUrl = None,
    config_file: ConfigFile = None,
    assign: Assign = None,
    log_level: LogLevel = None,
) -> None:
    """Publish the exchange's live streams on the feed's subject, until SIGTERM or Ctrl-C.

    The same as `run --feed`, in a process of its own and without the rest; logs are JSON lines on stdout. It needs no
    key, and waits for NATS and for the exchange as long as they are away. Exit codes: 0 stopped in order, 2 settings,
    3 NATS closed the connection for good, 130 forced.
    """
    import asyncio

    from data_manager.actors.feed.alone import publish_until_signalled
    from data_manager.system.logs import configure
    from data_manager.system.settings import EMBEDDED
    from data_manager.system.tree import FEED

    loaded = load_settings(config_file, assign, nats_url=nats, log_level=log_level, feed_enabled="true")
    if loaded.settings.nats_url == EMBEDDED:
        raise ConfigError("The feed needs a NATS server that runs: name it with --nats nats://HOST:PORT.")
    configure(FEED, loaded.settings.log_level)
    loaded.report()
    asyncio.run(publish_until_signalled(loaded.settings))
