"""Replaying recordings: byte for byte, at the pace asked for, and with errors that name the line."""

from __future__ import annotations

import asyncio
import gzip
import io
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import nats
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from data_manager.system.clock import SystemClock
from data_manager.system.errors import ConfigError, DataError, FeedError
from data_manager.system.replay import (
    MAX_LINE_BYTES,
    MAX_PAUSE_S,
    AtOnce,
    ByEventTime,
    ByRate,
    Line,
    Replayed,
    open_recording,
    pace_of,
    part_read,
    read_lines,
    replay,
)
from data_manager.system.settings import Settings
from data_manager.system.streams import ensure_feed
from tests.eventually import eventually
from tests.fixtures.recording import write_recording
from tests.servers.nats import NatsServer

PURE = hypothesis_settings(derandomize=True, deadline=None, max_examples=60)
SUBJECT = "binance.futures.websocket.data"


class SleepingClock(SystemClock):
    """Monotonic time that passes only while somebody sleeps; remembers for how long."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return sum(self.slept)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def lines_of(path: Path) -> list[Line]:
    with open_recording(path) as file:
        return list(read_lines(file, path))


def write(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


async def captured(url: str, stream: str = "data_manager_feed") -> list[bytes]:
    """Every message of the stream, in order."""
    client = await nats.connect(url)
    try:
        js = client.jetstream()
        count = (await js.stream_info(stream)).state.messages
        subscription = await js.subscribe(SUBJECT, ordered_consumer=True, pending_msgs_limit=0)
        return [(await subscription.next_msg(timeout=5)).data for _ in range(count)]
    finally:
        await client.close()


async def with_stream(path: Path, url: str, **options: Any) -> tuple[Replayed, list[bytes]]:
    settings = Settings(nats_url=url)
    client = await nats.connect(url)
    await ensure_feed(client.jetstream(), settings)
    await client.close()
    replayed = await replay(path, settings, SystemClock(), **options)
    return replayed, await captured(url)


# -- reading ------------------------------------------------------------------------------------------------


@PURE
@given(
    st.lists(st.sampled_from([b'{"a":1}', b"[]", b"", b"   ", b'{"E":5}', b" [1] "]), max_size=12),
    st.booleans(),
)
def test_lines_keep_their_bytes_and_numbers_and_blank_ones_are_skipped(rows: list[bytes], crlf: bool) -> None:
    end = b"\r\n" if crlf else b"\n"
    lines = list(read_lines(io.BytesIO(end.join(rows)), Path("r.ndjson")))
    assert [(line.number, line.raw) for line in lines] == [
        (number, row) for number, row in enumerate(rows, 1) if row.strip()
    ]


@pytest.mark.parametrize(
    ("raw", "event_ms"),
    [
        (b'{"e":"trade","E":5,"T":4}', 5),
        (b'{"e":"bookTicker","T":4}', 4),
        (b'{"stream":"x","data":{"E":7}}', 7),
        (b'{"stream":"x","data":{"lastUpdateId":1}}', None),
        (b'[{"E":9},{"E":10}]', 9),
        (b'{"stream":"x","data":[{"T":8}]}', 8),
        (b'{"E":0,"T":3}', 3),
        (b'{"E":"5"}', None),
        (b"[]", None),
        (b"[[1]]", None),
    ],
)
def test_event_time_is_found_in_every_shape(tmp_path: Path, raw: bytes, event_ms: int | None) -> None:
    assert lines_of(write(tmp_path / "r.ndjson", raw)) == [Line(1, raw, event_ms)]


def test_a_line_may_be_as_long_as_a_message_but_no_longer(tmp_path: Path) -> None:
    longest = b'{"a":"' + b"x" * (MAX_LINE_BYTES - 8) + b'"}'
    assert len(longest) == MAX_LINE_BYTES
    assert len(lines_of(write(tmp_path / "fits.ndjson", b"{}", longest, longest + b"\r"))) == 3
    path = write(tmp_path / "long.ndjson", b"{}", longest + b" ")
    with pytest.raises(DataError, match=f"line 2 of {path} is longer than {MAX_LINE_BYTES} bytes"):
        lines_of(path)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"time,price", "is not JSON"),
        (b'{"a":1}{"b":2}', "is not JSON"),
        (b'{"a":', "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b"[" * 5000, "is not JSON"),
        (b"17", "is neither a JSON object nor an array"),
        (b'"text"', "is neither a JSON object nor an array"),
    ],
)
def test_what_is_no_ndjson_is_named_with_its_line(tmp_path: Path, raw: bytes, reason: str) -> None:
    path = write(tmp_path / "r.ndjson", b"{}", b"", raw)
    with pytest.raises(DataError, match=f"line 3 of {path} {reason}"):
        lines_of(path)


def test_a_damaged_archive_is_an_error_after_its_good_lines(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [b'{"a":%d}' % rng.getrandbits(200) for _ in range(5000)]
    packed = gzip.compress(b"\n".join(rows))
    path = tmp_path / "r.ndjson.gz"
    path.write_bytes(packed[: len(packed) // 2])
    with open_recording(path) as file:
        lines = read_lines(file, path)
        assert next(lines).raw == rows[0]
        with pytest.raises(DataError, match=f"{path} is damaged after line"):
            list(lines)
    path.write_bytes(b"{}\n")
    with pytest.raises(DataError, match="damaged after line 0"):
        lines_of(path)


# -- pace ---------------------------------------------------------------------------------------------------


def test_a_rate_spaces_events_evenly() -> None:
    pace = ByRate(4)
    assert [pace.due_s(Line(n, b"{}", None)) for n in (1, 5, 9)] == [0, 0.25, 0.5]


def test_a_speed_follows_event_time_from_the_first_event() -> None:
    pace = ByEventTime(2)
    times = [None, 10_000, 11_000, None, 10_500, 14_000]
    assert [pace.due_s(Line(1, b"{}", at)) for at in times] == [0, 0, 0.5, 0, 0.25, 2]


def test_without_options_events_are_due_at_once() -> None:
    assert isinstance(pace_of(None, None), AtOnce)


@pytest.mark.parametrize(
    ("rate", "speed", "sentence"),
    [
        (1, 1, "exclude each other"),
        (0, None, "--rate must be a number above 0, not 0"),
        (-3, None, "--rate must be"),
        (None, 0, "--speed must be"),
        (None, float("inf"), "--speed must be"),
        (float("nan"), None, "--rate must be"),
    ],
)
def test_options_that_do_not_fit_are_refused(rate: float | None, speed: float | None, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        pace_of(rate, speed)


def test_a_replay_sleeps_until_each_event_is_due(tmp_path: Path) -> None:
    rows = [b'{"E":%d}' % at for at in (1000, 1500, 1400, 5000, 5_000_000_000_000)]
    path = write(tmp_path / "r.ndjson", *rows)

    async def scenario(url: str) -> None:
        clock = SleepingClock()
        settings = Settings(nats_url=url)
        replayed = await replay(path, settings, clock, speed=2, sleep=clock.sleep)
        assert replayed.published == 5
        assert clock.slept[:2] == [0.25, pytest.approx(1.75)]
        assert clock.slept[2:] == [MAX_PAUSE_S]
        assert replayed.seconds == pytest.approx(2 + MAX_PAUSE_S)

    with NatsServer(tmp_path / "nats", jetstream=False) as server:
        asyncio.run(scenario(server.url))


def test_a_rate_holds_over_many_events(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", *[b"{}"] * 200)

    async def scenario(url: str) -> float:
        return (await replay(path, Settings(nats_url=url), SystemClock(), rate=400)).seconds

    with NatsServer(tmp_path / "nats", jetstream=False) as server:
        assert 0.49 < asyncio.run(scenario(server.url)) < 2


# -- publishing ---------------------------------------------------------------------------------------------


def test_a_stream_gets_every_line_once_in_order_and_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "recording.ndjson"
    facts = write_recording(path)
    heard: list[int] = []
    parts: list[float | None] = []

    def hear(events: int, part: float | None) -> None:
        heard.append(events)
        parts.append(part)

    with NatsServer(tmp_path / "nats") as server:
        replayed, stored = asyncio.run(with_stream(path, server.url, progress=hear))
    assert stored == path.read_bytes().splitlines()
    assert (replayed.published, replayed.captured) == (facts.messages, True)
    assert heard[-1] == facts.messages
    assert all(a <= b for a, b in pairwise(heard))
    assert all(a is not None and b is not None and a < b for a, b in pairwise(parts[:-1]))
    assert parts[-1] == 1.0


@pytest.mark.parametrize("name", ["r.ndjson", "r.ndjson.gz"])
def test_which_part_is_read_is_told_by_the_bytes_on_the_disk(tmp_path: Path, name: str) -> None:
    path, rng = tmp_path / name, random.Random(1)
    rows = b"\n".join(b'{"n":%d}' % rng.getrandbits(64) for _ in range(20_000))
    path.write_bytes(gzip.compress(rows) if name.endswith(".gz") else rows)
    with open_recording(path) as file:
        assert part_read(file) == 0
        parts = [part_read(file) for _ in read_lines(file, path)]
    assert all(a is not None and b is not None and a <= b for a, b in pairwise(parts))
    assert parts[len(parts) // 2] == pytest.approx(0.5, abs=0.1)
    assert parts[-1] == 1.0


def test_of_an_empty_file_no_part_can_be_told(tmp_path: Path) -> None:
    path = tmp_path / "r.ndjson"
    path.write_bytes(b"")
    with open_recording(path) as file:
        assert part_read(file) is None


def test_an_archive_is_replayed_like_the_file_in_it(tmp_path: Path) -> None:
    plain, packed = tmp_path / "r.ndjson", tmp_path / "r.ndjson.gz"
    write_recording(plain)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with NatsServer(tmp_path / "nats") as server:
        replayed, stored = asyncio.run(with_stream(packed, server.url))
    assert (replayed.published, stored) == (len(stored), plain.read_bytes().splitlines())


def test_two_replays_of_one_file_are_two_sets_of_events(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", b'{"a":1}', b'{"a":2}')

    async def scenario(url: str) -> list[bytes]:
        await with_stream(path, url)
        return (await with_stream(path, url))[1]

    with NatsServer(tmp_path / "nats") as server:
        assert asyncio.run(scenario(server.url)) == [b'{"a":1}', b'{"a":2}'] * 2


def test_without_a_stream_a_subscriber_hears_every_line(tmp_path: Path) -> None:
    path = tmp_path / "recording.ndjson"
    write_recording(path)

    async def scenario(url: str) -> None:
        heard: list[bytes] = []

        async def hear(message: Any) -> None:
            heard.append(message.data)

        client = await nats.connect(url)
        await client.subscribe(SUBJECT, cb=hear)
        await client.flush()
        replayed = await replay(path, Settings(nats_url=url), SystemClock())
        assert (replayed.published, replayed.captured) == (1535, False)
        await eventually(lambda: len(heard) >= 1535)
        assert heard == path.read_bytes().splitlines()
        await client.close()

    with NatsServer(tmp_path / "nats", jetstream=False) as server:
        asyncio.run(scenario(server.url))


def test_a_broker_restart_in_the_middle_loses_and_doubles_nothing(tmp_path: Path) -> None:
    path = tmp_path / "recording.ndjson"
    write_recording(path)

    async def scenario(server: NatsServer) -> None:
        heard: list[int] = []

        async def disturb() -> None:
            await eventually(lambda: bool(heard) and heard[-1] >= 300)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)

        (replayed, stored), _ = await asyncio.gather(
            with_stream(path, server.url, rate=1500, progress=lambda events, part: heard.append(events)), disturb()
        )
        assert replayed.published == 1535
        assert sorted(stored) == sorted(path.read_bytes().splitlines())

    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(scenario(server))


def test_an_empty_recording_publishes_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", b"", b"  ")
    with NatsServer(tmp_path / "nats", jetstream=False) as server:
        replayed = asyncio.run(replay(path, Settings(nats_url=server.url), SystemClock()))
    assert replayed.published == 0


def test_lines_before_a_bad_one_have_arrived(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", b'{"a":1}', b'{"a":2}', b"oops", b'{"a":3}')

    async def scenario(url: str) -> list[bytes]:
        with pytest.raises(DataError, match="line 3 of"):
            await with_stream(path, url)
        return await captured(url)

    with NatsServer(tmp_path / "nats") as server:
        assert asyncio.run(scenario(server.url)) == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize("jetstream", [True, False])
def test_an_event_the_server_finds_too_large_is_named_with_its_line(tmp_path: Path, jetstream: bool) -> None:
    path = write(tmp_path / "r.ndjson", b"{}", b'{"a":"' + b"x" * 100_000 + b'"}')

    async def scenario(url: str) -> None:
        with pytest.raises(FeedError, match="the replay ended at line 2: "):
            await (with_stream(path, url) if jetstream else replay(path, Settings(nats_url=url), SystemClock()))

    with NatsServer(tmp_path / "nats", extra="max_payload: 64KB", jetstream=jetstream) as server:
        asyncio.run(scenario(server.url))


def test_a_stream_without_room_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", *[b"{}"] * 5)

    async def scenario(url: str) -> None:
        client = await nats.connect(url)
        await client.jetstream().add_stream(
            name="small",
            subjects=[SUBJECT],
            discard="new",
            discard_new_per_subject=True,
            max_msgs_per_subject=3,
        )
        await client.close()
        with pytest.raises(FeedError, match="no room for 2 of the events"):
            await replay(path, Settings(nats_url=url), SystemClock())
        assert len(await captured(url, "small")) == 3

    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(scenario(server.url))


def test_a_missing_file_is_a_sentence_and_needs_no_nats(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.ndjson"
    for missing in (path, path.with_suffix(".gz"), tmp_path):
        with pytest.raises(ConfigError, match=f"the recording {missing} cannot be read: "):
            asyncio.run(replay(missing, Settings(nats_url="nats://127.0.0.1:1"), SystemClock()))


def test_wrong_options_need_neither_file_nor_nats(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        asyncio.run(replay(tmp_path / "nowhere", Settings(), SystemClock(), rate=1, speed=1))


def test_nats_that_is_away_is_an_error_after_the_connect_timeout(tmp_path: Path) -> None:
    path = write(tmp_path / "r.ndjson", b"{}")
    settings = Settings(nats_url="nats://user:secret@127.0.0.1:1", nats_connect_timeout=0.3)
    clock = SystemClock()
    began = clock.monotonic()
    with pytest.raises(FeedError, match="could not be reached within") as raised:
        asyncio.run(replay(path, settings, clock))
    assert clock.monotonic() - began < 3
    assert "secret" not in str(raised.value)
