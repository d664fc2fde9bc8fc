"""How often each client may ask (API_RATE_LIMIT): a token bucket for each, in a table of bounded size."""

from __future__ import annotations

import math
from collections import OrderedDict

from aiohttp import web
from aiohttp.typedefs import Middleware

from data_manager.http.clients import Clients
from data_manager.http.errors import Refusal
from data_manager.http.middleware import Handler
from data_manager.http.ports import Services

CLIENTS_MAX = 10_000  # whose buckets are kept; the one that has asked least recently is forgotten first
EXEMPT = ("/health", "/metrics")  # asked by machines, on whose answers restarts and alerts depend


class Buckets:
    """A bucket of `burst` tokens a client, filled with `rate` tokens a second. Pure: the time is given."""

    def __init__(self, rate: float, burst: int) -> None:
        self._token_s = 1 / rate
        self._patience_s = (burst - 1) / rate
        self._due: OrderedDict[str, float] = OrderedDict()  # when a bucket is full again, by client

    def take(self, client: str, now: float) -> float:
        """Take a token: 0, or the seconds until there is one."""
        due = max(self._due.get(client, now), now)
        wait = due - now - self._patience_s
        if wait > 1e-9:  # the sum of many tokens is not exact
            return wait
        self._due[client] = due + self._token_s
        self._due.move_to_end(client)
        if len(self._due) > CLIENTS_MAX:
            self._due.popitem(last=False)
        return 0.0


def limited(services: Services) -> Middleware:
    """The middleware; to be put inside the boundary, which answers what it raises (429)."""
    settings, clock = services.settings, services.clock
    buckets = Buckets(settings.api_rate_limit, settings.api_rate_burst)
    clients = Clients(settings.api_trusted_proxies)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not request.path.startswith(EXEMPT):
            wait = buckets.take(clients.name(request), clock.monotonic())
            if wait:
                sentence = f"A client may make {settings.api_rate_limit:g} requests a second (API_RATE_LIMIT)."
                raise Refusal(429, sentence, headers={"Retry-After": str(math.ceil(wait))})
        return await handler(request)

    return middleware
