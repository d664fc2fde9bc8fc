"""Where the service lives on this host: its data folder, whether it runs there, and its ports."""

from __future__ import annotations

import errno
import os
import pwd
import re
import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from data_manager.storage.data_dir import NETWORK_FILE_SYSTEMS, file_system_of
from data_manager.system.commands.checks.check import Check, fail, ok, skipped, warn
from data_manager.system.settings import Settings

# id, kind, mandatory or not, access, pid, device and inode, and the range
LOCK_LINE = re.compile(r"^\d+: FLOCK +\w+ +WRITE (?P<pid>\d+) [0-9a-f]+:[0-9a-f]+:(?P<inode>\d+) ", re.MULTILINE)


class Ports(msgspec.Struct, frozen=True):
    """What the http actor has written to http.json."""

    api_port: int
    metrics_port: int


def running_pid(data_dir: Path, locks: Path = Path("/proc/locks")) -> int | None:
    """The main process of the service that uses the folder, by the kernel's list of locks; asks for no lock itself."""
    with suppress(OSError):
        inode = (data_dir / "lock").stat().st_ino
        held = (int(found["pid"]) for found in LOCK_LINE.finditer(locks.read_text()) if int(found["inode"]) == inode)
        return next(held, None)
    return None


def folder(data_dir: Path, running: int | None) -> Check:
    """Whether the data folder can be used, and by whom it is."""
    path = data_dir.absolute()
    nearest = next(each for each in (path, *path.parents) if each.exists())
    state = f"in use by the service that runs here (process {running})" if running else "in use by no service"
    mounts = Path("/proc/mounts")
    file_system = file_system_of(nearest.resolve(), mounts.read_text() if mounts.exists() else "")
    if NETWORK_FILE_SYSTEMS.fullmatch(file_system):
        found = f"{path} is on a network file system ({file_system}), where SQLite can lose data."
        return fail("data folder", found, "set DATA_DIR to a local disk")
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        found = f"{nearest} cannot be written by {user_name(os.geteuid())}."
        return fail("data folder", found, f"make {nearest} writable, or set DATA_DIR to another folder")
    if nearest != path:
        return ok("data folder", f"{path} is not there yet and will be made.")
    owner = path.stat().st_uid
    if owner != os.geteuid():
        found = f"{path} belongs to {user_name(owner)}, and this user is {user_name(os.geteuid())}."
        return warn("data folder", found, f"run the service as {user_name(owner)}, or chown -R {os.geteuid()} {path}")
    return ok("data folder", f"{path} on {file_system or 'an unknown file system'}, {state}.")


def ports(settings: Settings, running: int | None) -> list[Check]:
    """Whether the ports are free, or held by the service that runs here."""
    if not settings.enable_api:
        return [skipped("ports", "ENABLE_API is false: nothing listens.")]
    own = own_ports(settings.ports_file) if running else None
    return [
        port(settings.api_host, settings.api_port, "API_PORT", own.api_port if own else None),
        port(settings.api_host, settings.metrics_port, "METRICS_PORT", own.metrics_port if own else None),
    ]


def port(host: str, number: int, setting: str, own: int | None) -> Check:
    """One of them; `own` is the one that our running service has."""
    if own is not None and number in (0, own):
        return ok(setting, f"{own} is held by the service that runs here.")
    if number == 0:
        return ok(setting, "0: a free port is taken.")
    try:
        family, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return refused(host, number, setting, error)
    return ok(setting, f"{number} is free.")


def refused(host: str, number: int, setting: str, error: OSError) -> Check:
    """Why an address cannot be bound, and what to do."""
    if error.errno == errno.EADDRINUSE:
        fix = (
            f"stop that program (`ss -ltnp 'sport = :{number}'` names it), or set {setting} to another port, 0 for any"
        )
        return fail(setting, f"Port {number} is in use by another program.", fix)
    if error.errno == errno.EACCES:
        return fail(setting, f"Port {number} may not be opened by this user.", f"set {setting} to a port above 1023")
    fix = f"check API_HOST and {setting}"
    return fail(setting, f"Port {number} cannot be opened on {host}: {error.strerror}.", fix)


def own_ports(file: Path) -> Ports | None:
    """The ports that the running service has bound; None while it has not said."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Ports)
    except (OSError, msgspec.DecodeError):
        return None


def user_name(uid: int) -> str:
    """A user's name, or its number where the host knows none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
