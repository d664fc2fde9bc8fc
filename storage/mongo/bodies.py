"""The body of a computed document, spread out over a BSON document and taken together again.

Keys of mappings may hold dots (`imbalance.5`), which MongoDB reads as paths and older servers refuse: they stand
as slashes, which no key has. When the document was computed stands in its `metadata` too, where the original had it.
"""

from __future__ import annotations

from typing import Any

import orjson
from bson.errors import InvalidDocument

Document = dict[str, Any]

METADATA, COMPUTED_AT = "metadata", "computed_at"


def expanded(document: Document) -> Document:
    """The document with the fields of its `body` in the place of it; raises InvalidDocument for what is no body."""
    outer = {name: value for name, value in document.items() if name != "body"}
    fields = orjson.loads(document["body"])
    if not isinstance(fields, dict) or not isinstance(fields.get(METADATA), dict) or outer.keys() & fields.keys():
        raise InvalidDocument(
            "a body is an object of fields that ends with metadata, none with a name of the row's own"
        )
    spread = _renamed(fields, ".", "/")
    spread[METADATA][COMPUTED_AT] = document[COMPUTED_AT]
    return {**outer, **spread}


def collapsed(document: Document, outer: frozenset[str]) -> str:
    """The body of a document whose own fields are `outer`; raises KeyError where it has no metadata."""
    fields = _renamed({name: value for name, value in document.items() if name not in outer}, "/", ".")
    del fields[METADATA][COMPUTED_AT]
    return orjson.dumps(fields).decode()  # integers come from BSON as a subclass of int, which not every encoder takes


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key.replace(old, new): _renamed(each, old, new) for key, each in value.items()}
    return [_renamed(each, old, new) for each in value] if isinstance(value, list) else value
