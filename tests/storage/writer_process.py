"""A process that writes batches of trades until it is killed; arguments: FOLDER SIZE FIRST.

Prints the number of each batch once it is committed. Batch n holds SIZE trades from n * SIZE on,
each of them twice.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from data_manager.storage.sqlite import SqliteMarketStore
from data_manager.system.clock import SystemClock
from tests.storage.examples import BTC, batch, received, trade


def main() -> None:
    folder, size, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    store = SqliteMarketStore(folder, clock=SystemClock())
    for number in count(first):
        trades = [trade(number * size + n, market_seq=number) for n in range(size)]
        positions = [each.feed_seq for each in trades]
        store.write(BTC, received(*trades, *trades, batches=[batch(number, *positions)]))
        print(number, flush=True)


if __name__ == "__main__":
    main()
