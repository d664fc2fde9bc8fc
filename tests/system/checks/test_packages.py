from __future__ import annotations

from importlib.metadata import requires, version

from data_manager.system.commands.checks.check import Verdict
from data_manager.system.commands.checks.packages import DISTRIBUTION, differing, packages


def test_what_is_installed_is_held_against_what_the_package_itself_asks_for():
    as_pinned = not list(differing(requires(DISTRIBUTION) or []))
    assert (packages().verdict is Verdict.OK) == as_pinned


def test_another_version_and_a_missing_package_are_named():
    good = f"msgspec=={version('msgspec')}"
    assert list(
        differing([good, "orjson==0.0.1", "no-such-package==1", "tool>=3", 'win==1; sys_platform == "win32"'])
    ) == [
        f"orjson is {version('orjson')}, tested with 0.0.1",
        "no-such-package is missing",
    ]
    assert list(differing([f'msgspec=={version("msgspec")}; sys_platform == "linux"'])) == []
