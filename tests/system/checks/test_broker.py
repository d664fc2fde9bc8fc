from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec
import pytest
from nats.js.api import AccountInfo, AccountLimits, APIStats, StreamConfig

from data_manager.system.broker import EmbeddedBroker
from data_manager.system.clock import SystemClock
from data_manager.system.commands.checks.broker import Facts, broker, durability, jetstream, room, server
from data_manager.system.commands.checks.check import MIB, Check, Verdict
from data_manager.system.settings import Delivery, Settings
from data_manager.system.streams import ensure_feed, ensure_market
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer, connected

FACTS = Facts("2.15.1", 8 * MIB)


def found(settings: Settings, running: int | None = None) -> dict[str, Check]:
    return {check.name: check for check in broker(settings, SystemClock(), running)}


async def make_streams(settings: Settings) -> None:
    async with connected(settings) as connection:
        js = connection.client.jetstream()
        await ensure_feed(js, settings)
        await ensure_market(js, settings)


async def make_stream(settings: Settings, name: str, subject: str) -> None:
    async with connected(settings) as connection:
        await connection.client.jetstream().add_stream(StreamConfig(name=name, subjects=[subject]))


async def streams_of(settings: Settings) -> int:
    async with connected(settings) as connection:
        return len(await connection.client.jetstream().streams_info())


def test_a_new_server_is_good_and_is_left_as_it_is(tmp_path: Path):
    with NatsServer(tmp_path) as nats:
        settings = Settings(nats_url=nats.url)
        checks = found(settings)
        assert {name: check.verdict for name, check in checks.items()} == {
            "NATS": Verdict.OK,
            "JetStream": Verdict.OK,
            "FEED": Verdict.OK,
            "MARKET": Verdict.OK,
            "power loss": Verdict.SKIPPED,
        }
        assert "version 2." in checks["NATS"].found
        assert asyncio.run(streams_of(settings)) == 0


def test_limits_that_differ_are_told_with_both_values_and_stay(tmp_path: Path):
    with NatsServer(tmp_path) as nats:
        settings = Settings(nats_url=nats.url)
        asyncio.run(make_streams(settings))
        assert found(settings)["FEED"].verdict is Verdict.OK
        other = Settings(nats_url=nats.url, feed_max_bytes=MIB, market_max_batches=7)
        checks = found(other)
        assert checks["FEED"].verdict is checks["MARKET"].verdict is Verdict.WARN
        assert f"max_bytes is {2 * 2**30}, the settings say {MIB}" in checks["FEED"].found
        assert "the settings say 7" in checks["MARKET"].found
        assert found(settings)["FEED"].verdict is Verdict.OK


def test_a_stream_of_ours_on_another_subject_is_a_failure_and_one_of_the_users_is_taken(tmp_path: Path):
    with NatsServer(tmp_path) as nats:
        settings = Settings(nats_url=nats.url)
        asyncio.run(make_stream(settings, "data_manager_feed", "another"))
        clash = found(settings)["FEED"]
        assert (clash.verdict, "STREAM_PREFIX" in clash.fix) == (Verdict.FAIL, True)
        asyncio.run(make_stream(settings, "theirs", settings.nats_consumer_subject))
        assert "theirs captures" in found(settings)["FEED"].found


@pytest.mark.parametrize(
    ("delivery", "verdict"),
    [(Delivery.AUTO, Verdict.WARN), (Delivery.JETSTREAM, Verdict.FAIL), (Delivery.CORE, Verdict.WARN)],
)
def test_a_server_without_jetstream_is_worth_what_was_asked_of_it(tmp_path: Path, delivery: Delivery, verdict: Verdict):
    with NatsServer(tmp_path, jetstream=False) as nats:
        check = found(Settings(nats_url=nats.url, delivery=delivery))["JetStream"]
        assert check.verdict is verdict
        assert "at most once" in check.found


def test_a_server_that_is_away_is_unreachable_and_credentials_stay_hidden():
    check = found(Settings(nats_url=f"nats://me:hunter2@127.0.0.1:{free_port()}"))["NATS"]
    assert (check.verdict, check.away) == (Verdict.FAIL, True)
    assert "hunter2" not in str(check)


def test_certificates_that_cannot_be_read_are_a_failure_of_the_settings():
    check = found(Settings(nats_url="tls://127.0.0.1:1", nats_ca_file=Path("/none")))["NATS"]
    assert (check.verdict, check.away) == (Verdict.FAIL, False)


def test_the_embedded_broker_is_looked_for_and_asked_while_it_runs(tmp_path: Path):
    settings = Settings(nats_url="embedded", data_dir=tmp_path)
    assert "is started with the service" in found(settings)["NATS"].found
    started = EmbeddedBroker(tmp_path / "jetstream")
    started.start()
    try:
        assert f"{started.url} answers" in found(settings, running=os.getpid())["NATS"].found
    finally:
        started.stop()
    assert "is started with the service" in found(settings, running=os.getpid())["NATS"].found


def account(storage: int, limit: int) -> AccountInfo:
    limits = AccountLimits(-1, limit, -1, -1, -1, -1, -1, False)
    return AccountInfo(0, storage, 1, 0, limits, APIStats(0, 0), None, None)


def test_what_the_account_may_store_must_hold_feed():
    settings = Settings(feed_max_bytes=100 * MIB)
    assert room(settings, account(0, -1), None).verdict is Verdict.OK
    assert room(settings, account(0, 100 * MIB), None).verdict is Verdict.OK
    short = room(settings, account(10 * MIB, 100 * MIB), None)
    assert (short.verdict, short.fix.split()[-3]) == (Verdict.FAIL, str(90 * MIB))


def test_messages_must_hold_a_batch():
    assert server(Settings(), "nats://x", FACTS).verdict is Verdict.OK
    small = msgspec.structs.replace(FACTS, max_payload=1000)
    assert server(Settings(), "nats://x", small).verdict is Verdict.WARN


def test_no_account_is_no_jetstream():
    assert [check.verdict for check in jetstream(Settings(), FACTS)] == [Verdict.WARN]


def test_what_a_loss_of_power_takes_is_said_where_it_is_known():
    assert "up to 10s of events" in durability(Settings(nats_url="embedded")).found
    assert "on disk" in durability(Settings(nats_url="embedded", nats_sync_interval="always")).found
    assert durability(Settings()).verdict is Verdict.SKIPPED
