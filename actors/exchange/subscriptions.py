"""Which streams a connection carries: those of its address, and what its client asks for afterwards. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

MAX_STREAMS = 200  # of a connection
PUBLIC, MARKET = "/public/stream", "/market/stream"

# Libraries disagree on where the undocumented `trade` belongs; here it is market data like aggTrade.
_PUBLIC_TOPICS = ("depth", "rpiDepth", "bookTicker")
_INVALID_REQUEST = 2


class _Request(msgspec.Struct, frozen=True):
    method: Literal["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS"]
    id: int | str
    params: tuple[str, ...] = ()


class Subscriptions:
    """The names of one connection, in the order in which they were asked for; a class has a path of its own.

    Names that nobody knows are taken, and stay silent.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._names: dict[str, None] = {}

    @property
    def names(self) -> frozenset[str]:
        """At present."""
        return frozenset(self._names)

    def add(self, names: Iterable[str]) -> str | None:
        """Take all of them, or none and say why."""
        wanted = self._names | dict.fromkeys(names)
        if len(wanted) > MAX_STREAMS:
            return f"A connection carries at most {MAX_STREAMS} streams."
        if foreign := next((name for name in wanted if path_of(name) != self._path), None):
            return f"{foreign} is served by {path_of(foreign)}."
        self._names = wanted
        return None

    def obey(self, request: bytes) -> bytes:
        """Carry out a request that came in a frame; the answer to it."""
        try:
            asked = _decode(request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _refusal(None, f"Invalid request: {error}")
        match asked.method:
            case "LIST_SUBSCRIPTIONS":
                return _encode({"result": list(self._names), "id": asked.id})
            case "UNSUBSCRIBE":
                self._names = {name: None for name in self._names if name not in asked.params}
            case "SUBSCRIBE":
                if problem := self.add(asked.params):
                    return _refusal(asked.id, problem)
        return _encode({"result": None, "id": asked.id})


_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def path_of(name: str) -> str:
    """The path that serves a stream: order books on one, all else on the other."""
    return PUBLIC if name.partition("@")[2].startswith(_PUBLIC_TOPICS) else MARKET


def _refusal(request_id: int | str | None, sentence: str) -> bytes:
    return _encode({"error": {"code": _INVALID_REQUEST, "msg": sentence}, "id": request_id})
