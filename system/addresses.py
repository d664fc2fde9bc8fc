"""Addresses in settings: servers, databases, the origins of pages and networks, each checked before it is used. Pure.

Every check returns the address as it is used, or raises ValueError with a sentence that hides credentials.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from urllib.parse import urlsplit

from data_manager.system.logs import redact_url

EMBEDDED = "embedded"  # the NATS_URL that starts the wheel's own server
MONGO_SCHEMES = ("mongodb", "mongodb+srv")
MYSQL_SCHEMES = ("mysql", "mysql+pymysql")
NATS_SCHEMES = ("nats", "tls")  # no websockets: they need aiohttp in every process
ANY_ORIGIN = "*"


def check_nats_url(text: str) -> str:
    """`embedded`, or one or more servers with commas between; raises ValueError with a sentence otherwise."""
    for server in [] if text == EMBEDDED else text.split(","):
        full = server.strip() if "://" in server else f"nats://{server.strip()}"
        try:
            url = urlsplit(full)
            good = url.scheme in NATS_SCHEMES and url.hostname and url.port != 0 and not re.search(r"\s", full)
        except ValueError:  # the port is no number, or none of 0-65535; a bracket of IPv6 is missing
            good = False
        if not good:
            raise ValueError(f"{redact_url(full)!r} is no NATS server: write nats://HOST:PORT or {EMBEDDED}")
    return text


def check_database_url(text: str, schemes: tuple[str, ...]) -> str:
    """A database's URL; raises ValueError with a sentence for one without a known scheme or a host."""
    try:
        url = urlsplit(text)
        hosts = url.netloc.rpartition("@")[2]  # MongoDB takes several, with commas between
    except ValueError:
        url, hosts = None, ""
    if url is None or url.scheme not in schemes or not hosts or re.search(r"\s", text):
        forms = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ValueError(f"{redact_url(text)!r} is no database URL: write {forms}USER:PASSWORD@HOST:PORT/DATABASE")
    return text


def check_base_url(text: str, plain: str = "http") -> str:
    """An address without path and credentials, without its final slash; raises ValueError with a sentence.

    `plain` is its scheme without TLS: `http` or `ws`.
    """
    address = text.removesuffix("/")
    try:
        url = urlsplit(address)
        good = url.scheme in (plain, f"{plain}s") and url.hostname and url.port != 0 and "@" not in url.netloc
    except ValueError:  # the port is no number, or none of 0-65535
        good = False
    if not good or url.path or url.query or url.fragment or re.search(r"\s", address):
        forms = f"{plain}s://HOST or {plain}://HOST:PORT"
        raise ValueError(f"{redact_url(text)!r} is no address of the exchange: write {forms}")
    return address


def check_origin(text: str) -> str:
    """The origin of a page as browsers send it, `https://HOST` or with `:PORT`, or ANY_ORIGIN."""
    if text != ANY_ORIGIN and not re.fullmatch(r"https?://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", text):
        raise ValueError(f"{redact_url(text)!r} is no origin: write https://HOST, in lower case, or {ANY_ORIGIN}")
    return text


def check_network(text: str) -> str:
    """A network in CIDR form, or one address."""
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{text!r} is no network: {error}; write 10.0.0.0/8, for example") from None
