"""Getting between a MongoDB store and its server, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from data_manager.storage.mongo import store as store_module
from data_manager.storage.mongo.connection import Connection

WRITES = {"insert_one", "insert_many", "bulk_write", "update_one", "delete_many", "create_indexes", "command"}
CALLS = WRITES | {"find", "find_one", "count_documents", "list_indexes"}

Method = Callable[..., Any]
Wrap = Callable[[str, Method], Method]  # the name of a call and what makes it -> what is made instead


class Proxy:
    """A database or collection whose calls are wrapped."""

    def __init__(self, target: Any, wrap: Wrap) -> None:
        self._target, self._wrap = target, wrap

    def __getitem__(self, name: str) -> Proxy:
        return Proxy(self._target[name], self._wrap)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return self._wrap(name, attribute) if name in CALLS else attribute


def wrap_calls(monkeypatch: pytest.MonkeyPatch, wrap: Wrap) -> None:
    """Every store that is opened from now on makes its calls so."""

    class WrappedConnection(Connection):
        @property
        def database(self) -> Database[dict[str, Any]]:
            return Proxy(super().database, wrap)  # type: ignore[return-value]

        def collection(self, name: str) -> Any:
            return self.database[name]

    monkeypatch.setattr(store_module, "Connection", WrappedConnection)
