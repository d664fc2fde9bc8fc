"""The API's description as it is served, and the page that shows it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from data_manager import __version__
from data_manager.http import ui
from data_manager.http.app import OPERATIONS
from data_manager.http.docs import written
from tests.http.serving import Api, serving

VENDORED = ui.FOLDER / "vendor"


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


def test_the_description_is_served_with_this_version(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        answer = await api.get("/openapi.json")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.body["openapi"] == "3.1.0"
        assert answer.body["info"]["version"] == __version__

    with_api(tmp_path, check)


def test_a_client_that_has_the_description_is_told_so(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        tag = (await api.get("/openapi.json")).headers["ETag"]
        again = await api.request("GET", "/openapi.json", headers={"If-None-Match": tag})
        assert (again.status, again.body) == (304, b"")

    with_api(tmp_path, check)


def test_the_page_loads_its_parts_from_here_and_may_load_nothing_else(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        page = await api.get("/docs")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        used = re.findall(rb"(?:href|src)=\"(/[^\"]+)\"", page.body)
        assert b"/openapi.json" in used
        for path in used:
            assert (await api.get(path.decode())).status == 200, path

    with_api(tmp_path, check)


def test_the_dashboard_leads_to_the_page() -> None:
    assert b'href="/docs"' in ui.assets()["index.html"].body


def test_what_is_vendored_has_a_version_in_its_name_and_its_licence_beside_it() -> None:
    folders = [folder for folder in VENDORED.iterdir() if folder.is_dir()]
    assert folders
    for folder in folders:
        assert re.search(r"-\d+\.\d+\.\d+$", folder.name)
        assert any(path.name.upper().startswith("LICENSE") for path in folder.iterdir()), folder


def test_the_same_operations_make_the_same_bytes() -> None:
    assert written(OPERATIONS) == written(OPERATIONS)
