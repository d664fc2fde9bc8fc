import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from data_manager.actors.feed_state import feed_state
from data_manager.actors.routing import NO_SYMBOL, NOT_JSON, RESERVED
from data_manager.storage.ledger import Counts
from data_manager.system.frames import decode, position
from data_manager.system.metrics import series
from data_manager.system.settings import RESERVED_SYMBOL, Settings
from data_manager.system.streams import incarnation_of
from tests.actors.routers import FEED, SUBJECT, Broker, Router, compact, settings_for, stored, trade
from tests.eventually import eventually
from tests.servers.nats import NatsServer


@pytest.fixture
def server(tmp_path):
    with NatsServer(tmp_path / "nats") as server:
        yield server


@pytest.fixture
def settings(server, tmp_path) -> Settings:
    return settings_for(server.url, tmp_path / "data")


# -- the way of the data -----------------------------------------------------------------------------------


def test_events_reach_their_symbols_subject_untouched_and_in_their_place(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            first, other, last = trade(1), trade(2, "ETHUSDT"), trade(3)
            await broker.publish(first)
            await broker.publish(other, last, traceparent="00-1-2-01")
            await broker.settled()
            frames = await broker.frames("BTCUSDT")
            assert [(f.position, f.raw, f.trace) for f in frames] == [
                (position(1), compact(first), None),
                (position(3), compact(last), "00-1-2-01"),
            ]
            created_us = incarnation_of(await broker.js.stream_info(FEED)) // 1000
            assert created_us < frames[0].received_us <= frames[1].received_us
            assert [f.position for f in await broker.frames("ETHUSDT")] == [position(2)]
            assert {batch.incarnation // 1000 for _, batch in await broker.batches()} == {created_us}
            assert router.count("messages_received_total", event_type="raw") == 3
            assert router.count("router_batches_total") == len(await broker.batches())
            assert router.worker.status().detail == "delivery=jetstream"

    asyncio.run(scenario())


def test_an_array_is_fanned_out_to_several_symbols(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish([trade(1), trade(2, "ETHUSDT"), trade(3), trade(4, "DOGEUSDT"), 5])
            await broker.settled()
            assert [f.position for f in await broker.frames("BTCUSDT")] == [position(1, 0), position(1, 2)]
            (frame,) = await broker.frames("ETHUSDT")
            assert (frame.position, frame.raw) == (position(1, 1), compact(trade(2, "ETHUSDT")))

    asyncio.run(scenario())
    by_type, quarantined = stored(settings)
    assert by_type == {
        "trade": Counts(received=1, skipped=1),
        "unknown": Counts(received=1, quarantined=1),
    }
    assert [(row.feed_seq, row.raw, row.reason) for row in quarantined] == [(position(1, 4), b"5", NO_SYMBOL)]


def test_what_cannot_be_routed_is_counted_and_kept(server, settings):
    bad = {NOT_JSON: b"\xff\x00 no json", NO_SYMBOL: b"{}", RESERVED: compact(trade(9, RESERVED_SYMBOL))}

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(*bad.values(), trade(1), trade(2, "DOGEUSDT"), trade(3, "DOGEUSDT"))
            await broker.settled()
            assert await broker.trade_ids("BTCUSDT") == [1]
            return router

    router = asyncio.run(scenario())
    by_type, quarantined = stored(settings)
    assert {row.reason: row.raw for row in quarantined} == bad
    assert [row.feed_seq for row in quarantined] == [position(1), position(2), position(3)]
    assert all(row.incarnation > 0 and row.received_ms <= row.stored_ms for row in quarantined)
    assert by_type == {
        "unknown": Counts(received=2, quarantined=2),
        "trade": Counts(received=3, quarantined=1, skipped=2),
    }
    assert router.count("messages_failed_total", event_type="unknown", error_type=NOT_JSON) == 1
    assert router.count("events_total", symbol="DOGEUSDT", event_type="trade", outcome="skipped") == 2
    assert router.count("events_total", symbol="_all", event_type="unknown", outcome="quarantined") == 2
    assert list(router.worker.skipped.samples["DOGEUSDT"]) == [compact(trade(n, "DOGEUSDT")) for n in (2, 3)]


def test_random_bytes_among_good_events_are_quarantined_every_one(server, settings):
    """F8, at the router's side."""
    rng = random.Random(8)
    bad = [b"\x00" + rng.randbytes(rng.randrange(60)) for _ in range(2_000)]

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            for number, garbage in enumerate(bad):
                await broker.client.publish(SUBJECT, garbage)
                await broker.client.publish(SUBJECT, compact(trade(number)))
            await broker.client.flush()
            await broker.settled()
            assert await broker.trade_ids("BTCUSDT") == list(range(len(bad)))

    asyncio.run(scenario())
    by_type, quarantined = stored(settings)
    assert by_type == {"unknown": Counts(received=len(bad), quarantined=len(bad))}
    assert [row.raw for row in sorted(quarantined, key=lambda row: row.feed_seq)] == bad


# -- acknowledging -----------------------------------------------------------------------------------------


def test_a_clean_stop_under_load_leaves_nothing_to_be_delivered_again(server, tmp_path):
    """F11: what the first router took it routed; the second one starts with what the first never saw."""
    settings = settings_for(server.url, tmp_path / "data", ack_wait_s=30)

    async def scenario():
        total = 20_000
        async with Broker(server.url) as broker:
            async with Router(settings) as router:
                await router.running()
                for number in range(total):
                    await broker.client.publish(SUBJECT, compact(trade(number)))
                    if number == total // 4:
                        await broker.routed(1)
                        stopping = asyncio.create_task(router.stop())
                await broker.client.flush()
                await stopping

            async def all_acknowledged():  # the server has the acknowledgements, and takes them in when it can
                return (await broker.js.consumer_info(FEED, "router")).num_ack_pending == 0

            await eventually(all_acknowledged)
            async with Router(settings) as second:
                await second.running()
                await broker.settled()
            frames = await broker.frames("BTCUSDT")
            assert [frame.position for frame in frames] == [position(n + 1) for n in range(total)]
            assert (await broker.js.consumer_info(FEED, "router")).num_redelivered == 0

    asyncio.run(scenario())


def test_nothing_is_acknowledged_before_market_has_it_nor_delivered_again_meanwhile(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            await broker.refuse_batches()
            async with Router(settings) as router:
                await router.running()
                await broker.publish(trade(1), trade(2, "ETHUSDT"))
                await eventually(lambda: router.worker.status().state == "waiting")
                assert router.worker.status().detail == "nats"
                await asyncio.sleep(2.5 * settings.ack_wait_s)
                info = await broker.js.consumer_info(FEED, "router")
                assert (info.num_ack_pending, info.num_redelivered) == (2, 0)
                await broker.open_market()
                await broker.settled()
                assert await broker.trade_ids("BTCUSDT") == [1]
                assert await broker.trade_ids("ETHUSDT") == [2]
                await eventually(lambda: router.worker.status().state == "running")

    asyncio.run(scenario())


def test_a_stop_gives_up_what_market_does_not_take(server, settings):
    async def scenario():
        async with Broker(server.url) as broker:
            await broker.refuse_batches()
            async with Router(settings) as router:
                await router.running()
                await broker.publish(trade(1))
                await eventually(lambda: router.worker.status().state == "waiting")
            assert await broker.unacknowledged() == 1

    asyncio.run(scenario())


def test_a_stop_is_not_held_up_by_a_question_that_is_answered_at_that_very_moment(server, settings, monkeypatch):
    asked = []

    async def answered_when_cancelled(*question):
        asked.append(question)
        answer = await feed_state(*question)
        if len(asked) > 1:  # the first one belongs to the start
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        return answer

    async def scenario():
        async with Router(settings) as router:
            await router.running()
            await eventually(lambda: len(asked) > 1)

    monkeypatch.setattr("data_manager.actors.feed_consumer.feed_state", answered_when_cancelled)
    asyncio.run(scenario())


def test_an_event_whose_acknowledgement_was_lost_is_counted_as_redelivered(server, settings):
    """F17: the aside is committed, MARKET refuses the rest of the array, and the router vanishes."""

    async def scenario():
        async with Broker(server.url) as broker:
            await broker.refuse_batches()
            async with Router(settings) as router:
                await router.running()
                await broker.publish([trade(1), trade(2, "DOGEUSDT"), 3])
                await eventually(lambda: router.worker.skipped.counts["DOGEUSDT", "trade"])
                await router.vanish()
            await broker.open_market()
            async with Router(settings) as router:
                await router.running()
                await broker.settled(30)

    asyncio.run(scenario())
    by_type, quarantined = stored(settings)
    assert by_type == {
        "trade": Counts(received=2, skipped=1, duplicate=1, redelivered=1),
        "unknown": Counts(received=2, quarantined=1, duplicate=1, redelivered=1),
    }
    assert len(quarantined) == 1


def test_nothing_is_acknowledged_before_the_store_has_it(server, settings):
    """F18: the store is locked by somebody else for longer than a store call waits."""

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(b"first")
            await broker.settled()
            with closing(sqlite3.connect(settings.market_dir / "_all.sqlite3", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                await broker.publish(b"second")
                await eventually(lambda: router.worker.status().state == "waiting")
                assert router.worker.status().detail == "market_store"
                await broker.publish(trade(1))
                await broker.routed(1)  # good events still have their way
                await asyncio.sleep(1.5 * settings.ack_wait_s)
                assert (await broker.js.consumer_info(FEED, "router")).num_redelivered == 0
                assert await broker.unacknowledged() == 1
                other.execute("ROLLBACK")
            await broker.settled()
            await eventually(lambda: router.worker.status().state == "running")

    asyncio.run(scenario())
    by_type, quarantined = stored(settings)
    assert by_type == {"unknown": Counts(received=2, quarantined=2)}
    assert [row.raw for row in quarantined] == [b"first", b"second"]


def test_a_router_that_is_killed_again_and_again_loses_and_doubles_nothing(server, settings, tmp_path):
    """Real processes and SIGKILL; MARKET may hold copies, which say that they may be."""
    child = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.actors.routers import Router, settings_for\n"
        "async def main():\n"
        "    router = Router(settings_for(sys.argv[1], Path(sys.argv[2])))\n"
        "    async with router:\n"
        "        await router.running()\n"
        "        print('running', flush=True)\n"
        "        await router.task\n"
        "asyncio.run(main())\n"
    )
    total, kills = 6_000, 2

    async def scenario():
        async with Broker(server.url) as broker:
            published = 0
            for turn in range(kills):
                process = subprocess.Popen(
                    [sys.executable, "-c", child, server.url, str(settings.data_dir)],
                    stdout=subprocess.PIPE,
                    cwd=Path(__file__).parents[2],
                )
                try:
                    assert await asyncio.to_thread(process.stdout.readline)
                    for _ in range(total // kills):
                        published += 1
                        bad = published % 3 == 0
                        await broker.client.publish(SUBJECT, b"bad" if bad else compact(trade(published)))
                    await broker.client.flush()
                    await asyncio.sleep(0.01 * turn)
                finally:
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    process.stdout.close()
            async with Router(settings) as router:
                await router.running()
                await broker.settled(20)
            assert published == total
            return await broker.frames("BTCUSDT")

    frames = asyncio.run(scenario())
    good = [number for number in range(1, total + 1) if number % 3]
    assert {frame.position for frame in frames} == {position(number) for number in good}
    by_type, quarantined = stored(settings)
    counts = by_type["unknown"]
    assert counts.received - counts.redelivered == counts.quarantined == len(quarantined) == total // 3


# -- trouble -----------------------------------------------------------------------------------------------


def test_a_full_subject_is_its_own_symbols_suspected_gap_and_nobody_elses(server, tmp_path):
    """F15."""
    settings = settings_for(server.url, tmp_path / "data", market_max_batches=2, max_batch=1)

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(*(trade(n) for n in range(1, 8)))
            await eventually(lambda: router.suspected("market_full"))
            await broker.publish(trade(8, "ETHUSDT"))
            await broker.settled()
            assert await broker.trade_ids("BTCUSDT") == [1, 2]
            assert await broker.trade_ids("ETHUSDT") == [8]
            await eventually(lambda: router.suspected("market_full")[-1].detail.endswith("to 7"))
        told = router.suspected("market_full")
        assert {suspicion.symbol for suspicion in told} == {"BTCUSDT"}
        assert told[0].detail.startswith("FEED sequences 3 to ")
        assert told[0].start_ms <= told[-1].end_ms
        assert len(told) <= 5
        assert router.count("suspected_gaps_total", symbol="BTCUSDT", reason="market_full") == len(told)

    asyncio.run(scenario())


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=lambda sig: sig.name)
def test_a_restarted_server_goes_on_where_it_was(server, settings, sig):
    """F12."""

    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            for turn in range(3):
                await broker.publish(*(trade(10 * turn + n) for n in range(10)))
                await asyncio.to_thread(server.restart, sig)
                await eventually(lambda turn=turn: router.count("nats_reconnections_total") > turn)
                await eventually(lambda: broker.client.is_connected)
            await broker.publish(trade(30))
            await broker.settled(20)
            assert sorted(set(await broker.trade_ids("BTCUSDT"))) == list(range(31))
            await eventually(lambda: router.worker.status().state == "running")
            assert not router.suspected("feed_missing")

    asyncio.run(scenario())


def test_a_server_that_is_away_is_waited_for(server, settings):
    server.stop()

    async def scenario():
        async with Router(settings) as router:
            await asyncio.sleep(0.3)
            assert (router.worker.status().state, router.worker.status().detail) == ("waiting", "nats")
            await asyncio.to_thread(server.start)
            await router.running()
            await asyncio.to_thread(server.stop)
            await eventually(lambda: router.worker.status().detail == "nats")
            assert router.worker.busy_since() is None
            status = series("data_manager_nats_connection_status", {})
            await eventually(lambda: router.metrics.totals().gauges[status] == 0)

    asyncio.run(scenario())


def test_a_stop_before_there_is_a_server_ends_at_once(server, settings):
    server.stop()

    async def scenario():
        async with Router(settings):
            await asyncio.sleep(0.1)

    asyncio.run(scenario())


# -- core mode ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jetstream", [False, True], ids=["absent", "there but not wanted"])
def test_without_jetstream_the_same_frames_go_over_core_nats(tmp_path, jetstream):
    async def scenario(server: NatsServer, settings: Settings):
        async with Broker(server.url) as broker, Router(settings) as router:
            await router.running()
            batches = []

            async def take(message):
                batches.append((message.subject, decode(message.data)))

            await broker.client.subscribe("data_manager.market.*", cb=take)
            await broker.client.flush()
            for message in (trade(1), [trade(2, "ETHUSDT"), trade(3)], b"bad", trade(4, "DOGEUSDT")):
                await broker.client.publish(SUBJECT, compact(message))
            await eventually(lambda: sum(len(batch.frames) for _, batch in batches) == 3)
            frames = [f for subject, batch in batches if subject.endswith(".BTCUSDT") for f in batch.frames]
            first = frames[0].position
            assert [(f.position, f.raw) for f in frames] == [
                (first, compact(trade(1))),
                (first + position(1, 1), compact(trade(3))),
            ]
            assert {(batch.incarnation, batch.routed_through) for _, batch in batches} == {(0, 0)}
            assert router.worker.status().detail == "delivery=core"
            assert router.sent == []

    with NatsServer(tmp_path / "nats", jetstream=jetstream) as server:
        settings = settings_for(server.url, tmp_path / "data", delivery="core" if jetstream else "auto")
        asyncio.run(scenario(server, settings))
    by_type, quarantined = stored(settings)
    assert by_type == {"trade": Counts(received=1, skipped=1), "unknown": Counts(received=1, quarantined=1)}
    assert [(row.raw, row.incarnation) for row in quarantined] == [(b"bad", 0)]


# -- weight ------------------------------------------------------------------------------------------------


def test_the_router_imports_nothing_heavy():
    heavy = "numpy pandas sklearn pyod sqlalchemy aiohttp"
    code = (
        "import sys, data_manager.actors.router\n"
        f"loaded = {heavy.split()!r}\n"
        "print([name for name in loaded if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_symbol_is_routed_from_when_it_is_added_until_it_is_retired(server, settings):
    async def scenario():
        async with Router(settings) as router, Broker(server.url) as broker:
            await router.running()
            await broker.publish(trade(1, "DOGEUSDT"))
            await broker.settled()
            router.symbols.become(("BTCUSDT", "DOGEUSDT"))
            await broker.publish(trade(2, "DOGEUSDT"), trade(3, "ETHUSDT"))
            await broker.settled()
            router.symbols.become(("BTCUSDT",))
            await broker.publish(trade(4, "DOGEUSDT"), trade(5))
            await broker.settled()
            assert await broker.trade_ids("DOGEUSDT") == [2]
            assert await broker.trade_ids("BTCUSDT") == [5]
            assert await broker.trade_ids("ETHUSDT") == []

    asyncio.run(scenario())
    by_type, _ = stored(settings)
    assert by_type == {"trade": Counts(received=3, skipped=3)}
