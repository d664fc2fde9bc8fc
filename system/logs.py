"""Logs are events with fields: one JSON line per change of state, written by each process straight to stdout.

A line is at most MAX_LINE bytes and leaves in one write, so lines of several processes on one pipe never mix.
Records of libraries come out in the same form, with the name of their logger.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TextIO

import orjson

from data_manager.system.clock import iso
from data_manager.system.tracing import CURRENT

MAX_LINE = 4096  # bytes with the newline; POSIX keeps pipe writes of up to PIPE_BUF = 4096 bytes in one piece
CUT = "…"  # the end of a value that was cut to fit
SHORT = 16  # characters; no value is cut below this
HEAD = ("timestamp", "level", "event", "actor", "pid", "pod", "trace_id", "span_id")  # all else are an event's fields

Copy = Callable[[logging.LogRecord, Mapping[str, object]], None]

_CREDENTIALS = re.compile(r"(?<=://)(?:(?!://).)*@|^(?:(?!://)\S)*@", re.DOTALL)  # prefers too much to too little


def log(event: str, level: int = logging.INFO, **fields: object) -> None:
    """Log one event. Fields may be anything JSON has, or anything with a `str()`.

    The head of a line says who logs: a field called `actor`, `pid` or the like gets a trailing underscore.
    """
    logging.getLogger().log(level, event, extra={"fields": fields})


def redact_url(text: str) -> str:
    """The text, a URL or several with commas between, with `***` for whatever stands before an `@`."""
    return _CREDENTIALS.sub("***@", text)


def configure(actor: str, level: str, stream: TextIO | None = None, human: bool = False) -> None:
    """Send all logs of this process to `stream` (stdout by default) as JSON, or as plain text for people.

    May be called again, for one in a forked child. The root logger is replaced, not changed: Thespian's
    own, in its actors, forwards every record to a process that dies before them, and refuses other handlers.
    """
    _handler.target(actor, stream or sys.stdout, human)
    old, root = logging.root, logging.RootLogger(logging.NOTSET)
    root.addHandler(_handler)
    manager = logging.Logger.manager
    logging.root = logging.Logger.root = manager.root = root
    for logger in manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.parent is old:
            logger.parent = root
    root.setLevel(level)  # last, since it makes every logger forget what the old root let through


def copy_to(copy: Copy | None) -> None:
    """Hand every line of this process to `copy` too, after it is written; None: to nobody. It must not raise."""
    _handler.copy = copy


class _Handler(logging.Handler):
    """Writes each record as one line.

    There is one per process, so loggers that hang on a root from before a fork reach the actor's stream too.
    """

    copy: Copy | None = None

    def target(self, actor: str, stream: TextIO, human: bool) -> None:
        reconfigure = getattr(stream, "reconfigure", None)  # any text file has it, a StringIO has not
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")
        self._stream = stream
        self._write_as = human_line if human else json_line
        self._origin = {"actor": actor, "pid": os.getpid(), "pod": os.uname().nodename}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = line_of(record, self._origin)
            self._stream.write(self._write_as(line))
            self._stream.flush()
        except (OSError, ValueError, TypeError, KeyError):
            # a full disk, a reader that went away, a closed stream; a library whose arguments miss its format
            self.handleError(record)
        else:
            if self.copy is not None:
                self.copy(record, line)


_handler = _Handler()


def line_of(record: logging.LogRecord, origin: Mapping[str, object]) -> dict[str, object]:
    """When, how grave, what, who (`origin`), in which span, then the event's fields; its JSON fits MAX_LINE."""
    span = CURRENT.get()
    head = {
        "timestamp": iso(int(record.created * 1000)),
        "level": record.levelname,
        "event": record.getMessage(),
        **origin,
        **({} if span is None else {"trace_id": span.trace_id, "span_id": span.span_id}),
    }
    fields = {str(key): value for key, value in getattr(record, "fields", {}).items()}
    if record.name != "root":
        fields["logger"] = record.name
    if record.exc_info and record.exc_info[1] is not None:
        fields["exception"] = "".join(traceback.format_exception(record.exc_info[1]))
    return _fit(head, {f"{key}_" if key in head else key: value for key, value in fields.items()})


def json_line(line: Mapping[str, object]) -> str:
    """One JSON object and a newline."""
    return _dumps(line).decode() + "\n"


def human_line(line: Mapping[str, object]) -> str:
    """`12:34:56 INFO ingest/BTCUSDT gap_closed rows=12` for the demo's terminal; UTC."""
    fields = "".join(f" {key}={_text(value)}" for key, value in line.items() if key not in HEAD)
    return f"{str(line['timestamp'])[11:19]} {line['level']} {line['actor']} {line['event']}{fields}\n"


def _fit(head: dict[str, object], fields: dict[str, object]) -> dict[str, object]:
    """Cut the longest values, then drop the last fields, until the line fits."""
    while len(_dumps(head | fields)) >= MAX_LINE:
        cuttable = {"event": head["event"], **fields}
        longest = max(cuttable, key=lambda key: len(_dumps(cuttable[key])))
        text = _text(cuttable[longest]).removesuffix(CUT)
        if len(text) > SHORT:
            (head if longest == "event" else fields)[longest] = text[: len(text) // 2] + CUT
        else:
            fields.popitem()
    return head | fields


def _text(value: object) -> str:
    """A string as it is unless it would break the line; anything else as JSON."""
    return value if isinstance(value, str) and value.isprintable() else _dumps(value).decode()


def _dumps(value: object) -> bytes:
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # an integer beyond 64 bits, half a surrogate pair: say it in ASCII, and only it
        if not isinstance(value, Mapping):
            return orjson.dumps(ascii(value))
        items = {ascii(key).strip("'"): orjson.Fragment(_dumps(item)) for key, item in value.items()}
        return orjson.dumps(items)
