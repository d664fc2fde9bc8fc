"""Who may change something: whoever sends the service's API_TOKEN as a bearer token."""

from __future__ import annotations

import hmac

from aiohttp import web

from data_manager.http.errors import Refusal
from data_manager.system.errors import ConfigError
from data_manager.system.settings import Settings

TOKEN_UNSET = "This is switched off: set API_TOKEN, or API_TOKEN_FILE, and send it as a bearer token."  # noqa: S105
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="data-manager"'}


class Guard:
    """Compares what requests carry with the token of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._token = token_of(settings)

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


def token_of(settings: Settings) -> bytes:
    """The token of the settings, empty for none; raises ConfigError for a file that cannot be read or holds none."""
    if settings.api_token_file is None:
        return settings.api_token.get_secret_value().encode() if settings.api_token else b""
    try:
        token = settings.api_token_file.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"API_TOKEN_FILE {settings.api_token_file} cannot be read: {error.strerror}") from error
    if not token:
        raise ConfigError(f"API_TOKEN_FILE {settings.api_token_file} is empty: write the token into it, or unset it")
    return token
