"""What analytics costs: a cycle over five symbols from a store, the detectors, and the start of its process."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.actors.analytics.computing import SYMBOLS, Computing
from tests.bench.child import Child
from tests.bench.table import Figure

PATIENCE_S = 300.0


def analyse(folder: Path, books: int) -> list[Figure]:
    """One cycle over five symbols, each with so many books; in a process of its own, as the actor has one."""
    with closing(Computing(folder)) as computing:
        computing.fill()
        computing.books(*(5.0 * number for number in range(1, books + 1)))
    with Child("computer", folder, ",".join(SYMBOLS)) as child:
        child.go()
        took = child.result(PATIENCE_S)
    name = f"analytics: {took['documents']:.0f} documents of 5 symbols, reads included: CPU"
    return [
        Figure(name, took["cycle"], "s", 3, "lower"),
        Figure(
            "  nine detectors over the same bars, with the start of the models' process: CPU", took["detectors"], "s"
        ),
        Figure("  start of the process until it can be told something: CPU", took["start"], "s", 5, "lower"),
        Figure("  import of what computes, when there is something to compute: CPU", took["import_documents"], "s"),
        Figure("  memory at its peak", took["peak"], "MiB"),
    ]
