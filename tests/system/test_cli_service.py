"""How commands reach the service, and what they say when they do not."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from data_manager.system.cli import exit_code
from data_manager.system.commands import service as service_module
from data_manager.system.commands.service import Reply, Service, own_url, read_token, refusal, written_port
from data_manager.system.errors import ConfigError, ServiceAway, ServiceError
from data_manager.system.settings import Settings
from tests.servers.api import served_api
from tests.servers.databases import free_port
from tests.system.typed import Terminal


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Terminal:
    return Terminal(monkeypatch, capsys, tmp_path)


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Something that answers everything alike; what it was asked is kept."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


# -- where it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"api_port": 8123}, "http://127.0.0.1:8123"),
        ({"api_host": "127.0.0.1"}, "http://127.0.0.1:8000"),
        ({"api_host": "10.1.2.3"}, "http://10.1.2.3:8000"),
        ({"api_host": "::1"}, "http://[::1]:8000"),
        ({"api_host": "::"}, "http://127.0.0.1:8000"),
    ],
)
def test_the_service_is_looked_for_where_the_settings_say(settings: dict[str, object], url: str) -> None:
    assert own_url(Settings.model_validate(settings)) == url


def test_a_port_that_was_picked_is_read_from_the_data_folder(tmp_path: Path) -> None:
    settings = Settings(api_port=0, data_dir=tmp_path)
    with pytest.raises(ServiceAway, match="no service has written its port"):
        own_url(settings)
    (tmp_path / "http.json").write_text('{"api_port":4711,"metrics_port":1,"pid":2}')
    assert own_url(settings) == "http://127.0.0.1:4711"


@pytest.mark.parametrize("content", ["", "nope", "[]", "{}", '{"api_port":null}', '{"api_port":"x"}'])
def test_a_port_file_that_is_damaged_is_no_port(tmp_path: Path, content: str) -> None:
    (tmp_path / "http.json").write_text(content)
    with pytest.raises(ServiceAway):
        written_port(tmp_path / "http.json")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "8000",
        "localhost:8000",
        "ftp://h",
        "http://",
        "http://h:x",
        "http://h:0",
        "http://h:99999",
        "http://u:p@h",
        "http://h?x",
        "http://h#x",
        "http://h h",
        "http://hö",
        "http://h/\r\nX: y",
    ],
)
def test_an_address_that_is_none_is_usage(url: str) -> None:
    with pytest.raises(ConfigError, match=r"write http://HOST:PORT"):
        Service(url)


def test_a_path_before_the_routes_is_kept(tmp_path: Path) -> None:
    with answering(200, b"{}") as (url, asked):
        assert Service(f"{url}/behind/").get("/gaps", {"limit": 1, "status": None, "pair": "測"}) == b"{}"
    assert asked == ["/behind/gaps?limit=1&pair=%E6%B8%AC"]


# -- when it does not answer ---------------------------------------------------------------------------------


def test_nobody_at_the_address_ends_with_3_and_the_next_command(typed: Terminal) -> None:
    port = free_port()
    for command in (("backfill", "jobs"), ("backfill", "show", "x"), ("gaps", "list"), ("audit", "run")):
        done = typed(*command, "--set", f"api_port={port}")
        assert (done.code, done.out) == (3, "")
        assert done.err == (
            f"Nothing answers at http://127.0.0.1:{port} (Connection refused): start the service with"
            " `data-manager run` or `data-manager demo`, or say with --url where it is.\n"
        )


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "no-such-host.invalid"])
def test_a_host_that_cannot_be_is_nobody(typed: Terminal, host: str) -> None:
    done = typed("gaps", "list", "--url", f"http://{host}:8000")
    assert done.code == 3
    assert done.err.startswith(f"Nothing answers at http://{host}:8000 (")


def test_a_service_that_hangs_is_given_up() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as silent,
        pytest.raises(ServiceAway, match="no answer in time"),
    ):
        Service(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.1).get("/gaps")


def test_one_that_is_no_http_server_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def greet() -> None:
            connection, _ = server.accept()
            connection.sendall(b'INFO {"server_id":"nats"}\r\n')
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(ServiceAway, match="Nothing answers"):
            Service(f"http://127.0.0.1:{server.getsockname()[1]}").get("/gaps")
        thread.join()


def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "MAX_ANSWER", 1024)
    with answering(200, b"x" * 2048) as (url, _), pytest.raises(ServiceError, match="ask for less"):
        Service(url).get("/gaps")


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_something_else_at_the_address_is_not_taken_for_the_service(typed: Terminal, status: int) -> None:
    with answering(status, b"<html>hello</html>") as (url, _):
        for command in (("backfill", "jobs"), ("backfill", "show", "x"), ("gaps", "explain", "x")):
            done = typed(*command, "--json", "--url", url)
            assert done.code in (1, 2)
            assert "Traceback" not in done.err
            assert "There is no" not in done.err


def test_a_redirection_is_not_followed_with_the_token() -> None:
    with answering(307, b"", Location="http://127.0.0.1:1/") as (url, asked):
        with pytest.raises(ConfigError, match="no data manager") as refused:
            Service(url, "secret").get("/gaps")
        assert "secret" not in str(refused.value)
    assert asked == ["/gaps"]


def test_no_proxy_stands_between(typed: Terminal, tmp_path: Path) -> None:
    typed.set(http_proxy=f"http://127.0.0.1:{free_port()}", HTTP_PROXY=f"http://127.0.0.1:{free_port()}")
    with served_api(tmp_path) as api:
        assert typed("backfill", "jobs", "--url", api.url).code == 0


# -- what it refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (401, ConfigError, 2),
        (403, ConfigError, 2),
        (404, ConfigError, 2),
        (422, ConfigError, 2),
        (409, ServiceError, 1),
        (429, ServiceError, 1),
        (500, ServiceError, 1),
        (502, ServiceAway, 3),
        (503, ServiceAway, 3),
        (504, ServiceAway, 3),
    ],
)
def test_an_error_is_the_services_own_sentence_by_who_must_act(status: int, error: type[Exception], code: int) -> None:
    refused = refusal(Reply(status, b'{"detail":"Just so.","type":"x","title":"y"}'), "http://h")
    assert type(refused) is error
    assert str(refused).startswith("Just so.")
    assert exit_code(refused) == code


def test_each_value_that_was_refused_has_a_line() -> None:
    items = [{"loc": ["body", "a", 1], "msg": "no"}, {"loc": ["body"], "msg": "send JSON", "type": "x", "input": None}]
    refused = refusal(Reply(422, json.dumps({"detail": items}).encode()), "http://h")
    assert str(refused) == "a.1: no\nbody: send JSON"


def test_a_catalog_that_is_away_ends_with_3_and_the_services_sentence(typed: Terminal, tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite3").mkdir()
    with served_api(tmp_path) as api:
        done = typed("gaps", "list", "--url", api.url)
    assert (done.code, done.err.splitlines()) == (
        3,
        ["The catalog is not available now; try again in a few seconds.", "`data-manager doctor` looks for the cause."],
    )


# -- the token's file ----------------------------------------------------------------------------------------


def test_a_token_is_what_the_file_holds_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("abc\n")
    assert read_token(tmp_path / "token") == "abc"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\r\nX-Evil: 1", b"\xff\xfe", "tökèn".encode(), b"a\0b"])
def test_what_cannot_be_a_token_is_refused_unseen(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_token(tmp_path / "token")
    assert "Evil" not in str(refused.value)


@pytest.mark.parametrize("token", ["tökèn", "a\r\nX-Evil: 1"])
def test_a_token_of_the_environment_that_no_header_can_carry_is_refused_unseen(typed: Terminal, token: str) -> None:
    typed.set(API_TOKEN=token)
    done = typed("audit", "run", "--url", f"http://127.0.0.1:{free_port()}")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("API_TOKEN holds no token")
    assert token not in done.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_token(tmp_path / "token")
