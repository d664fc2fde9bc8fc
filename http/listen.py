"""Binding ports, with a sentence for the operator when that fails. Imports nothing heavy: ports are first."""

from __future__ import annotations

import errno
import socket

from data_manager.system.errors import ConfigError

BACKLOG = 256  # connections the kernel holds while the application is being imported


def bind(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises ConfigError naming the setting."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise ConfigError(f"API_HOST {host!r} cannot be resolved: {error.strerror}") from error
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of our last run may linger
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(refused(host, port, setting, error)) from error
    listener.setblocking(False)
    return listener


def refused(host: str, port: int, setting: str, error: OSError) -> str:
    """The sentence for an address that cannot be bound."""
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use by another program: stop it, or set {setting} to another port"
    if error.errno == errno.EACCES:
        return f"port {port} may not be opened by this user: set {setting} to a port above 1023"
    return f"port {port} cannot be opened on {host}: {error.strerror}; check API_HOST and {setting}"
