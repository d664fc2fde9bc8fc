"""The logs of the test's own process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from data_manager.system.logs import configure


@contextmanager
def logs_to(stream: TextIO, level: str = "INFO") -> Iterator[None]:
    """JSON lines on `stream`; afterwards the root logger is the one it was."""
    with logs_kept():
        configure("tester", level, stream)
        yield


@contextmanager
def logs_kept() -> Iterator[None]:
    """For what configures the logs of a process of its own, and runs in this one: afterwards all is as it was."""
    root, manager = logging.root, logging.Logger.manager
    try:
        yield
    finally:
        for logger in manager.loggerDict.values():
            if isinstance(logger, logging.Logger) and logger.parent is logging.root:
                logger.parent = root
        logging.root = logging.Logger.root = manager.root = root
        root.setLevel(root.level)  # makes loggers forget what the other root let through
