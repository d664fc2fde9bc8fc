"""How far copying some files is, by their bytes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Step(NamedTuple):
    """At `number` (from 1) of `files`, called `name`; `share` of all bytes is done. 0 comes before the first."""

    number: int
    files: int
    name: str
    share: float

    def __str__(self) -> str:
        return f"{self.number} of {self.files}: {self.name}" if self.number else f"{self.name} {self.files} files"


Tell = Callable[[Step], None]


class Course:
    """Tells where it is, of files with these sizes, in their order."""

    def __init__(self, sizes: Mapping[str, int], tell: Tell) -> None:
        self._sizes = sizes
        self._tell = tell
        self._total = max(1, sum(sizes.values()))

    def before(self, what: str) -> None:
        """Something that is done with all files before the first of them is copied."""
        self._tell(Step(0, len(self._sizes), what, 0.0))

    def at(self, name: str, part: float = 0.0) -> None:
        """That part of a file is copied, and all of those before it."""
        names = list(self._sizes)
        number = names.index(name)
        done = sum(self._sizes[each] for each in names[:number]) + part * self._sizes[name]
        self._tell(Step(number + 1, len(names), name, done / self._total))
