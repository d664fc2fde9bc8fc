"""The proxy that the network's faults are committed with: each of them is what its name says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.eventually import eventually_sync
from tests.servers.proxy import Proxy


class Echo:
    """A server that sends everything back."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._peers: list[threading.Thread] = []
        self._thread.start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._listener.accept()
            if not self.port:
                peer.close()
                return
            thread = threading.Thread(target=self._echo, args=(peer,))
            thread.start()
            self._peers.append(thread)

    @staticmethod
    def _echo(peer: socket.socket) -> None:
        with closing(peer):
            try:
                while piece := peer.recv(65536):
                    peer.sendall(piece)
            except OSError:
                return

    def close(self) -> None:
        port, self.port = self.port, 0
        with closing(socket.create_connection(("127.0.0.1", port))):
            self._thread.join(5)
        self._listener.close()
        for thread in self._peers:
            thread.join(5)
            assert not thread.is_alive()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    try:
        with Proxy(echo.port) as running:
            yield running
    finally:
        echo.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def said_back(connection: socket.socket, message: bytes) -> float:
    """Send, and wait for all of it; how long that took."""
    began = time.perf_counter()
    connection.sendall(message)
    received = b""
    while len(received) < len(message):
        piece = connection.recv(65536)
        assert piece, "the connection has ended"
        received += piece
    assert received == message
    return time.perf_counter() - began


def test_without_faults_every_byte_comes_through_in_order(proxy: Proxy) -> None:
    with closing(connect(proxy)) as one, closing(connect(proxy)) as two:
        said_back(one, bytes(range(256)) * 1000)
        said_back(two, b"another")
        assert proxy.connections == 2
    eventually_sync(lambda: proxy.connections == 0)
    assert proxy.forwarded == 2 * (256_000 + 7)


def test_a_delay_holds_each_piece_up_in_both_directions_and_lets_as_many_through(proxy: Proxy) -> None:
    with closing(connect(proxy)) as connection:
        said_back(connection, b"before")
        proxy.delay_s = 0.2
        assert said_back(connection, b"a") >= 0.4
        many = b"x" * 1_000_000  # many pieces, which are on their way at the same time
        assert 0.4 <= said_back(connection, many) < 3


def test_a_thin_line_takes_its_time(proxy: Proxy) -> None:
    with closing(connect(proxy)) as connection:
        proxy.bytes_per_s = 1_000_000
        assert said_back(connection, b"x" * 300_000) >= 0.15


def test_a_cut_resets_both_ends_and_new_connections_work(proxy: Proxy) -> None:
    with closing(connect(proxy)) as connection:
        said_back(connection, b"before")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        assert proxy.cuts == 1
    with closing(connect(proxy)) as connection:
        said_back(connection, b"after")


def test_a_share_of_the_connections_is_cut_again_and_again(proxy: Proxy) -> None:
    proxy.cut_share = 1.0
    with closing(connect(proxy)) as connection:
        said_back(connection, b"before")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_half_open_connection_stays_open_and_carries_nothing(proxy: Proxy) -> None:
    with closing(connect(proxy)) as connection:
        said_back(connection, b"before")
        proxy.fall_silent()
        connection.sendall(b"into the void")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        assert proxy.connections == 1
        with closing(connect(proxy)) as another:
            said_back(another, b"heard")


def test_where_no_server_is_the_client_is_cut_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with Proxy(port) as proxy, closing(connect(proxy)) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)
