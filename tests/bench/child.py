"""A helper process of the benchmark: says `ready`, waits for `go`, and ends with one line of JSON."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from types import TracebackType
from typing import Any

from tests.servers.service import ROOT

READY_S = 60.0  # building half a million messages on a busy machine


class Child:
    """`with Child("publisher", url, 1000) as child: child.go(); child.result(30)`; killed at the block's end.

    `module` is one of this package; its `main` must call `ready` and `report` below.
    """

    def __init__(self, module: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._name = module

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def __enter__(self) -> Child:
        try:
            assert self._line(READY_S) == "ready", f"the {self._name} did not get ready"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def go(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def result(self, timeout: float) -> dict[str, Any]:
        """What it reports at its end."""
        result: dict[str, Any] = json.loads(self._line(timeout))
        return result

    def _line(self, timeout: float) -> str:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], timeout)
        assert readable, f"the {self._name} said nothing for {timeout:g} s"
        line: str = self._process.stdout.readline()
        assert line, f"the {self._name} ended with exit code {self._process.wait(5)}"
        return line.strip()

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


def ready() -> None:
    """In the child: say so, and wait for `go`."""
    print("ready", flush=True)
    sys.stdin.readline()


def report(**figures: float) -> None:
    """In the child: the last line."""
    print(json.dumps(figures), flush=True)
