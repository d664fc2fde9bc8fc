"""`data-manager feed` as the operator meets it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from data_manager.system.commands.options import load_settings
from data_manager.system.tree import FEED, specs_of
from tests.actors.feed.feeding import agg_ids, missing, simulated
from tests.actors.feed.process import FeedProcess, feed_command
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected

NOBODY = "nats://127.0.0.1:1"


@asynccontextmanager
async def between(folder: Path) -> AsyncIterator[tuple[FeedProcess, NatsServer, Callable[[], Any]]]:
    """The command between an exchange and a NATS server with JetStream; the last part asks what FEED holds."""
    with NatsServer(folder / "nats") as nats:
        async with simulated() as exchange:
            address = f"binance_ws_url={exchange.ws_url}"
            pairs = "supported_pairs=BTCUSDT"
            with feed_command(folder, "--nats", nats.url, "--set", address, "--set", pairs) as feed:
                settings = load_settings(None, None, nats_url=nats.url).settings

                async def captured() -> list[bytes]:
                    async with connected(settings) as connection:
                        js = connection.client.jetstream()
                        state = (await js.stream_info(settings.feed_stream)).state
                        stored = [await js.get_msg(settings.feed_stream, n) for n in range(1, state.last_seq + 1)]
                        return [message.data or b"" for message in stored]

                yield feed, nats, captured


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_publishes_until_it_is_told_to_stop_and_ends_with_0(tmp_path: Path, number: signal.Signals) -> None:
    async def scenario() -> None:
        async with between(tmp_path) as (feed, _, captured):
            await eventually(lambda: feed.events().count("feed_connected") == 2)
            await asyncio.sleep(0.5)
            assert await asyncio.to_thread(feed.end, number) == 0
            messages = await captured()
            assert feed.lines()[-1]["event"] == "feed_stopped"
            assert feed.lines()[-1]["published"] == len(messages)
            assert {line["actor"] for line in feed.lines()} == {"feed"}
            assert missing(agg_ids(messages)) == 0

    asyncio.run(scenario())


def test_without_nats_it_waits_says_so_once_and_still_ends_with_0(tmp_path: Path) -> None:
    with feed_command(tmp_path, "--nats", NOBODY, "--set", "nats_connect_timeout=0.3") as feed:

        async def told() -> None:
            await eventually(lambda: "nats_waiting" in feed.events())
            await asyncio.sleep(1)

        asyncio.run(told())
        assert feed.process.poll() is None
        assert feed.end() == 0
        assert feed.events().count("nats_waiting") == 1


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with between(tmp_path) as (feed, nats, _):
            await eventually(lambda: feed.events().count("feed_connected") == 2)
            nats.freeze()  # so that the first one takes its time
            try:
                feed.process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
                assert feed.process.poll() is None
                assert await asyncio.to_thread(feed.end) == 130
            finally:
                nats.thaw()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--set", "exchange_enabled=true"), "FEED_ENABLED and EXCHANGE_ENABLED exclude each other"),
        (("--nats", "embedded"), "needs a NATS server that runs: name it with --nats nats://HOST:PORT"),
        (("--set", "binance_ws_url=https://fstream.binance.com"), "write wss://HOST or ws://HOST:PORT"),
        (("--set", "binance_ws_url=wss://me:hidden@fstream.binance.com"), "is no address of the exchange"),
    ],
)
def test_a_wrong_setting_ends_with_2_and_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    with feed_command(tmp_path, *arguments) as feed:
        assert feed.process.wait(30) == 2
        assert feed.process.stderr is not None
        told = feed.process.stderr.read()
    assert sentence in told
    assert "hidden" not in told
    assert told.count("\n") == 1
    assert feed.lines() == []


def test_help_says_what_the_exit_codes_mean() -> None:
    done = subprocess.run([sys.executable, "-m", "data_manager", "feed", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "Exit codes: 0 stopped in order" in " ".join(done.stdout.split())


def test_help_loads_nothing_of_the_feed() -> None:
    script = "import json, sys, data_manager.system.commands.feed; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not loaded & {"aiohttp", "asyncio", "nats", "msgspec", "pydantic"}


def test_the_feed_is_an_actor_of_run_only_when_asked_for() -> None:
    without, given = (load_settings(None, None, feed_enabled=value).settings for value in (None, "true"))
    assert FEED not in {spec.name for spec in specs_of(without, ())}
    (spec,) = (spec for spec in specs_of(given, ()) if spec.name == FEED)
    assert not spec.essential
    assert spec.needs == ()
    assert spec.stage == max(one.stage for one in specs_of(given, ()))


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_waits_for_the_exchange(tmp_path: Path) -> None:
    with (
        NatsServer(tmp_path / "nats") as nats,
        feed_command(tmp_path, "--nats", nats.url, "--set", f"binance_ws_url=ws://127.0.0.1:{unused_port()}") as feed,
    ):

        async def told() -> None:
            await eventually(lambda: feed.events().count("feed_waiting") == 2)

        asyncio.run(told())
        assert feed.end() == 0
        assert "feed_connected" not in feed.events()
