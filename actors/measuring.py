"""A store that counts what it is asked, how long the answers take, and in whose trace that was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from data_manager.storage.choice import MYSQL
from data_manager.system.clock import Clock
from data_manager.system.errors import DataManagerError
from data_manager.system.metrics import Metrics
from data_manager.system.tracing import OFF, Tracer

S = TypeVar("S")

WRITES = ("save_", "see_", "move_")  # how the catalog's names of what writes begin; after it comes what is written
UNCOUNTED = ("close", "free_bytes", "expires_itself")  # asks no database


class _Measured:
    def __init__(self, store: object, database: str, metrics: Metrics, clock: Clock, tracer: Tracer) -> None:
        self._store, self._database = store, database
        self._metrics, self._clock, self._tracer = metrics, clock, tracer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name in UNCOUNTED or not callable(found):
            return found
        asked = self._asking(name, found)
        setattr(self, name, asked)  # the next time it is found at once
        return asked

    def _asking(self, operation: str, method: Callable[..., Any]) -> Callable[..., Any]:
        labels = {"database": self._database, "operation": operation}
        name = f"{operation} {self._database}"
        attributes = {"db.system.name": self._database, "db.operation.name": operation}

        def ask(*args: Any, **kwargs: Any) -> Any:
            began = self._clock.monotonic()
            status = "error"
            try:
                with self._tracer.call(name, attributes):
                    answer = method(*args, **kwargs)
                status = "success"
                return answer
            except DataManagerError as error:
                self._failed(operation, type(error).__name__)
                raise
            finally:
                seconds = self._clock.monotonic() - began
                self._metrics.inc("data_manager_database_operations_total", 1, status=status, **labels)
                self._metrics.observe("data_manager_database_operation_duration_seconds", seconds, 1, **labels)

        return ask

    def _failed(self, operation: str, reason: str) -> None:
        begin = next((begin for begin in WRITES if operation.startswith(begin)), None)
        if self._database == MYSQL and begin is not None:
            collection = operation.removeprefix(begin)
            self._metrics.inc(
                "data_manager_mysql_write_failures_total", database=MYSQL, collection=collection, reason=reason
            )


def measured(store: S, database: str, metrics: Metrics, clock: Clock, tracer: Tracer = OFF) -> S:
    """The same store; `database` is the kind of it: sqlite, mongodb or mysql. Operations are the protocols' names."""
    return cast(S, _Measured(store, database, metrics, clock, tracer))
