"""Who asks: a connection's peer or, where a trusted proxy passes requests on, whom that names."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address, ip_network

from aiohttp import web

SITE_BITS = 64  # of an IPv6 address name a site, whose hosts may use as many addresses as they like


class Clients:
    """Names clients by address; `trusted` are the proxies' networks, in CIDR form."""

    def __init__(self, trusted: Iterable[str] = ()) -> None:
        self._trusted = tuple(ip_network(network) for network in trusted)

    def name(self, request: web.Request) -> str:
        """The address of whoever sent the request, of IPv6 its site; empty where the connection is gone already.

        `X-Forwarded-For` is read from its end, and no further than the first address that is not a trusted proxy's:
        what stands before it, anybody may have written.
        """
        peer = request.remote or ""
        if self._trusted:
            passed = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
            while passed and self._trusts(peer) and (named := plain(passed.pop())):
                peer = named
        return site(peer)

    def _trusts(self, peer: str) -> bool:
        named = plain(peer)
        return bool(named) and any(ip_address(named) in network for network in self._trusted)


def plain(text: str) -> str:
    """An address in its usual form; empty for what is none."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def site(peer: str) -> str:
    """What one client has to itself: an IPv4 address, or the network of an IPv6 one."""
    address = plain(peer)
    return str(ip_network(f"{address}/{SITE_BITS}", strict=False)) if ":" in address else address
