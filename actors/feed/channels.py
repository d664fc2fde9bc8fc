"""Which streams are asked for, and how they are spread over connections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from data_manager.actors.backfill.conf import StreamClass, Streams

DEPTH = "depth"  # the name in conf/exchange.yaml that stands for one of two streams


class Channel(msgspec.Struct, frozen=True):
    """What one connection carries: streams of one class, by their whole names."""

    stream_class: Literal["public", "market"]
    path: str
    names: tuple[str, ...]

    @property
    def target(self) -> str:
        """Path and query of the connection, which is subscribed from its first moment on."""
        return f"{self.path}?streams={'/'.join(self.names)}"


def channels(symbols: Iterable[str], streams: Streams, depth_kind: str) -> tuple[Channel, ...]:
    """As few connections as carry every stream of every symbol, at most `max_names` each; classes never share one.

    A partial book is what `depth` means unless `depth_kind` is `diff`.
    """
    depth = streams.diff_depth if depth_kind == "diff" else streams.partial_depth
    wanted = tuple(symbols)
    return (
        *_spread("public", streams.public, wanted, depth, streams.max_names),
        *_spread("market", streams.market, wanted, depth, streams.max_names),
    )


def _spread(
    label: Literal["public", "market"],
    served: StreamClass,
    symbols: tuple[str, ...],
    depth: str,
    max_names: int,
) -> Iterable[Channel]:
    kinds = [depth if name == DEPTH else name for name in served.names]
    names = tuple(f"{symbol.lower()}@{kind}" for symbol in symbols for kind in kinds)
    for first in range(0, len(names), max_names):
        yield Channel(label, served.path, names[first : first + max_names])
