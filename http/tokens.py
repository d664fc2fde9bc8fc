"""Who may change something: whoever sends the service's API_TOKEN as a bearer token."""

from __future__ import annotations

import hmac

from aiohttp import web

from data_manager.http.errors import Refusal
from data_manager.system.settings import Settings

TOKEN_UNSET = "This is switched off: set API_TOKEN and send it as a bearer token."  # noqa: S105
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="data-manager"'}


class Guard:
    """Compares what requests carry with the token of the settings."""

    def __init__(self, settings: Settings) -> None:
        token = settings.api_token
        self._token = token.get_secret_value().encode() if token else b""

    def demand(self, request: web.Request) -> None:
        """Raise a Refusal: 403 while no token is set, 401 for a request without it."""
        if not self._token:
            raise Refusal(403, TOKEN_UNSET)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        # bytes: compare_digest refuses text that is not ASCII, which a client may send
        same = hmac.compare_digest(given.strip().encode(errors="surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not same:
            raise Refusal(401, "This needs the service's API_TOKEN as a bearer token.", headers=CHALLENGE)

    def demand_if_set(self, request: web.Request) -> None:
        """The same for a route of the original's, which was open: it stays so until a token is set."""
        if self._token:
            self.demand(request)
