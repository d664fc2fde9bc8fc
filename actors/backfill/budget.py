"""How much may be asked of the exchange: one budget that every job takes from before each request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from data_manager.actors.backfill.conf import ExchangeConf
from data_manager.actors.backfill.weights import Route
from data_manager.system.clock import Clock, iso, now_ms
from data_manager.system.errors import ExchangeClosed

MINUTE_S = 60.0
NAP_S = 0.01  # the shortest wait: a float's rounding must not make it a busy loop
TOO_MANY, BANNED = 429, 418  # HTTP statuses
DEFAULT_CLOSED_S = {TOO_MANY: 60}  # without Retry-After: the exchange's minute ...
DEFAULT_BANNED_S = 120  # ... and its shortest ban
MAX_CLOSED_S = 3 * 86_400  # its longest ban: more than that is a clock that was set

Sleep = Callable[[float], Awaitable[None]]


class BudgetState(msgspec.Struct, frozen=True):
    """What a restart must not forget: until when the exchange forbids requests, and its status that said so."""

    closed_until_ms: int = 0  # UTC
    status: int = 0


class Window:
    """At most `limit` in any `length_s` seconds; they slide."""

    def __init__(self, limit: int, length_s: float) -> None:
        self.limit = limit
        self.used = 0  # in the last `length_s`, as of the last call
        self._length_s = length_s
        self._spent: deque[tuple[float, int]] = deque()  # when, and how much; of our own at most `limit` entries

    def wait_s(self, amount: int, now: float) -> float:
        """Seconds until `amount`, which is within the limit, can be spent; 0 for at once."""
        while self._spent and self._spent[0][0] + self._length_s <= now:
            self.used -= self._spent.popleft()[1]
        over, wait = self.used + amount - self.limit, 0.0
        for at, spent in self._spent:
            if over <= 0:
                break
            over -= spent
            wait = at + self._length_s - now
        return wait

    def spend(self, amount: int, now: float) -> None:
        """Count it, whether it fits or not."""
        self._spent.append((now, amount))
        self.used += amount


class Budget:
    """What this service may ask, in request weight a minute and in requests for funding.

    `weight_a_minute` is its own share, and of the limit of funding it takes the same share. What is left of the
    exchange's limits is the reserve for whoever else uses the address: what they use beyond the reserve, as the
    exchange tells it, is taken from the share. Once a request is answered 429 or 418 all are refused until the
    exchange's Retry-After has passed.
    """

    def __init__(
        self,
        conf: ExchangeConf,
        weight_a_minute: int,
        clock: Clock,
        state: BudgetState | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        funding = max(1, conf.funding_requests * weight_a_minute // conf.weight_a_minute)
        self._weight = Window(weight_a_minute, MINUTE_S)
        self._funding = Window(funding, conf.funding_seconds)
        self._turns = {self._weight: asyncio.Lock(), self._funding: asyncio.Lock()}  # first come, first served
        self._allowed = conf.weight_a_minute
        self._clock = clock
        self._sleep = sleep
        self._told_at: float | None = None
        self._counted = 0  # by the exchange when it last told, and what was spent since
        given, now = state or BudgetState(), now_ms(clock)
        self.state = BudgetState(min(given.closed_until_ms, now + MAX_CLOSED_S * 1000), given.status)
        self._closed_until = clock.monotonic() + (self.state.closed_until_ms - now) / 1000

    async def take(self, route: Route, rows: int = 0) -> None:
        """Wait until a request for so many rows fits, and count it; raises ExchangeClosed while none is allowed."""
        window, amount = (self._funding, 1) if route.funding else (self._weight, route.weight(rows))
        if amount > window.limit:
            raise ValueError(f"{route.path} weighs {amount}, more than the budget of {window.limit}")
        async with self._turns[window]:
            while (wait := self._wait_s(window, amount)) > 0:
                await self._sleep(max(wait, NAP_S))
            window.spend(amount, self._clock.monotonic())
            if window is self._weight:
                self._counted += amount

    def told(self, used: int) -> None:
        """The exchange has counted so much weight in its minute, of everyone at this address."""
        now = self._clock.monotonic()
        if self._told_at is None:  # a process before this one may have spent it: the limit holds across restarts
            self._weight.spend(max(0, used - self._weight.used), now)
        self._told_at, self._counted = now, used

    def close(self, status: int, retry_after_s: int | None) -> ExchangeClosed:
        """Refuse everything for so long, by default as long as the status usually means; returns the error to raise.

        A shorter time than is left already changes nothing.
        """
        seconds = DEFAULT_CLOSED_S.get(status, DEFAULT_BANNED_S) if retry_after_s is None else retry_after_s
        seconds = max(1, min(seconds, MAX_CLOSED_S))
        until = self._clock.monotonic() + seconds
        if until > self._closed_until:
            self._closed_until = until
            self.state = BudgetState(now_ms(self._clock) + seconds * 1000, status)
        return self._closed()

    @property
    def closed_s(self) -> float:
        """Seconds until requests are allowed again; 0 where they are."""
        return max(0.0, self._closed_until - self._clock.monotonic())

    @property
    def used(self) -> int:
        """Weight spent in the last minute."""
        self._weight.wait_s(0, self._clock.monotonic())
        return self._weight.used

    def _wait_s(self, window: Window, amount: int) -> float:
        now = self._clock.monotonic()
        if now < self._closed_until:
            raise self._closed()
        wait = window.wait_s(amount, now)
        if window is self._weight and self._told_at is not None and self._counted + amount > self._allowed:
            wait = max(wait, self._told_at + MINUTE_S - now)  # by then the exchange counts another minute
        return wait

    def _closed(self) -> ExchangeClosed:
        until_ms, status = self.state.closed_until_ms, self.state.status
        return ExchangeClosed(
            until_ms, f"The exchange answered {status} and is asked nothing before {iso(until_ms)}; jobs go on then."
        )
