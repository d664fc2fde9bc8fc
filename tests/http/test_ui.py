from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from data_manager.http import ui
from tests.http.serving import Api, serving

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def with_api(folder: Path, check: Callable[[Api], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serving(folder) as api:
            await check(api)

    asyncio.run(run())


def test_a_browser_gets_the_page_and_a_program_gets_json_at_the_root(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        page = await api.request("GET", "/", headers=BROWSER)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"<title>Petrosa Data Manager</title>" in page.body
        for accept in ("*/*", "application/json", None):
            program = await api.request("GET", "/", headers={"Accept": accept} if accept else {})
            assert program.body["service"] == "petrosa-data-manager"
            assert program.headers["Vary"] == page.headers["Vary"] == "Accept"

    with_api(tmp_path, check)


@pytest.mark.parametrize("path", ["/ui", "/ui/", "/ui/index.html"])
def test_the_page_is_at_ui(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        page = await api.get(path)
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"

    with_api(tmp_path, check)


def test_every_file_has_its_type_and_may_only_be_used_as_that(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        kinds = set()
        for name in ui.assets():
            answer = await api.get(f"/ui/{name}")
            assert answer.status == 200
            assert answer.headers["Content-Type"] == ui.TYPES[Path(name).suffix]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            kinds.add(Path(name).suffix)
        assert kinds == {".html", ".css", ".js", ".mjs", ".svg"}

    with_api(tmp_path, check)


def test_the_policy_lets_the_page_load_from_here_only(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        policy = (await api.get("/ui")).headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy

    with_api(tmp_path, check)


def test_a_client_that_has_a_file_is_told_so(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        first = await api.get("/ui/js/main.js")
        assert first.headers["Cache-Control"] == "no-cache"
        tag = first.headers["ETag"]
        again = await api.request("GET", "/ui/js/main.js", headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
        other = await api.request("GET", "/ui/js/main.js", headers={"If-None-Match": '"other"'})
        assert (other.status, other.body) == (200, first.body)

    with_api(tmp_path, check)


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../app.py",
        "/ui/js/../../app.py",
        "/ui/%2e%2e/app.py",
        "/ui/..%2fapp.py",
        "/ui//etc/passwd",
        "/ui/js",
        "/ui/js/main.js/",
        "/ui/js/main.js%00.css",
        "/ui/..\\app.py",
    ],
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    async def check(api: Api) -> None:
        answer = await asyncio.to_thread(raw_get, api.api_port, path)  # a client library would tidy the path up
        assert re.match(rb"HTTP/1\.1 40[04] ", answer)
        assert b"import" not in answer

    with_api(tmp_path, check)


def test_the_icon_that_browsers_ask_for_is_there(tmp_path: Path) -> None:
    async def check(api: Api) -> None:
        icon = await api.get("/favicon.ico")
        assert icon.status == 200
        assert icon.headers["Content-Type"] == "image/svg+xml"

    with_api(tmp_path, check)


def test_the_files_name_each_other_and_nothing_elsewhere() -> None:
    files = {name: asset.body.decode() for name, asset in ui.assets().items()}
    known = {
        "http://www.w3.org/2000/svg",
        "https://www.tradingview.com/",
    }  # a namespace, and a link that its notice wants
    for name, text in files.items():
        if name.startswith("vendor/"):  # others' work, unchanged; what it may load, the policy says
            continue
        assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) <= known, name
        for used in re.findall(r"(?:href|src)=\"/ui/([^\"]+)\"", text):
            assert used in files, used
        for used in re.findall(r"from \"\./([^\"]+)\"", text):
            assert f"js/{used}" in files, used
        for used in re.findall(r"from \"\.\./([^\"]+)\"", text):
            assert used in files, used
    page = files["index.html"]
    assert not re.search(r"<script(?![^>]*\bsrc=)", page)  # no inline script
    assert not re.search(r"\s(?:style|on\w+)=", page)


def raw_get(port: int, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))
