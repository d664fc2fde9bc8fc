"""How much memory there is for this service: the host's, or what its container may have of it."""

from __future__ import annotations

import os
from pathlib import Path

LIMIT = Path("/sys/fs/cgroup/memory.max")  # cgroup v2; `max` or a number of bytes


def memory_bytes(limit: Path = LIMIT) -> int:
    """In bytes. A limit that is not there, or is none, is the host's memory."""
    host = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        told = limit.read_text().strip()
    except OSError:
        return host
    return min(host, int(told)) if told.isdecimal() else host
