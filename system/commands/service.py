"""How commands talk to the running service: over its HTTP API, one connection a request, with time limits.

A command repeats the option types in its signature and hands what it got to `connect`:

    def jobs(url: Url = None, config_file: ConfigFile = None, assign: Assign = None) -> None:
        service = connect(config_file, assign, url)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import SplitResult, urlencode, urlsplit

import typer

from data_manager.system.commands.options import load_settings
from data_manager.system.errors import ConfigError, DataManagerError, ServiceAway, ServiceError

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

    from data_manager.system.settings import Settings

ANSWER_S = 15.0  # for a request: more than the service itself waits for its stores
MAX_ANSWER = 32 * 2**20  # bytes
PIECE = 64 * 1024  # of a stream
ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - addresses that a service listens on and nobody connects to
AWAY = (502, 503, 504)

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Where the service answers; by default on this host, at API_PORT."),
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", metavar="FILE", help="Holds the service's API_TOKEN, if that is not set here."),
]
AsJson = Annotated[bool, typer.Option("--json", help="The service's own JSON instead of text.")]
OfSymbol = Annotated[str | None, typer.Option("--symbol", "--pair", metavar="SYMBOL", help="Of this symbol only.")]
HowMany = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many to list.")]


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes


class Service:
    """The service at one address. Errors are ServiceAway, ServiceError and ConfigError, each with its sentence."""

    def __init__(self, url: str, token: str | None = None, timeout_s: float = ANSWER_S) -> None:
        self.url = url.rstrip("/")
        self._timeout_s = timeout_s
        parts = checked(self.url)
        self._secure, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._base = parts.path
        self._headers = {"Accept": "application/json"} | ({} if token is None else {"Authorization": f"Bearer {token}"})

    def get(self, path: str, query: Mapping[str, object] | None = None) -> bytes:
        """The body of a good answer; of `query`, what is None is left out."""
        return self._good(self._ask("GET", path, query))

    def look(self, path: str, query: Mapping[str, object] | None = None) -> Reply:
        """The answer, good or not; raises ServiceAway where there is none."""
        return self._ask("GET", path, query)

    def stream(self, path: str, query: Mapping[str, object], accept: str) -> Iterator[bytes]:
        """A good answer of any length, piece by piece; raises ServiceAway where it ends before its end."""
        with self._asking("GET", path, query, {"Accept": accept}) as answer:
            if not 200 <= answer.status < 300:
                raise refusal(Reply(answer.status, answer.read(MAX_ANSWER)), self.url)
            while piece := answer.read(PIECE):
                yield piece

    def find(self, path: str) -> bytes | None:
        """The same for one thing by its id; None where there is none."""
        reply = self._ask("GET", path)
        return None if reply.status == 404 and detail(reply.body) is not None else self._good(reply)

    def post(self, path: str, body: object = None, query: Mapping[str, object] | None = None) -> bytes:
        """Ask for a change; the body of a good answer."""
        import orjson

        return self._good(self._ask("POST", path, query, orjson.dumps(body)))

    def _ask(
        self, method: str, path: str, query: Mapping[str, object] | None = None, body: bytes | None = None
    ) -> Reply:
        headers = {} if body is None else {"Content-Type": "application/json"}
        with self._asking(method, path, query, headers, body) as answer:
            content = answer.read(MAX_ANSWER + 1)
        if len(content) > MAX_ANSWER:
            raise ServiceError(f"{self.url}{path} answers with more than {MAX_ANSWER >> 20} MiB: ask for less.")
        return Reply(answer.status, content)

    @contextmanager
    def _asking(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Iterator[HTTPResponse]:
        from http.client import HTTPException

        given = urlencode({name: value for name, value in (query or {}).items() if value is not None})
        connection = self._connection()
        begun = False
        try:
            connection.request(
                method, f"{self._base}{path}{'?' if given else ''}{given}", body, {**self._headers, **headers}
            )
            answer = connection.getresponse()
            begun = True
            yield answer
        except (OSError, HTTPException, UnicodeError) as error:  # the last for a host that cannot be one
            if begun:
                raise ServiceAway(f"The answer of {self.url} broke off ({reason(error)}): ask again.") from error
            raise ServiceAway(
                f"Nothing answers at {self.url} ({reason(error)}): start the service with `data-manager run` or"
                " `data-manager demo`, or say with --url where it is."
            ) from error
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._secure else HTTPConnection
        return kind(self._host or "", self._port, timeout=self._timeout_s)

    def _good(self, reply: Reply) -> bytes:
        if 200 <= reply.status < 300:
            return reply.body
        raise refusal(reply, self.url)


def checked(url: str) -> SplitResult:
    """The parts of an address of a service; raises ConfigError for what is none."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:  # the port is no number
        good = False
    if not good or parts.query or parts.fragment or not url.isascii() or any(c.isspace() for c in url):
        raise ConfigError(f"--url {url}: write http://HOST:PORT, for example http://127.0.0.1:8000.")
    return parts


def connect(
    config: Path | None,
    assign: list[str] | None,
    url: str | None,
    token_file: Path | None = None,
    timeout_s: float = ANSWER_S,
) -> Service:
    """The service that the options name: by `url`, else on this host where the settings say.

    Raises ConfigError, and ServiceAway where it was to tell its port and has not.
    """
    settings = load_settings(config, assign).settings
    token = settings.api_token.get_secret_value() if settings.api_token else None
    if token_file is not None:
        token = read_token(token_file)
    elif token is not None:
        check_token(token, "API_TOKEN")
    return Service(url or own_url(settings), token, timeout_s)


def own_url(settings: Settings) -> str:
    """Where a service with these settings answers. With API_PORT=0 it has written its port down, or is away."""
    host = "127.0.0.1" if settings.api_host in ANYWHERE else settings.api_host
    port = settings.api_port or written_port(settings.ports_file)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def written_port(path: Path) -> int:
    """The port that the service has bound; raises ServiceAway."""
    import orjson

    try:
        return int(orjson.loads(path.read_bytes())["api_port"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceAway(
            f"API_PORT is 0, and no service has written its port to {path}: start one, or say with --url where it is."
        ) from error


def read_token(path: Path) -> str:
    """The token in a file; raises ConfigError."""
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--token-file {path} cannot be read ({reason(error)}).") from error
    check_token(token, f"--token-file {path}")
    return token


def check_token(token: str, origin: str) -> None:
    """Raise ConfigError, without the token, for what no header can carry."""
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigError(f"{origin} holds no token: it must be one line of printable ASCII, and no more.")


def refusal(reply: Reply, url: str) -> DataManagerError:
    """The error for an answer that is not good, by who must act."""
    sentence = detail(reply.body)
    if sentence is None:
        return ConfigError(f"What answers at {url} is no data manager (status {reply.status}): is --url its API_PORT?")
    if reply.status in (401, 403):
        return ConfigError(f"{sentence}\nSet API_TOKEN here too, or name a file that holds it with --token-file.")
    if reply.status in AWAY:
        return ServiceAway(sentence)
    return ConfigError(sentence) if reply.status in (404, 422) else ServiceError(sentence)


def detail(body: bytes) -> str | None:
    """What the service says of an error, one sentence a line; None where this is not how it speaks."""
    import msgspec

    from data_manager.system.commands.service_answers import Problem

    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return None
    if isinstance(problem.detail, str):
        return problem.detail
    return "\n".join(f"{'.'.join(map(str, item.loc[1:])) or item.loc[0]}: {item.msg}" for item in problem.detail)


def reason(error: BaseException) -> str:
    """What went wrong below HTTP, without the numbers of the operating system."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__


def echo_json(body: bytes) -> None:
    """A JSON text on stdout, set out for reading."""
    import orjson

    typer.echo(orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode())
