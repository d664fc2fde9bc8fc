"""Whether what is installed is what the project was tested with."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from data_manager.system.commands.checks.check import Check, ok, skipped, warn

DISTRIBUTION = "petrosa-data-manager"
PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^;\s]+)(?:;\s*sys_platform == \"(?P<platform>\w+)\")?")


def packages() -> Check:
    """Whether what is installed is what the project was tested with."""
    try:
        wanted = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return skipped("packages", f"{DISTRIBUTION} is not installed as a package, so nothing says what belongs to it.")
    other = list(differing(wanted))
    python = platform.python_version()
    if other:
        return warn("packages", f"Python {python}; {', '.join(other)}.", "pip install -r requirements.txt")
    return ok("packages", f"Python {python}; all {len(wanted)} packages have the versions that were tested.")


def differing(wanted: Iterable[str]) -> Iterator[str]:
    """Each package that has another version than the one pinned, or is missing."""
    for requirement in wanted:
        pinned = PINNED.match(requirement)
        if pinned is None or pinned["platform"] not in (None, "linux"):
            continue
        try:
            installed = version(pinned["name"])
        except PackageNotFoundError:
            yield f"{pinned['name']} is missing"
        else:
            if installed != pinned["version"]:
                yield f"{pinned['name']} is {installed}, tested with {pinned['version']}"
