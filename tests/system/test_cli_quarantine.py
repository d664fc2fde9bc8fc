"""`data-manager quarantine`, against the API as it is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from data_manager.system.settings import Settings
from data_manager.system.streams import ensure_feed
from tests.http.serving import NOW_MS, store_rows
from tests.servers.api import ServedApi, served_api
from tests.servers.databases import free_port
from tests.servers.nats import NatsServer, connected
from tests.storage.examples import quarantined
from tests.system.typed import Terminal

TOKEN = "only for tests"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ServedApi]:
    with served_api(tmp_path) as served:
        yield served


def test_quarantined_events_are_listed_newest_first_and_filtered(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    rows = [quarantined(n, stored_ms=NOW_MS + n * 1000, reason="bad_shape" if n < 3 else "decode") for n in (1, 2, 3)]
    store_rows(tmp_path, rows)
    done = typed("quarantine", "list", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    heading, first, *rest = done.out.splitlines()
    assert heading.split() == ["EVENT", "STORED", "TYPE", "REASON", "DETAIL"]
    assert first.split()[:4] == ["BTCUSDT-5-3", "2025-10-20T12:00:03Z", "trade", "decode"]
    assert len(rest) == 2
    one = typed("quarantine", "list", "--reason", "bad_shape", "--limit", "1", "--json", "--url", api.url)
    assert [each["event_id"] for each in json.loads(one.out)["data"]] == ["BTCUSDT-5-2"]
    nothing = typed("quarantine", "list", "--symbol", "ETHUSDT", "--url", api.url)
    assert (nothing.code, nothing.out) == (0, "Nothing is in quarantine that matches.\n")
    assert typed("quarantine", "list", "--symbol", "eth", "--url", api.url).code == 2


def test_an_event_is_shown_with_its_bytes_and_nothing_of_them_steers_the_terminal(
    api: ServedApi, typed: Terminal, tmp_path: Path
) -> None:
    store_rows(tmp_path, [quarantined(1, raw=b"\x1b[2Jfoul", detail="what \x1b[31m", received_ms=NOW_MS)])
    done = typed("quarantine", "show", "BTCUSDT-5-1", "--url", api.url)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "BTCUSDT-5-1: trade of BTCUSDT, bad_shape",
        "Why: what ?[31m",
        "Received 2025-10-20T12:00:00Z, stored 2023-11-14T22:14:00Z.",
        "8 bytes, utf-8:",
        "?[2Jfoul",
    ]
    as_json = json.loads(typed("quarantine", "show", "BTCUSDT-5-1", "--json", "--url", api.url).out)
    assert as_json["raw"] == "\x1b[2Jfoul"


def test_an_event_that_is_not_there_ends_with_2_and_a_service_that_is_away_with_3(
    api: ServedApi, typed: Terminal
) -> None:
    for unknown in ("BTCUSDT-5-1", "../ledger", "?"):
        done = typed("quarantine", "show", unknown, "--url", api.url)
        assert done.code == 2
        assert "`data-manager quarantine list` lists them" in done.err
    for command in (("list",), ("show", "BTCUSDT-5-1")):
        assert typed("quarantine", *command, "--url", f"http://127.0.0.1:{free_port()}").code == 3


# -- replay -------------------------------------------------------------------------------------------------

UNTIMED = b'{"lastUpdateId":1,"bids":[],"asks":[]}'


@pytest.fixture
def feed(tmp_path: Path, typed: Terminal) -> Iterator[Feed]:
    with NatsServer(tmp_path / "nats") as nats, served_api(tmp_path, token=TOKEN, nats_url=nats.url) as served:
        typed.set(API_TOKEN=TOKEN)
        asyncio.run(make_feed(nats.url))
        yield Feed(nats, served.url)


class Feed(NamedTuple):
    """A stream, and the API that publishes to it."""

    nats: NatsServer
    api: str

    def messages(self) -> list[bytes]:
        """All that the stream holds."""
        return asyncio.run(messages_of(self.nats.url))


async def make_feed(url: str) -> None:
    settings = Settings(nats_url=url)
    async with connected(settings) as connection:
        await ensure_feed(connection.client.jetstream(), settings)


async def messages_of(url: str) -> list[bytes]:
    settings = Settings(nats_url=url)
    async with connected(settings) as connection:
        js = connection.client.jetstream()
        count = (await js.stream_info(settings.feed_stream)).state.messages
        return [(await js.get_msg(settings.feed_stream, number + 1)).data or b"" for number in range(count)]


def test_named_events_are_published_again_and_those_that_cannot_be_are_told_with_the_reason(
    feed: Feed, typed: Terminal, tmp_path: Path
) -> None:
    store_rows(tmp_path, [quarantined(1, raw=b'{"e":"x"}'), quarantined(2, raw=UNTIMED), quarantined(3, raw=b"]")])
    done = typed("quarantine", "replay", "BTCUSDT-5-3", "BTCUSDT-5-2", "BTCUSDT-5-1", "--url", feed.api)
    assert (done.code, done.err) == (1, "")
    refused, published, *where = done.out.splitlines()
    assert refused.startswith("BTCUSDT-5-2 was not replayed: The event tells no time")
    assert published == "2 events published on binance.futures.websocket.data."
    assert "`data-manager ledger show`" in where[0]
    assert feed.messages() == [b"]", b'{"e":"x"}']


def test_chosen_events_go_the_oldest_first_and_no_more_than_asked_for(
    feed: Feed, typed: Terminal, tmp_path: Path
) -> None:
    rows = [quarantined(n, raw=b"%d" % n, stored_ms=NOW_MS + n, reason="a" if n % 2 else "b") for n in range(1, 7)]
    store_rows(tmp_path, rows)
    done = typed("quarantine", "replay", "--reason", "a", "--limit", "2", "--json", "--url", feed.api)
    assert done.code == 0
    answer = json.loads(done.out)
    assert [each["event_id"] for each in answer["replayed"]] == ["BTCUSDT-5-3", "BTCUSDT-5-5"]
    assert [each["sequence"] for each in answer["replayed"]] == [1, 2]
    assert answer["refused"] == {}
    assert typed("quarantine", "replay", "--pair", "BTCUSDT", "--url", feed.api).code == 0
    assert feed.messages() == [b"3", b"5", *(b"%d" % n for n in range(1, 7))]
    nothing = typed("quarantine", "replay", "--symbol", "ETHUSDT", "--url", feed.api)
    assert (nothing.code, nothing.out) == (0, "Nothing is in quarantine that matches.\n")


def test_what_ends_a_replay_says_how_far_it_came(feed: Feed, typed: Terminal, tmp_path: Path) -> None:
    store_rows(tmp_path, [quarantined(1, raw=b"1")])
    done = typed("quarantine", "replay", "BTCUSDT-5-1", "BTCUSDT-5-9", "--url", feed.api)
    assert done.code == 2
    assert "There is no quarantined event BTCUSDT-5-9" in done.err
    assert "1 event of 2 had been published before that." in done.err
    feed.nats.stop()
    away = typed("quarantine", "replay", "--all", "--url", feed.api)
    assert away.code == 3
    assert "stays in quarantine" in away.err


@pytest.mark.parametrize("arguments", [[], ["BTCUSDT-5-1", "--all"], ["BTCUSDT-5-1", "--reason", "x"]])
def test_what_is_to_be_replayed_must_be_said_in_one_way(typed: Terminal, arguments: list[str]) -> None:
    done = typed("quarantine", "replay", *arguments)
    assert done.code == 2
    assert "`data-manager quarantine list`" in done.err


def test_a_replay_without_the_token_says_where_it_is_to_be_set(feed: Feed, typed: Terminal, tmp_path: Path) -> None:
    store_rows(tmp_path, [quarantined(1)])
    typed.set(API_TOKEN="another one")
    done = typed("quarantine", "replay", "--all", "--url", feed.api)
    assert done.code == 2
    assert "--token-file" in done.err
