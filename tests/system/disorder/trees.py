"""Trees that an API shows, set by hand."""

from __future__ import annotations

import os

import msgspec

from tests.http.serving import actor, tree
from tests.servers.api import ServedApi


def named(api: ServedApi, **pids: int | None) -> None:
    """Have the supervisor name these processes, and an exchange."""
    names = {"exchange": os.getpid(), **{name.replace("_", "/", 1): pid for name, pid in pids.items()}}
    actors = [msgspec.structs.replace(actor(name), pid=pid) for name, pid in names.items()]
    api.system.latest = tree(*actors)
