"""Keeps aiohttp out of processes that only talk to NATS: nats-py imports it, for websockets, at 9 MiB each.

`hide_aiohttp()` must run before anything imports nats, so the package's `__init__` calls it. A process that
has aiohttp anyway (http, backfill) keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

_IMPORTER = "nats.aio.transport"  # `try: import aiohttp` stands there, and nowhere else in nats-py
_HIDDEN = "aiohttp"


def hide_aiohttp() -> None:
    """Make nats-py find no aiohttp unless it is loaded already; harmless when repeated."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """Finds the one module that imports aiohttp."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _IMPORTER or _HIDDEN in sys.modules:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


class _Loader(SourceFileLoader):
    """Runs the module while `import aiohttp` fails."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[_HIDDEN] = None  # type: ignore[assignment]  # what makes an import fail
        try:
            super().exec_module(module)
        finally:
            del sys.modules[_HIDDEN]
