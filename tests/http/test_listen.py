from __future__ import annotations

import os
import socket

import pytest

from data_manager.http.listen import bind, refused
from data_manager.system.errors import ConfigError


def test_port_0_takes_a_free_one_and_listens() -> None:
    with bind("127.0.0.1", 0, "API_PORT") as listener:
        port = listener.getsockname()[1]
        assert port > 0
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_a_port_in_use_is_named_with_its_setting() -> None:
    with bind("127.0.0.1", 0, "API_PORT") as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError) as error:
            bind("127.0.0.1", port, "METRICS_PORT")
        assert str(port) in str(error.value)
        assert "METRICS_PORT" in str(error.value)


def test_a_port_is_free_again_after_its_listener_closed_with_a_connection_open() -> None:
    listener = bind("127.0.0.1", 0, "API_PORT")
    port = listener.getsockname()[1]
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        listener.close()
    bind("127.0.0.1", port, "API_PORT").close()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours_is_a_config_error(host: str) -> None:
    with pytest.raises(ConfigError, match="API_HOST"):
        bind(host, 0, "API_PORT")


def test_a_privileged_port_says_who_may_open_it() -> None:
    sentence = refused("0.0.0.0", 80, "API_PORT", PermissionError(13, os.strerror(13)))
    assert sentence == "port 80 may not be opened by this user: set API_PORT to a port above 1023"
