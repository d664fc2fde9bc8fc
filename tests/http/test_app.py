from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from data_manager.http import app
from tests.http.serving import Api, serving, working_tree


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


async def raw(api: Api, request: bytes) -> bytes:
    """Send bytes as they are, and read until the server closes or has answered."""
    address = urlsplit(str(api.session._base_url))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    async with asyncio.timeout(10):
        answer = await reader.read(65536)
    writer.close()
    await writer.wait_closed()
    return answer


def test_an_unknown_path_is_404_with_a_detail(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for path in ("/nope", "/data", "/data/candles/", "/api/v1/mysql/x", "/docs/<script>"):
            answer = await api.get(path)
            assert answer.status == 404
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.body == {
                "detail": f"There is nothing at {path}.",
                "type": "urn:data-manager:not_found",
                "title": "Not Found",
            }

    with_api(tmp_path, check)


def test_a_wrong_method_is_405_and_names_the_right_ones(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.post("/data/candles")
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.body["detail"] == "/data/candles answers GET, HEAD only."

    with_api(tmp_path, check)


def test_head_answers_without_a_body(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.request("HEAD", "/health/liveness")
        assert (answer.status, answer.body) == (200, b"")

    with_api(tmp_path, check)


def test_a_bug_is_500_with_a_fixed_sentence_and_nothing_of_the_exception(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        def broken() -> None:
            raise RuntimeError("secret-path /etc/passwd")

        api.system.tree = broken
        answer = await api.get("/system/tree")
        assert answer.status == 500
        assert answer.body["error"] == "Internal server error"
        assert answer.body["detail"].startswith("The service failed to answer")
        assert "secret" not in str(answer.body)
        assert answer.headers["X-Request-Id"]
        assert (await api.get("/")).status == 200

    with_api(tmp_path, check)


def test_a_plain_request_id_is_kept_and_any_other_replaced(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        for given in ("abc-123", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"):
            answer = await api.request("GET", "/", headers={"X-Request-Id": given})
            assert answer.headers["X-Request-Id"] == given
        made = set()
        for given in ("", "x" * 65, "with space", "<b>", "\u00fc"):
            answer = await api.request("GET", "/nope", headers={"X-Request-Id": given})
            made.add(answer.headers["X-Request-Id"])
        assert len(made) == 5
        assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in made)

    with_api(tmp_path, check)


def test_a_clients_trace_goes_on_and_every_other_request_begins_one(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
        for path, flags in (("/", "01"), ("/nope", "00")):
            given = f"00-{trace}-{caller}-{flags}"
            answer = await api.request("GET", path, headers={"traceparent": given})
            version, kept, span, sampled = answer.headers["traceparent"].split("-")
            assert (version, kept, sampled) == ("00", trace, flags)
            assert span != caller
        made = set()
        for given in ("", f"00-{trace}-{'0' * 16}-01", f"ff-{trace}-{caller}-01", "<script>", "x" * 5000):
            answer = await api.request("GET", "/", headers={"traceparent": given})
            made.add(answer.headers["traceparent"])
        assert len({text.split("-")[1] for text in made} - {trace}) == 5
        assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", text) for text in made)

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "query",
    [
        "pair=%ED%A0%80USDT",
        "pair=%FF%FE",
        "pair=BTC%00USDT",
        "pair=%F0%9F%92%A9%F0%9F%92%A9",
        "pair=..%2F..%2Fetc",
        "pair=BTCUSDT&limit=" + "9" * 5000,
        "pair=BTCUSDT&start=1e308",
        "pair=BTCUSDT&start=%2B" + "x" * 3000,
        "pair=BTCUSDT&end=99999999999999999999999",
        "pair=" + "A" * 7000,
        "&&&===&pair=&pair",
    ],
    ids=lambda query: query[:30],
)
def test_hostile_queries_are_refused_and_never_a_bug(tmp_path: Path, query: str) -> None:
    async def check(api: Api) -> None:
        answer = await raw(api, f"GET /data/trades?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 422 ")

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 10_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: 1\r\n" % n for n in range(500)) + b"\r\n",
    ],
    ids=["long line", "long header", "tls", "many headers"],
)
def test_malformed_requests_are_refused_without_a_line_in_the_log(
    tmp_path: Path, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def check(api: Api) -> None:
        answer = await raw(api, request_bytes)
        assert answer.startswith(b"HTTP/1.") or answer == b""
        assert b" 200 " not in answer.split(b"\r\n")[0]
        assert (await api.get("/")).status == 200

    with_api(tmp_path, check)
    assert caplog.records == []


def test_every_get_route_answers_json_or_text_while_nothing_is_there(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        api.system.latest = working_tree()
        for path in (
            "/",
            "/health/liveness",
            "/health/readiness",
            "/health/summary",
            "/data/candles?pair=BTCUSDT&period=1m",
            "/data/trades?pair=BTCUSDT",
            "/data/depth?pair=BTCUSDT",
            "/data/funding?pair=BTCUSDT",
            "/system/tree",
            "/system/incidents",
            "/metrics",
        ):
            assert (await api.request("GET", path)).status == 200, path

    with_api(tmp_path, check)


def test_a_sender_slower_than_the_limit_is_disconnected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "IDLE_S", 0.3)

    async def check(api: Api) -> None:
        assert await raw(api, b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") == b""

    with_api(tmp_path, check)


def test_a_request_under_way_is_finished_when_the_server_stops(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as api:
            asked = asyncio.Event()
            go_on = asyncio.Event()

            async def slow(work: object) -> list[object]:
                asked.set()
                await go_on.wait()
                return []

            api.services.catalog.call = slow  # type: ignore[method-assign]
            under_way = asyncio.create_task(api.get("/system/incidents"))
            await asked.wait()
            asyncio.get_running_loop().call_later(0.1, go_on.set)
            stopping = asyncio.create_task(api.stop())
            assert (await under_way).status == 200
            await stopping
            with pytest.raises(ConnectionRefusedError):
                await raw(api, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    asyncio.run(run())
