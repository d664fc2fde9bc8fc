"""Connecting, waiting, reconnecting and closing, on real servers."""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
import subprocess
from pathlib import Path

import nats.errors
import pytest

from data_manager.system.clock import SystemClock
from data_manager.system.connection import (
    CLOSE_S,
    FLUSH_S,
    Connection,
    error_type,
    sleep_unless,
    within,
)
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings
from tests.eventually import eventually
from tests.servers.nats import NatsServer, connected


def connection(url: str, **settings: object) -> Connection:
    return Connection(
        Settings(nats_url=url, **settings),  # type: ignore[arg-type]
        "router",
        SystemClock(),
        random.Random(1),
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.msg for record in caplog.records if record.msg.startswith("nats_")]


def test_it_tells_the_server_which_actor_it_is(tmp_path: Path) -> None:
    async def run(server: NatsServer) -> None:
        c = connection(server.url)
        assert not c.connected
        assert await c.open(asyncio.Event())
        assert c.connected
        assert c.client.options["name"] == "petrosa-data-manager-router"
        assert c.errors == {"connection": 0, "subscription": 0, "publish": 0, "general": 0}
        await c.close()
        assert not c.connected

    with NatsServer(tmp_path) as server:
        asyncio.run(run(server))


def test_it_waits_for_a_server_that_comes_later_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def run(server: NatsServer) -> None:
        c = connection(server.url)
        opening = asyncio.create_task(c.open(asyncio.Event()))
        await eventually(lambda: c.errors["connection"] >= 4)
        assert not opening.done()
        await asyncio.to_thread(server.start)
        assert await asyncio.wait_for(opening, 10)
        await c.client.flush()
        await c.close()

    server = NatsServer(tmp_path)
    server.port = free_port()
    with server:
        server.stop()
        asyncio.run(run(server))
    assert events(caplog) == ["nats_waiting", "nats_connected"]


def test_stop_ends_the_waiting_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        c = connection(f"nats://127.0.0.1:{free_port()}")
        opening = asyncio.create_task(c.open(stop))
        await eventually(lambda: c.errors["connection"] >= 2)
        stop.set()
        assert await asyncio.wait_for(opening, 1) is False
        await c.close()

    asyncio.run(run())


def test_stop_ends_an_attempt_that_hangs(tmp_path: Path) -> None:
    """A server that accepts and then says nothing."""

    async def run(port: int) -> None:
        stop = asyncio.Event()
        opening = asyncio.create_task(connection(f"nats://127.0.0.1:{port}").open(stop))
        await asyncio.sleep(0.2)
        stop.set()
        assert await asyncio.wait_for(opening, 1) is False

    with socket.create_server(("127.0.0.1", 0)) as mute:
        asyncio.run(run(mute.getsockname()[1]))


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_it_is_back_soon_after_a_server_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sig: signal.Signals
) -> None:
    caplog.set_level(logging.INFO)

    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url)) as c:
            await asyncio.to_thread(server.restart, sig)
            await eventually(lambda: c.reconnects == 1 and c.connected, timeout=3)
            await c.client.flush()

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))
    assert events(caplog) == ["nats_connected", "nats_disconnected", "nats_reconnected"]


def test_a_long_outage_is_one_line_and_counted_errors(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url)) as c:
            server.stop()
            await eventually(lambda: c.errors["connection"] >= 10)
            assert not c.connected
            assert events(caplog) == ["nats_connected", "nats_disconnected"]
            await asyncio.to_thread(server.start)
            await eventually(lambda: c.connected)

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))


def test_closing_flushes_what_was_published(tmp_path: Path) -> None:
    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url)) as listener:
            got = await listener.client.subscribe("x")
            await listener.client.flush()
            c = connection(server.url)
            await c.open(asyncio.Event())
            for _ in range(1000):
                await c.client.publish("x", b"y")
            await c.close()
            await c.close()
            await eventually(lambda: got.pending_msgs == 1000)

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))


def test_closing_is_bounded_when_the_server_is_frozen(tmp_path: Path) -> None:
    async def run(server: NatsServer) -> None:
        c = connection(server.url)
        await c.open(asyncio.Event())
        server.freeze()
        async with asyncio.timeout(FLUSH_S + CLOSE_S + 1):
            await c.close()
        server.thaw()

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize("user", ["alice:s3cret@", "t0ken@"])
def test_credentials_in_the_url_are_used_and_never_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, user: str
) -> None:
    caplog.set_level(logging.DEBUG)
    extra = "authorization { user: alice, password: s3cret }" if ":" in user else "authorization { token: t0ken }"

    async def run(server: NatsServer) -> None:
        good = server.url.replace("nats://", f"nats://{user}")
        async with connected(Settings(nats_url=good)):
            pass

    with NatsServer(tmp_path, extra=extra) as server:
        asyncio.run(run(server))
    assert events(caplog) == ["nats_connected"]
    assert "s3cret" not in caplog.text
    assert all("t0ken" not in str(vars(record)) for record in caplog.records)
    assert all("s3cret" not in str(vars(record)) for record in caplog.records)


def test_wrong_credentials_wait_with_the_reason_until_the_operator_mends_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def reasons() -> list[str]:
        return [vars(record)["fields"]["reason"] for record in caplog.records if record.msg == "nats_waiting"]

    async def run(server: NatsServer) -> None:
        c = connection(server.url.replace("nats://", "nats://alice:wrong@"))
        opening = asyncio.create_task(c.open(asyncio.Event()))
        # a server that closes the socket before its word is read gives another reason first
        await eventually(lambda: any("Authorization Violation" in reason for reason in reasons()))
        await eventually(lambda: c.errors["connection"] >= 4)
        assert not opening.done()
        server.reload("authorization { user: alice, password: wrong }")
        assert await asyncio.wait_for(opening, 10)
        await c.close()

    with NatsServer(tmp_path, extra="authorization { user: alice, password: s3cret }") as server:
        asyncio.run(run(server))
    *waiting, connected_ = caplog.records
    assert connected_.msg == "nats_connected"
    assert len(set(reasons())) == len(waiting)  # said once each
    assert "wrong" not in str([vars(record) for record in caplog.records])


def test_a_forbidden_subject_is_counted_by_kind(tmp_path: Path) -> None:
    allowed = 'permissions: { publish: "ok", subscribe: "ok" }'
    extra = f"authorization {{ users: [ {{ user: a, password: b, {allowed} }} ] }}"

    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url.replace("nats://", "nats://a:b@"))) as c:
            await c.client.publish("secret", b"")
            await eventually(lambda: c.errors["publish"] == 1)
            await c.client.subscribe("secret")
            await eventually(lambda: c.errors["subscription"] == 1)

    with NatsServer(tmp_path, extra=extra) as server:
        asyncio.run(run(server))


def openssl(folder: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True, timeout=30)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(folder, *new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test-ca")
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth")
    openssl(folder, *new[:-2], "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=localhost")
    openssl(
        folder, "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "san", "-out", "cert.pem",
    )  # fmt: skip
    return folder


def test_tls_with_a_private_ca_and_a_client_certificate(tmp_path: Path, certificates: Path) -> None:
    ca, cert, key = (certificates / name for name in ("ca.pem", "cert.pem", "key.pem"))
    extra = f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ca}", verify: true }}'

    async def run(server: NatsServer) -> None:
        url = server.url.replace("nats://", "tls://")
        async with connected(Settings(nats_url=url, nats_ca_file=ca, nats_cert_file=cert, nats_key_file=key)) as c:
            await c.client.flush()
        stranger, stop = connection(url, nats_connect_timeout=0.3), asyncio.Event()
        opening = asyncio.create_task(stranger.open(stop))
        await eventually(lambda: stranger.errors["connection"] >= 2)  # not stuck after the first handshake
        assert not opening.done()
        stop.set()
        assert not await opening

    with NatsServer(tmp_path, extra=extra) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"nats_ca_file": "/no/such.pem"}, "such.pem"),
        ({"nats_cert_file": "/no/such.pem", "nats_key_file": "/no/such.key"}, "such.pem"),
        ({"nats_creds_file": "/no/such.creds"}, "NATS_CREDS_FILE cannot be read"),
        ({"nats_url": "nats://u:p@none:1"}, "NATS_URL"),
    ],
)
def test_what_the_operator_must_mend_is_a_sentence(settings: dict[str, str], sentence: str) -> None:
    c = connection(settings.pop("nats_url", "nats://127.0.0.1:1"), **settings)
    with pytest.raises(ConfigError, match=sentence) as raised:
        asyncio.run(c.open(asyncio.Event()))
    assert "u:p" not in str(raised.value)


def test_the_second_server_of_a_list_takes_over(tmp_path: Path) -> None:
    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=f"nats://127.0.0.1:{free_port()}, {server.url}")) as c:
            await c.client.flush()

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (nats.errors.SlowConsumerError("s", "", 1, None), "subscription"),  # type: ignore[arg-type]
        (nats.errors.OutboundBufferLimitError(), "publish"),
        (nats.errors.MaxPayloadError(), "publish"),
        (nats.errors.FlushTimeoutError(), "publish"),
        (nats.errors.StaleConnectionError(), "connection"),
        (ConnectionRefusedError(), "connection"),
        (TimeoutError(), "connection"),
        (ValueError("a callback's own"), "general"),
    ],
)
def test_errors_have_a_kind(error: Exception, kind: str) -> None:
    assert error_type(error) == kind


def test_a_flush_that_is_given_up_does_not_break_the_connection(tmp_path: Path) -> None:
    """nats-py's own time-out would: the late PONG meets a cancelled future and ends the read loop."""

    async def run(server: NatsServer) -> None:
        async with connected(Settings(nats_url=server.url)) as c:
            got = await c.client.subscribe("x")
            await c.client.flush()
            server.freeze()
            assert not await within(0.1, c.client.flush())
            server.thaw()
            await c.client.publish("x", b"y")
            await eventually(lambda: got.pending_msgs == 1, timeout=2)

    with NatsServer(tmp_path, jetstream=False) as server:
        asyncio.run(run(server))


def test_within_tells_late_from_done_and_passes_other_errors_on() -> None:
    async def fails(error: Exception) -> None:
        raise error

    async def run() -> None:
        assert await within(1, asyncio.sleep(0))
        assert not await within(0.01, asyncio.sleep(30))
        assert await within(1, fails(nats.errors.ConnectionClosedError()))
        with pytest.raises(ValueError, match="bug"):
            await within(1, fails(ValueError("bug")))

    asyncio.run(run())


def test_a_stop_wakes_a_sleep() -> None:
    async def run() -> None:
        stop = asyncio.Event()
        await sleep_unless(stop, 0.01)
        asyncio.get_running_loop().call_later(0.01, stop.set)
        await asyncio.wait_for(sleep_unless(stop, 60), 1)

    asyncio.run(run())
