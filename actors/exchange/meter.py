"""What requests cost and how much of it the exchange allows: weight a minute, and the limit of funding."""

from __future__ import annotations

from data_manager.actors.exchange.queries import Refusal

WEIGHT_A_MINUTE = 2400
FUNDING_A_WINDOW = 500  # requests for funding in FUNDING_WINDOW_MS, which weigh nothing
FUNDING_WINDOW_MS = 5 * 60_000
IGNORED = 3  # so many requests may come before a 429's Retry-After has passed; the next one is answered 418
BAN_S = 120

_MINUTE_MS = 60_000


class Window:
    """Counts what falls into the same stretch of the clock, as the exchange does: no sliding."""

    def __init__(self, length_ms: int, most: int) -> None:
        self._length_ms = length_ms
        self._most = most
        self._number = -1
        self.used = 0

    def add(self, amount: int, now_ms: int) -> bool:
        """Count `amount`; False when that is more than the window allows."""
        number = now_ms // self._length_ms
        if number != self._number:
            self._number, self.used = number, 0
        self.used += amount
        return self.used <= self._most

    def left_s(self, now_ms: int) -> int:
        """Whole seconds until the next one begins, at least 1."""
        return -(-(self._length_ms - now_ms % self._length_ms) // 1000)


class Meter:
    """The limits of one address: 429 above them, 418 for whoever goes on all the same."""

    def __init__(self, weight_a_minute: int = WEIGHT_A_MINUTE) -> None:
        self._weights = Window(_MINUTE_MS, weight_a_minute)
        self._funding = Window(FUNDING_WINDOW_MS, FUNDING_A_WINDOW)
        self._closed_until_ms = 0
        self._banned_until_ms = 0
        self._ignored = 0

    def used(self, now_ms: int) -> int:
        """Weight used in this minute, for the header."""
        self._weights.add(0, now_ms)
        return self._weights.used

    def charge(self, weight: int, now_ms: int) -> None:
        """Take a request of this weight; raises Refusal (429 or 418, with Retry-After) when it is too much."""
        self._admit(self._weights.add(weight, now_ms), self._weights, now_ms)

    def charge_funding(self, now_ms: int) -> None:
        """Take a request for funding rates; raises Refusal likewise."""
        self._admit(self._funding.add(1, now_ms), self._funding, now_ms)

    def _admit(self, allowed: bool, window: Window, now_ms: int) -> None:
        if now_ms < self._banned_until_ms:
            raise banned(-(-(self._banned_until_ms - now_ms) // 1000))
        if now_ms < self._closed_until_ms:
            self._ignored += 1
            if self._ignored > IGNORED:
                self._banned_until_ms = now_ms + BAN_S * 1000
                raise banned(BAN_S)
            raise too_many(-(-(self._closed_until_ms - now_ms) // 1000))
        self._ignored = 0
        if not allowed:
            left_s = window.left_s(now_ms)
            self._closed_until_ms = now_ms + left_s * 1000
            raise too_many(left_s)


def too_many(retry_after_s: int) -> Refusal:
    """The answer to one request too many."""
    return Refusal(429, -1003, "Too many requests; please use the websocket for live updates.", retry_after_s)


def banned(retry_after_s: int) -> Refusal:
    """The answer to those who went on."""
    return Refusal(418, -1003, "Way too many requests; IP banned. Please wait until Retry-After.", retry_after_s)
