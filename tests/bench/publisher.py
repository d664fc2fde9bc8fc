"""Publishes trades on the raw subject, faster than anything here stores: a bare socket, messages built ahead.

Run as `python -m tests.bench.publisher URL EVENTS RATE FIRST_ID`; a rate of 0 is as fast as the server reads.
Each symbol's trade ids start at FIRST_ID. The messages are those of the production feed, envelope and all.
"""

from __future__ import annotations

import socket
import sys
import time
import uuid
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

from tests.bench.child import ready, report
from tests.servers.load import SUBJECT

SYMBOLS = ("BTCUSDT", "ETHUSDT", "BNBUSDT", "ADAUSDT", "SOLUSDT")
TICK_S = 0.002  # at a given rate, what is due in a tick is sent at its beginning
FLOOD_CHUNK = 200  # messages per send
FLOOD_EVENTS_PER_S = 50_000  # how close the event times of a flood lie
TRADES_PER_PRICE = 4  # an order fills several others at one price
TIMEOUT_S = 60.0

_MESSAGE = (
    '{{"stream":"{stream}","data":{{"e":"trade","E":{at},"T":{at},"s":"{symbol}","t":{id},'
    '"p":"{price}","q":"0.{quantity:03}","X":"MARKET","m":{maker}}},'
    '"timestamp":"2026-01-01T00:00:00.000000Z","message_id":"{message_id}",'
    '"source":"binance-websocket","version":"1.0"}}'
)


def messages(events: int, first_id: int, start_ms: int, per_second: int) -> Iterator[bytes]:
    """Trades of SYMBOLS in turn, as PUB commands of NATS's protocol."""
    message_id = uuid.UUID(int=first_id)
    for index in range(events):
        number, which = divmod(index, len(SYMBOLS))
        symbol = SYMBOLS[which]
        payload = _MESSAGE.format(
            stream=f"{symbol.lower()}@trade",
            at=start_ms + index * 1000 // per_second,
            symbol=symbol,
            id=first_id + number,
            price=f"{30_000 + number // TRADES_PER_PRICE % 1_000}.50",
            quantity=1 + index % 999,
            maker="true" if index % 3 else "false",
            message_id=message_id,
        )
        yield f"PUB {SUBJECT} {len(payload)}\r\n{payload}\r\n".encode()


def chunks(wire: list[bytes], rate: int) -> list[bytes]:
    """What is sent at once: the messages due in each tick, or FLOOD_CHUNK of them for rate 0."""
    if rate:
        ticks = -(-len(wire) // (rate * TICK_S))
        ends = [round(tick * rate * TICK_S) for tick in range(int(ticks) + 1)]
    else:
        ends = [*range(0, len(wire), FLOOD_CHUNK), len(wire)]
    return [b"".join(wire[start:end]) for start, end in pairwise(ends)]


def connect(url: str) -> socket.socket:
    """A connection to the server that publishes without confirmation.

    Its pings are not answered: it gives up after two of them, minutes later than we are gone.
    """
    address = urlsplit(url)
    assert address.port is not None
    connection = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(b'CONNECT {"verbose":false,"pedantic":false,"name":"bench"}\r\n')
    confirm(connection)
    return connection


def confirm(connection: socket.socket) -> None:
    """Wait until the server has read everything sent so far."""
    connection.sendall(b"PING\r\n")
    heard = b""
    while b"PONG" not in heard:
        part = connection.recv(4096)
        assert part, "the server closed the connection"
        heard = heard[-8:] + part
        assert b"-ERR" not in heard, heard


def send(connection: socket.socket, parts: list[bytes], rate: int) -> None:
    """Send the chunks, each when its tick begins; late ones at once."""
    began = time.monotonic()
    for tick, part in enumerate(parts):
        if rate and (wait := began + tick * TICK_S - time.monotonic()) > 0:
            time.sleep(wait)
        connection.sendall(part)
    confirm(connection)


def main(url: str, events: int, rate: int, first_id: int) -> None:
    """Build, wait for `go`, send; reports the seconds it took."""
    wire = list(messages(events, first_id, time.time_ns() // 1_000_000, rate or FLOOD_EVENTS_PER_S))
    parts = chunks(wire, rate)
    del wire
    with connect(url) as connection:
        ready()
        began = time.monotonic()
        send(connection, parts, rate)
        report(seconds=time.monotonic() - began)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
