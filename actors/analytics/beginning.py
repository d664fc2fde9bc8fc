"""Whether the history that analytics looks back on has been fetched, as far as it will be."""

from __future__ import annotations

from collections.abc import Iterable

from data_manager.actors.backfill.conf import exchange_conf
from data_manager.actors.backfill.history import bootstrap_id
from data_manager.actors.backfill.jobs import LIVE
from data_manager.actors.backfill.plan import bootstrap
from data_manager.storage.protocols import Catalog
from data_manager.storage.records import Symbol
from data_manager.system.settings import Settings


class Beginning:
    """The jobs that fetch the first history, by their ids; none where nobody fetches any."""

    def __init__(self, job_ids: Iterable[str]) -> None:
        self._left = list(job_ids)

    def is_over(self, catalog: Catalog) -> bool:
        """Whether each has ended, well or not; asks for no more than it takes to know, and never again for one."""
        while self._left:
            job = catalog.job(self._left[-1])
            if job is None or job.status in LIVE:
                return False
            self._left.pop()
        return True


def beginning_of(settings: Settings, symbols: Iterable[str]) -> Beginning:
    """Of these symbols, where the settings have their history fetched at all."""
    if not (settings.enable_backfiller and settings.history_bootstrap):
        return Beginning(())
    begun = [Symbol(symbol) for symbol in symbols]
    # an id is made of symbol and timeframe, whenever the job is
    return Beginning(bootstrap_id(work) for work in bootstrap(begun, exchange_conf().bootstrap, 0))
