"""`make bench`: the figures of this machine beside the design's targets.

Exit code 0 when it ran; with BENCH_STRICT=1 it is 1 below a target. BENCH=quick takes under a minute.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import measure
from tests.bench.scenarios import FULL, QUICK, SCENARIOS
from tests.bench.table import Figure, render, score, to_json

RESULTS = Path("bench-results.json")


def main() -> int:
    """Run the scenarios, print the table, write RESULTS; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=f"of {', '.join(SCENARIOS)}; all without a name")
    names: list[str] = parser.parse_args().scenarios or list(SCENARIOS)
    if unknown := set(names) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    machine, versions = measure.machine(), measure.versions()
    plan = QUICK if os.environ.get("BENCH") == "quick" else FULL
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in names:
            print(f"{name} ...", file=sys.stderr, flush=True)
            figures += SCENARIOS[name](plan, Path(folder) / name)
    print(", ".join(machine.values()))
    print(", ".join(f"{name} {number}" for name, number in versions.items()), end="\n\n")
    RESULTS.write_text(to_json(figures, machine=machine, versions=versions))
    print(render(figures))
    met, targets = score(figures)
    return 1 if os.environ.get("BENCH_STRICT") == "1" and met < targets else 0


if __name__ == "__main__":
    sys.exit(main())
