"""Whatever a client sends, and however slowly: it is refused or cut off, and everybody else is answered as before.

On raw sockets, since HTTP clients would not send most of this.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_manager.http import app, bodies, connection
from tests.eventually import eventually
from tests.http.serving import BTC, MINUTE, NOW_MS, Api, candle, serving

HEAD = b"Host: x\r\nConnection: close\r\n"
POST = b"POST /backfill/start HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
TOKEN = "correct-horse"
LEAKS = (b"Traceback", b"aiohttp", b"Error(", b'File "', TOKEN.encode(), b"pydantic", b"sqlite3")


def against(folder: Path, attack: Callable[[Api], Awaitable[None]]) -> None:
    """Attack a server; afterwards it answers, and nothing of the attack is left in it."""

    async def run() -> None:
        async with serving(folder, token=TOKEN) as api:
            assert (await api.get("/")).status == 200
            tasks = len(asyncio.all_tasks())
            await attack(api)
            assert (await api.get("/")).status == 200
            await api.session.connector.close()  # type: ignore[union-attr]
            await eventually(lambda: not connections(api), 5)
            await eventually(lambda: len(asyncio.all_tasks()) <= tasks, 5)

    asyncio.run(run())
    gc.collect()  # what was left behind would warn now, and warnings are errors


def connections(api: Api) -> list[object]:
    """Those that the API's server has now."""
    found: list[object] = api.stop.__self__.server.connections
    return found


async def send(api: Api, *pieces: bytes, half_close: bool = False) -> bytes:
    """All that the server answers to these pieces until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.api_port)
    answer = b""
    try:
        async with asyncio.timeout(20):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
            if half_close:
                writer.write_eof()
            answer = await reader.read(-1)
    except ConnectionError:
        pass  # it was cut off while we still sent
    finally:
        writer.close()
    return answer


def status_of(answer: bytes) -> int:
    """Of the first answer; 0 for a connection that was closed without one."""
    return int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/1.") else 0


def smuggled(*fields: bytes) -> bytes:
    return b"POST /data/candles HTTP/1.1\r\nHost: x\r\n" + b"\r\n".join(fields) + b"\r\n\r\n"


INNER = b"GET /system/tree HTTP/1.1\r\nHost: x\r\n\r\n"

MALFORMED = {
    "both lengths": smuggled(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + INNER,
    "two lengths": smuggled(b"Content-Length: 0", b"Content-Length: 50") + INNER,
    "negative length": smuggled(b"Content-Length: -1") + INNER,
    "signed length": smuggled(b"Content-Length: +5") + INNER,
    "length with a letter": smuggled(b"Content-Length: 5x") + INNER,
    "chunk size that is none": smuggled(b"Transfer-Encoding: chunked") + b"zz\r\n" + INNER,
    "endless chunk size": smuggled(b"Transfer-Encoding: chunked") + b"F" * 100_000,
    "space before the colon": smuggled(b"Content-Length : 5") + INNER,
    "folded header": smuggled(b"X: a", b" b") + INNER,
    "lone line feeds in a name": b"GET / HTTP/1.1\r\nHost: x\r\nX\nY: z\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: x\r\nX: a\0b\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "giant line": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "giant header": b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "giant header name": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 1_000_000 + b": 1\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: 1\r\n" % n for n in range(5000)) + b"\r\n",
    "no version": b"GET /\r\n\r\n",
    "version to come": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "version 2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "method that is none": b"G<T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "noise": bytes(range(256)) * 200,
    "line feeds": b"\n" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_http_is_refused_and_the_connection_closed(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def attack(api: Api) -> None:
        answer = await send(api, MALFORMED[name], half_close=True)
        assert status_of(answer) in (0, 400, 405), answer[:300]
        assert b"supervisor" not in answer, "the request inside was answered"
        assert not [leak for leak in (*LEAKS, b"\0", b"aaaa", b"zz") if leak in answer], answer[:500]
        if status_of(answer) == 400:
            assert b"application/json" in answer
            assert b'"type":"urn:data-manager:bad_request"' in answer

    against(tmp_path, attack)
    assert caplog.records == []


TARGETS = {
    b"/ui/../../../../etc/passwd": 404,
    b"/ui/..%2f..%2f..%2fetc%2fpasswd": 404,
    b"/ui/%2e%2e/%2e%2e/%2e%2e/etc/passwd": 404,
    b"/ui/%252e%252e%252fetc%252fpasswd": 404,
    b"/ui//etc/passwd": 404,
    b"/ui/index.html%00.css": 404,
    b"/ui/..\\..\\etc\\passwd": 404,
    b"/ui/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd": 404,  # overlong UTF-8
    b"/%c0%af": 404,
    b"/%00": 404,
    b"/data/candles%00?pair=BTCUSDT&period=1m": 404,
    b"/gaps/..%2f..%2fsystem%2ftree": 404,
    b"/backfill/jobs/%27%20OR%20%271%27=%271": 404,
    b"/catalog/datasets/" + b"A" * 5000: 404,
    b"/data/trades?pair=..%2F..%2Fcatalog": 422,
    b"/data/trades?pair=BTC%00USDT": 422,
    b"/data/trades?pair=%ED%A0%80USDT": 422,
    b"/data/trades?pair=BTCUSDT&limit=" + b"9" * 5000: 422,
    b"/data/trades?pair=BTCUSDT&limit=1e9": 422,
    b"/data/trades?pair=BTCUSDT&offset=-1": 422,
    b"/data/trades?pair=BTCUSDT&offset=100001": 422,
    b"/data/trades?pair=BTCUSDT&limit=1001": 422,
    b"/data/trades?pair=BTCUSDT&start=NaN": 422,
    b"/data/trades?pair=BTCUSDT&start=%2B" + b"x" * 5000: 422,
    b"/data/trades?pair=BTCUSDT&" + b"&".join(b"p%d=1" % n for n in range(1000)): 200,
    b"/data/trades?" + b"&".join(b"pair=A%d" % n for n in range(900)): 200,
    b"/data/trades?" + b"&=" * 3000: 422,
    b"/data/trades?pair=BTCUSDT#fragment": 200,
    b"http://elsewhere.example.com/system/incidents": 200,  # as proxies ask; no host but this one is ever meant
    b"//elsewhere.example.com/": 404,
    b"*": 404,
}


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:40].decode())
def test_no_path_and_no_query_leads_anywhere_else(tmp_path: Path, target: bytes) -> None:
    async def attack(api: Api) -> None:
        answer = await send(api, b"GET " + target + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert status_of(answer) in (TARGETS[target], 400), answer[:300]
        assert b"root:" not in answer
        assert not [leak for leak in LEAKS if leak in answer], answer[:500]

    against(tmp_path, attack)


@pytest.mark.parametrize(
    ("method", "status"),
    [("HEAD", 200), ("OPTIONS", 405), ("TRACE", 405), ("CONNECT", 404), ("PROPFIND", 405), ("BREW", 405), ("get", 405)],
)
def test_methods_that_a_route_does_not_have_are_named_back_and_do_nothing(
    tmp_path: Path, method: str, status: int
) -> None:
    async def attack(api: Api) -> None:
        secret = b"X-Secret: do-not-repeat\r\n"
        answer = await send(api, f"{method} /system/incidents HTTP/1.1\r\n".encode() + HEAD + secret + b"\r\n")
        assert status_of(answer) in (status, 400), answer[:300]
        assert b"do-not-repeat" not in answer
        if method == "HEAD":
            assert answer.endswith(b"\r\n\r\n")

    against(tmp_path, attack)


def with_length(body: bytes) -> bytes:
    return POST + b"Authorization: Bearer " + TOKEN.encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


BODIES = {
    "nested lists": b"[" * 30_000,
    "nested objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "huge number": b'{"limit": ' + b"9" * 60_000 + b"}",
    "not UTF-8": b'{"symbol": "\xff\xfe"}',
    "lone surrogate": b'{"symbol": "\\ud800"}',
    "NUL": b'{"symbol": "BTC\\u0000USDT"}',
    "same key twice": b'{"symbol": "A", "symbol": 7}',
    "not an object": b"7",
    "nothing": b"",
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_make_no_request_are_422(tmp_path: Path, name: str) -> None:
    async def attack(api: Api) -> None:
        answer = await send(api, with_length(BODIES[name]))
        assert status_of(answer) == 422, answer[:300]
        assert not [leak for leak in LEAKS if leak in answer], answer[:500]

    against(tmp_path, attack)


def test_a_body_beyond_the_limit_is_413_however_it_comes(tmp_path: Path) -> None:
    async def attack(api: Api) -> None:
        bearer = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
        assert status_of(await send(api, with_length(b" " * (app.BODY_MAX + 1)))) == 413
        chunks = b"".join(b"1000\r\n" + b" " * 0x1000 + b"\r\n" for _ in range(32)) + b"0\r\n\r\n"
        assert status_of(await send(api, POST + bearer + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)) == 413

    against(tmp_path, attack)


@pytest.mark.parametrize(
    "content_type",
    [b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"\xff", b""],
)
def test_other_content_types_are_422(tmp_path: Path, content_type: bytes) -> None:
    async def attack(api: Api) -> None:
        head = b"POST /backfill/start HTTP/1.1\r\n" + HEAD + b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
        answer = await send(api, head + b"Content-Type: " + content_type + b"\r\nContent-Length: 2\r\n\r\n{}")
        assert status_of(answer) in (400, 422), answer[:300]

    against(tmp_path, attack)


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearer wrong",
        b"Basic " + b"x" * 4000,
        b"Bearer \xff\xfe",
        b"bearer\t" + TOKEN.encode(),
    ],
)
@pytest.mark.parametrize("path", [b"/backfill/start", b"/audit/run", b"/system/actors/router/restart"])
def test_wrong_tokens_are_401_with_the_challenge(tmp_path: Path, authorization: bytes, path: bytes) -> None:
    async def attack(api: Api) -> None:
        fields = HEAD + b"Authorization: " + authorization + b"\r\nContent-Length: 0\r\n\r\n"
        answer = await send(api, b"POST " + path + b" HTTP/1.1\r\n" + fields)
        assert status_of(answer) == 401, answer[:300]
        assert b"\r\nWWW-Authenticate: Bearer" in answer
        assert TOKEN.encode() not in answer
        assert api.system.commands == api.system.hints == []

    against(tmp_path, attack)


def test_heads_and_bodies_that_never_end_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "IDLE_S", 0.5)
    monkeypatch.setattr(bodies, "BODY_S", 0.3)

    async def drip(api: Api, head: bytes, drop: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", api.api_port)
        writer.write(head)
        answer = asyncio.create_task(reader.read(-1))
        async with asyncio.timeout(30):
            while not answer.done():
                writer.write(drop)
                await asyncio.wait([answer], timeout=0.05)
        writer.close()
        return b"" if answer.exception() else answer.result()

    async def attack(api: Api) -> None:
        bearer = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
        heads = (drip(api, b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n") for _ in range(20))
        slow = (drip(api, POST + bearer + b"Content-Length: 60000\r\n\r\n", b" ") for _ in range(20))
        answers = await asyncio.gather(*heads, *slow)
        assert {status_of(answer) for answer in answers[:20]} <= {0, 400}
        assert {status_of(answer) for answer in answers[20:]} <= {0, 408}

    against(tmp_path, attack)


def test_a_body_that_stops_on_its_way_is_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.3)

    async def attack(api: Api) -> None:
        answer = await send(api, with_length(b"{" + b" " * 100)[:-50])
        assert status_of(answer) == 408
        assert b"within 10 s" in answer

    against(tmp_path, attack)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
def test_a_client_that_does_not_read_its_answer_is_cut_off(
    tmp_path: Path, accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WRITE_S", 0.3)
    monkeypatch.setattr("data_manager.http.streaming.WRITE_S", 0.3)

    async def attack(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 1001)])
        asked = (
            f"GET /data/candles?pair={BTC}&period=1m&limit=1000 HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n"
        ).encode()
        writers = []
        for _ in range(2):
            _, writer = await asyncio.open_connection("127.0.0.1", api.api_port, limit=1)
            writer.write(asked * 100)  # more than all the buffers between the two will hold
            writers.append(writer)
        await eventually(lambda: len(connections(api)) <= 1, 20)  # the well-behaved client's
        for writer in writers:
            writer.close()

    against(tmp_path, attack)


def test_clients_that_leave_at_any_moment_leave_nothing_behind(tmp_path: Path) -> None:
    async def attack(api: Api) -> None:
        api.store([candle(NOW_MS - minute * MINUTE) for minute in range(1, 1001)])
        whole = f"GET /data/candles?pair={BTC}&period=1m&limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        events = b"GET /system/events HTTP/1.1\r\nHost: x\r\n\r\n"
        for sent in (b"", whole[:7], whole[:-1], whole, whole * 20, events, with_length(b"{")[:-1]):
            for abruptly in (False, True):
                _, writer = await asyncio.open_connection("127.0.0.1", api.api_port)
                writer.write(sent)
                await writer.drain()
                if abruptly:
                    writer.transport.abort()
                writer.close()

    against(tmp_path, attack)


def test_a_client_that_has_said_all_is_still_answered(tmp_path: Path) -> None:
    async def attack(api: Api) -> None:
        answer = await send(api, b"GET /system/incidents HTTP/1.1\r\n" + HEAD + b"\r\n", half_close=True)
        assert status_of(answer) in (0, 200)

    against(tmp_path, attack)


def test_connections_beyond_the_limit_are_closed_and_those_within_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTIONS_MAX", 5)

    async def attack(api: Api) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", api.api_port) for _ in range(12)]
        closed = asyncio.gather(*(reader.read(1) for reader, _ in idle[4:]), return_exceptions=True)
        async with asyncio.timeout(10):
            assert all(not part or isinstance(part, ConnectionError) for part in await closed)
        assert (await api.get("/")).status == 200
        for _, writer in idle:
            writer.close()

    against(tmp_path, attack)
