"""Randomness by name: each draw is a hash of (seed, symbol, stream, index), so any moment stands alone."""

from __future__ import annotations

import math
import struct
from enum import IntEnum
from hashlib import blake2b, shake_128
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DRAWS = 1 << 12  # a draw is one of so many quantiles; normals therefore end at 3.67 sigma
NORMAL = tuple(NormalDist().inv_cdf((i + 0.5) / DRAWS) for i in range(DRAWS))  # a draw as a standard normal
NORMALS: Floats = np.array(NORMAL)

_KEY = struct.Struct("<Bq")


class Stream(IntEnum):
    """What a draw is for: streams never share draws."""

    INSTRUMENT = 0
    ANCHOR = 1
    PATH = 2
    MINUTE = 3
    ORDERS = 4
    BOOK = 5
    BASIS = 6
    FUNDING = 7


class Noise:
    """The random numbers of one symbol; each draw is an integer in [0, DRAWS)."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._prefix = blake2b(f"{seed}/{symbol}".encode(), digest_size=16).digest()

    def draws(self, stream: Stream, index: int, count: int) -> list[int]:
        """`count` independent draws; the same arguments give the same ones, a larger count a longer row."""
        digest = shake_128(self._prefix + _KEY.pack(stream, index)).digest(2 * count)
        return [draw & (DRAWS - 1) for draw in struct.unpack(f"<{count}H", digest)]

    def table(self, stream: Stream, indices: range, count: int) -> Integers:
        """The draws of many indices, a row each."""
        heads = (self._prefix + _KEY.pack(stream, index) for index in indices)
        digests = b"".join([shake_128(head).digest(2 * count) for head in heads])
        return np.frombuffer(digests, "<u2").reshape(-1, count).astype(np.int64) & (DRAWS - 1)

    def normal(self, stream: Stream, index: int) -> float:
        """One standard normal."""
        return NORMAL[self.draws(stream, index, 1)[0]]


def log_normals(sigma: float) -> tuple[float, ...]:
    """The table that makes a draw a log-normal of mean 1 (but for the cut tail)."""
    return tuple(math.exp(sigma * z - sigma * sigma / 2) for z in NORMAL)
