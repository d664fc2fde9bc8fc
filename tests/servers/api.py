"""The API, really listening, for tests that are no coroutines: on a loop of its own, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data_manager.storage.catalog import SqlCatalog
from tests.http.serving import Api, StillClock, serving


class ServedApi:
    """The API's address, what stands behind it, and a catalog of the test's own on the same file."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{api.api_port}"
        self.system = api.system
        self.catalog = SqlCatalog(f"sqlite:///{folder}/catalog.sqlite3", clock=StillClock())


@contextmanager
def served_api(folder: Path, **options: Any) -> Iterator[ServedApi]:
    """Serve for the length of the block; the options are those of `serving`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    context = serving(folder, **options)
    try:
        api = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(20)
        served = ServedApi(api, folder)
        try:
            yield served
        finally:
            served.catalog.close()
            asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()
