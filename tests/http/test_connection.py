"""What is answered where no handler is reached any more; slow and hostile clients are in test_hostile.py."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from data_manager.http.connection import MALFORMED, Runner
from data_manager.http.errors import INTERNAL_SENTENCE
from tests.http.serving import Api, serving


async def asked(port: int, request: bytes) -> tuple[bytes, dict[str, str]]:
    """The head and the body of the one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head, orjson.loads(body)


def test_what_is_no_request_is_400_in_the_form_of_all_errors(tmp_path: Path) -> None:
    async def attack(api: Api) -> None:
        head, body = await asked(api.api_port, b"GET secret-path HTTP/7.7\r\nHost: x\r\n\r\n")
        assert head.split(b" ")[1] == b"400"  # in HTTP/1.0, since nobody knows what the client speaks
        assert b"\r\nServer: data-manager" in head
        assert body == {"detail": MALFORMED, "type": "urn:data-manager:bad_request", "title": "Bad Request"}

    async def run() -> None:
        async with serving(tmp_path) as api:
            await attack(api)

    asyncio.run(run())


def test_a_fault_beyond_the_boundary_is_500_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError("secret-path /etc/passwd")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/", broken)
        runner = Runner(app, access_log=None, logger=logging.getLogger("tester"))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        head, body = await asked(runner.addresses[0][1], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await runner.cleanup()
        assert head.startswith(b"HTTP/1.1 500 ")
        assert body["detail"] == INTERNAL_SENTENCE
        assert body["type"] == "urn:data-manager:internal"
        assert "secret" not in str(body)

    asyncio.run(run())
    assert "secret-path" in caplog.text, "the operator is told"
