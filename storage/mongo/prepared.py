"""Collections as a writer needs them: with their indexes, and with the state of the symbol, before the first row."""

from __future__ import annotations

from pymongo.collection import Collection
from pymongo.database import Database

from data_manager.storage.mongo.connection import Connection
from data_manager.storage.mongo.documents import SHARED, Document, collection_of
from data_manager.storage.mongo.indexes import LEDGER_INDEXES, Index, compare, ensure, existing, indexes_of
from data_manager.storage.mongo.ledger import LEDGER, STATES
from data_manager.storage.records import ALL_SYMBOLS, Series, Symbol, all_series_of
from data_manager.storage.retention import Retention


class PreparedCollections:
    """Looks after each collection once, at the first write to it; readers need none of this."""

    def __init__(self, connection: Connection, retention: Retention | None) -> None:
        self._connection = connection
        self._retention = retention
        self._ready: set[str] = set()
        self._symbols: set[Symbol] = set()

    @property
    def database(self) -> Database[Document]:
        """For what needs no preparation."""
        return self._connection.database

    @property
    def place(self) -> str:
        """The database as it may be shown."""
        return self._connection.place

    def rows(self, series: Series) -> Collection[Document]:
        """The collection that holds the series' rows."""
        name = collection_of(series)
        if name not in self._ready:
            ensure(self.database, name, self._indexes(series))
            self._ready.add(name)
        return self.database[name]

    def states(self, symbol: Symbol) -> Collection[Document]:
        """The collection of states, which has the symbol's; its ledger is ready too."""
        states = self.database[STATES]
        if symbol not in self._symbols:
            ensure(self.database, LEDGER, LEDGER_INDEXES)
            states.update_one({"_id": symbol}, {"$setOnInsert": {"folded_through": 0}}, upsert=True)
            self._symbols.add(symbol)
        return states

    def findings(self, symbols: list[Symbol]) -> list[str]:
        """What is wrong with the indexes of the collections that there are."""
        shared = [Series(ALL_SYMBOLS, record) for record in SHARED]
        every = [*shared, *(series for symbol in symbols for series in all_series_of(symbol))]
        wanted = {collection_of(series): self._indexes(series) for series in every} | {LEDGER: LEDGER_INDEXES}
        names = sorted(wanted.keys() & set(self.database.list_collection_names()))
        return [
            finding for name in names for finding in compare(name, wanted[name], existing(self.database[name])).findings
        ]

    def _indexes(self, series: Series) -> list[Index]:
        return indexes_of(series.record, self._retention.of(series) if self._retention else None)
