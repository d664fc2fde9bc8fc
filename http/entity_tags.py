"""Entity tags of lists: whether a client has the very rows already (RFC 9110, If-None-Match).

A tag is weak, since it is of the rows and their place in the range alone: what else an answer tells, such as the end
of a range that ends now, may differ. A repair changes rows of any age, so no answer may be kept without asking.
"""

from __future__ import annotations

import hashlib

from aiohttp import web

KEPT = {"Cache-Control": "no-cache", "Vary": "Accept"}  # the same address gives streams too


def weak_tag(*parts: bytes) -> str:
    """A weak tag of 64 bits, the same in every process."""
    digest = hashlib.sha256()  # the quickest of all: most processors have it built in
    for part in parts:
        digest.update(part)
    return f'W/"{digest.hexdigest()[:16]}"'


def is_known(request: web.Request, tag: str) -> bool:
    """Whether the client names that tag, or any, as what it has."""
    if "If-None-Match" not in request.headers:
        return False
    opaque = tag.removeprefix("W/").strip('"')
    return any(given.value in (opaque, "*") for given in request.if_none_match or ())
