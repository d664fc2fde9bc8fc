"""Where processes listen, as the kernel says it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def listening(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Local address (hexadecimal, as in /proc/net/tcp) and port of every TCP socket these processes listen on."""
    inodes = set()
    for pid in pids:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                link = os.readlink(fd)
            except FileNotFoundError:
                continue  # closed since the folder was read
            if link.startswith("socket:["):
                inodes.add(link[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:  # LISTEN
                address, _, port = fields[1].partition(":")
                found.add((address, int(port, 16)))
    return found


def addresses(pids: Iterable[int]) -> set[str]:
    """The addresses alone: {"0100007F"} is loopback only."""
    return {address for address, _ in listening(pids)}
