"""Records as documents: collections, ids, field names, and the way between a record and a document.

Fields keep their names, but for the time that ranges use (`timestamp`), `stored_ms` (`stored_at`) and `computed_ms`
(`computed_at`), which are BSON dates; `symbol` comes first, a trade also says its `side` and `quote_quantity`, and
the body of a computed document is spread out (mongo/bodies.py). Dates pass as `DatetimeMS`, which spares building a
datetime both ways. Decimal text stays text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

import bson
import msgspec
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.errors import InvalidDocument

from data_manager.storage.mongo.bodies import collapsed, expanded
from data_manager.storage.records import (
    MARKET_RECORDS,
    TIMEFRAMES,
    Analytics,
    BookTicker,
    Candle,
    Depth,
    Funding,
    Levels,
    Liquidation,
    MarkPrice,
    OpenCandle,
    Quarantined,
    Record,
    Series,
    Symbol,
    Ticker,
    Trade,
    documents_of,
)

R = TypeVar("R", bound=Record)
Document = dict[str, Any]
Convert = Callable[[Any], Any]

CODEC: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_MS)
MAX_BYTES = 16 * 2**20  # of one document, by MongoDB's own limit

# What one row can do wrong before it reaches the server.
ROW_ERRORS = (
    OverflowError,  # beyond 64 bits
    TypeError,  # a null or another type where the field has none
    ValueError,  # text that is no Unicode, an unknown source or timeframe of a candle
    ArithmeticError,  # a price or quantity that is no decimal
    InvalidDocument,  # too large, or a body that is none
)

SHARED = (OpenCandle, Quarantined)  # one collection for all symbols
DATES = {"stored_ms": "stored_at", "computed_ms": "computed_at"}  # beside the time that ranges use
MARKS = ("_id", "symbol", "replaced")  # what a document has beside its record's fields


class Kinds(NamedTuple):
    """A field that tells the kinds of row in one collection apart, and its values; each kind lies in order."""

    field: str
    values: tuple[str, ...]


KINDS: dict[type[Record], Kinds] = {
    Trade: Kinds("kind", ("trade", "aggTrade")),
    Ticker: Kinds("kind", ("24hrTicker", "24hrMiniTicker")),
    Analytics: Kinds("timeframe", tuple(TIMEFRAMES)),
}

# The natural key within the collection, after the symbol.
_KEYS: dict[type[Record], Callable[[Any], str]] = {
    Trade: lambda row: f"{row.kind[:1]}{row.trade_id}",  # t of a trade, a of an aggregate
    Candle: lambda row: f"{row.open_time}",
    OpenCandle: lambda row: row.timeframe,
    Depth: lambda row: f"{row.slot}",
    Ticker: lambda row: f"{row.kind}_{row.slot}",
    MarkPrice: lambda row: f"markPriceUpdate_{row.slot}",
    BookTicker: lambda row: f"{row.slot}",
    Liquidation: lambda row: f"{row.time_ms}_{row.side}_{row.price}_{row.quantity}",
    Funding: lambda row: f"{row.funding_time}",
    Analytics: lambda row: f"{row.timeframe}_{row.time_ms}",
    Quarantined: lambda row: f"{row.incarnation}_{row.feed_seq}",
}

_EXACT = Context(prec=60, Emin=-99, Emax=99, traps=[Inexact, InvalidOperation, Overflow])


class Row(NamedTuple):
    """A record on its way into its collection."""

    number: int  # its place among those that were given
    id: str
    record: Record
    document: Document


class Documents(Generic[R]):
    """One record type's documents."""

    def __init__(self, record: type[R]) -> None:
        hints = get_type_hints(record)
        self.record = record
        self.names = {field: _name(record, field) for field in record.__struct_fields__}
        self.time = self.names[record.time_field]
        rest = (field for field in record.key if field != record.time_field)
        self.order = tuple(self.names[field] for field in (record.time_field, *rest))
        self._key = _KEYS[record]
        self._outer = frozenset((*MARKS, *self.names.values()))
        self._types = [_types(hints[field]) for field in record.__struct_fields__]
        self._accepted: set[tuple[type, ...]] = set()
        fields = record.__struct_fields__
        encoded = self._conversions(hints, {Levels: _encode_levels}, DatetimeMS)
        self._encoded = [(fields[index], self.names[fields[index]], encode) for index, encode in encoded]
        self._decoded = self._conversions(hints, {Levels: _decode_levels, int: int, int | None: _int_or_none}, int)

    def _conversions(
        self, hints: dict[str, Any], convert: dict[object, Convert], dates: Convert
    ) -> list[tuple[int, Convert]]:
        by_field = {
            field: dates if self.is_date(field) else convert.get(hints[field])
            for field in self.record.__struct_fields__
        }
        return [(index, each) for index, each in enumerate(by_field.values()) if each is not None]

    def is_date(self, field: str) -> bool:
        """Whether the record's field is a BSON date."""
        return field == self.record.time_field or field in DATES

    def id_of(self, symbol: Symbol, record: R) -> str:
        """The document's `_id`."""
        return f"{symbol}_{self._key(record)}"

    def document(self, symbol: Symbol, record: R) -> Document:
        """The document of a record; raises one of ROW_ERRORS for what is no such record."""
        fields = msgspec.structs.asdict(record)
        self._check(fields.values())
        document: Document = {"_id": self.id_of(symbol, record), "symbol": symbol, **fields}
        for field, name, encode in self._encoded:
            document[name] = encode(document.pop(field))
        if self.record is Trade:
            document["side"] = record.side  # type: ignore[attr-defined]
            document["quote_quantity"] = _product(document["price"], document["quantity"])
        elif self.record in (Candle, Analytics) and document["timeframe"] not in TIMEFRAMES:
            raise ValueError(f"{document['timeframe']!r} is no timeframe; there are {', '.join(TIMEFRAMES)}")
        if self.record is Analytics:
            _require_category(symbol, document["category"])
            return expanded(document)
        return document

    def row(self, symbol: Symbol, number: int, record: R) -> Row:
        """The record ready to be sent; raises one of ROW_ERRORS."""
        document = self.document(symbol, record)
        return Row(number, document["_id"], record, document)

    def record_of(self, document: Document) -> R:
        """The record of a document; raises KeyError where one of its fields is missing."""
        if self.record is Analytics:
            document = {**document, "body": collapsed(document, self._outer)}
        values = [document[name] for name in self.names.values()]
        for index, decode in self._decoded:
            values[index] = decode(values[index])
        return self.record(*values)

    def _check(self, values: Iterable[Any]) -> None:
        """Raise TypeError unless every value has its field's type; BSON itself would take anything."""
        types = tuple(map(type, values))
        if types in self._accepted:
            return
        for field, found, wanted in zip(self.names, types, self._types, strict=True):
            if not issubclass(found, wanted):
                raise TypeError(f"{field} cannot be {found.__name__}")
        self._accepted.add(types)


def require_encodable(document: Document) -> None:
    """Raise one of ROW_ERRORS for a document that cannot be sent.

    The driver encodes a bulk as a whole, at a third of the cost, and does not say which of its documents it refused.
    """
    size = len(bson.encode(document, codec_options=CODEC))
    if size > MAX_BYTES:
        raise InvalidDocument(f"{size} bytes are more than the {MAX_BYTES} that a document may have")


def collection_of(series: Series) -> str:
    """The collection that holds those rows."""
    return series.record.dataset if series.record in SHARED else series.dataset_id


def _name(record: type[Record], field: str) -> str:
    return DATES.get(field) or ("timestamp" if field == record.time_field else field)


def _require_category(symbol: Symbol, category: str) -> None:
    known = [series.category for series in documents_of(symbol)]
    if category not in known:
        raise ValueError(f"{category!r} is no category of {symbol}; there are {', '.join(map(str, known))}")


def _types(hint: object) -> tuple[type, ...]:
    if hint == Levels:
        return (tuple,)
    return tuple(getattr(hint, "__args__", (hint,)))


def _encode_levels(levels: Levels) -> list[dict[str, str]]:
    return [{"price": price, "quantity": quantity} for price, quantity in levels]


def _decode_levels(levels: list[dict[str, str]]) -> Levels:
    return tuple((level["price"], level["quantity"]) for level in levels)


def _int_or_none(value: int | None) -> int | None:
    return None if value is None else int(value)  # the decoder's Int64 is a subclass


def _product(price: str, quantity: str) -> str:
    return format(_EXACT.multiply(Decimal(price), Decimal(quantity)), "f")


DOCUMENTS: dict[type[Record], Documents[Any]] = {record: Documents(record) for record in MARKET_RECORDS}
