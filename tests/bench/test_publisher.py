"""What the benchmark's publisher puts on the wire."""

from __future__ import annotations

import random
from collections import Counter

import msgspec

from data_manager.actors.ingest.events import Decoder
from data_manager.actors.routing import Routed, route
from data_manager.storage.protocols import Event
from data_manager.storage.records import Symbol, Trade
from data_manager.system.frames import Frame
from data_manager.system.settings import Settings
from tests.bench.publisher import FLOOD_CHUNK, SYMBOLS, TICK_S, chunks, messages
from tests.servers.load import SUBJECT

START_MS = 1_760_918_400_000


def payload(command: bytes) -> bytes:
    head, _, rest = command.partition(b"\r\n")
    verb, subject, size = head.decode().split()
    assert (verb, subject, rest[-2:]) == ("PUB", SUBJECT, b"\r\n")
    assert len(rest) == int(size) + 2
    return rest[:-2]


def test_every_message_is_a_trade_that_the_product_stores() -> None:
    rows: list[Trade] = []
    for command in messages(5_000, 1_000, START_MS, 50_000):
        (piece,) = route(payload(command), SYMBOLS)
        assert isinstance(piece, Routed)
        decoded = Decoder(Symbol(piece.symbol), Settings()).decode(Frame(1, 1, piece.raw), 1, 1)
        assert isinstance(decoded.outcome, Event)
        assert isinstance(decoded.outcome.record, Trade)
        rows.append(decoded.outcome.record)
    assert len({(SYMBOLS[index % 5], row.trade_id) for index, row in enumerate(rows)}) == 5_000
    assert {row.trade_id for row in rows} == set(range(1_000, 2_000))
    times = [row.time_ms for row in rows]
    assert (times[0], times[-1]) == (START_MS, START_MS + 99)
    assert times == sorted(times)


def test_symbols_take_turns() -> None:
    symbols = [msgspec.json.decode(payload(command))["data"]["s"] for command in messages(50, 1, START_MS, 1)]
    assert Counter(symbols) == dict.fromkeys(SYMBOLS, 10)
    assert symbols[:5] == list(SYMBOLS)


def test_chunks_hold_every_message_once_and_in_order() -> None:
    rng = random.Random(5)
    for _ in range(50):
        wire = [b"%d," % number for number in range(rng.randrange(1, 3_000))]
        for rate in (0, 333, 5_000, 25_000):
            assert b"".join(chunks(wire, rate)) == b"".join(wire)


def test_a_rate_is_kept_by_what_each_tick_holds() -> None:
    parts = chunks([b"x"] * 5_000, 5_000)
    assert {len(part) for part in parts} == {round(5_000 * TICK_S)}
    assert len(parts) * TICK_S == 1.0


def test_a_flood_goes_out_in_large_pieces() -> None:
    assert [len(part) for part in chunks([b"x"] * (FLOOD_CHUNK + 1), 0)] == [FLOOD_CHUNK, 1]
