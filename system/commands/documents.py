"""The documents of `/analysis/...` as text for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from data_manager.system.commands.service_answers import decode
from data_manager.system.commands.showing import printable

ABOUT = ("timestamp", "state", "metadata")  # of a document, beside its fields
NUMBER_LENGTH = 12  # characters; a longer one is rounded to DIGITS
DIGITS = 6
CELL_LENGTH = 100  # characters of a list or an object


class Trust(msgspec.Struct, frozen=True):
    """How far a document can be trusted: made of `n` bars of `expected`, and why what is null is so."""

    window: str | None = None
    n: int | None = None
    expected: int | None = None
    reasons: dict[str, str] = {}
    computed_at: str | None = None
    state: str | None = None
    message: str | None = None


class Single(msgspec.Struct, frozen=True):
    """The answer with one document; None where none is computed yet."""

    metadata: Trust
    data: dict[str, Any] | None


class Series(msgspec.Struct, frozen=True):
    """The answer with several, the newest first; under `values` where the service leaves `data` out."""

    metadata: Trust
    data: list[dict[str, Any]] | None = None
    values: list[dict[str, Any]] | None = None


class Document(msgspec.Struct, frozen=True):
    """The newest document of a category: its fields, and how far they can be trusted."""

    fields: dict[str, Any]
    trust: Trust

    @property
    def title(self) -> str:
        """What it is made of, in one line."""
        trust = self.trust
        bars = "" if trust.n is None else f", {trust.n:,} of {trust.expected or 0:,} bars"
        return f"{trust.state or 'state unknown'}, window {trust.window or 'unknown'}{bars}"


def document_of(body: bytes, *, series: bool) -> Document | None:
    """The newest document of an answer; None where none is computed yet. Raises ServiceError for another version's."""
    if not series:
        single = decode(body, Single)
        return None if single.data is None else Document(single.data, single.metadata)
    found = decode(body, Series)
    newest = next(iter(found.data or found.values or ()), None)
    if newest is None:
        return None
    trust = msgspec.convert({**newest.get("metadata", {}), "state": newest.get("state")}, Trust)
    return Document({name: each for name, each in newest.items() if name not in ABOUT}, trust)


def lines(document: Document) -> list[tuple[str, str]]:
    """Each field with its value, or with the reason why it has none."""
    reasons = document.trust.reasons
    return [
        (name, f"- ({printable(reasons[name])})" if each is None and name in reasons else shown(each))
        for name, each in document.fields.items()
    ]


def shown(value: object) -> str:
    """One value: a number in a readable length, a list or an object as JSON, as far as it fits."""
    if value is None:
        return "-"
    if isinstance(value, Mapping | list):
        text = orjson.dumps(value).decode()
        return printable(text if len(text) <= CELL_LENGTH else f"{text[: CELL_LENGTH - 4]} ...")
    text = str(value)
    return rounded(text) if len(text) > NUMBER_LENGTH else printable(text)


def rounded(text: str) -> str:
    """A long number, shorter; anything else as it is."""
    try:
        return f"{float(text):.{DIGITS}g}"
    except ValueError:
        return printable(text)
