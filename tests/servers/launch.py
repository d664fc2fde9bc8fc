"""`data-manager run` with some actor classes swapped (TEST_ACTORS, JSON: actor name -> class)."""

from __future__ import annotations

import json
import os
import sys

import msgspec

from data_manager.system.commands.options import load_settings
from data_manager.system.lifecycle import Service, serve
from data_manager.system.logs import configure
from data_manager.system.settings import Settings
from data_manager.system.strategy import ChildSpec
from data_manager.system.tree import specs_of


def main() -> int:
    swapped: dict[str, str] = json.loads(os.environ["TEST_ACTORS"])

    def specs(settings: Settings, symbols: tuple[str, ...]) -> tuple[ChildSpec, ...]:
        return tuple(
            msgspec.structs.replace(spec, actor=swapped.get(spec.name, spec.actor))
            for spec in specs_of(settings, symbols)
        )

    loaded = load_settings(None, None)
    configure("main", loaded.settings.log_level)
    return serve(Service(loaded.settings, specs))


if __name__ == "__main__":
    sys.exit(main())
