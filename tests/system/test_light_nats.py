"""nats-py without aiohttp, in fresh interpreters."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(script: str) -> None:
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


@pytest.mark.parametrize("first", ["data_manager.system.transport", "data_manager, nats"])
def test_the_nats_client_brings_no_aiohttp(first: str) -> None:
    run(f"import sys, {first}\nassert 'nats.aio.transport' in sys.modules\nassert 'aiohttp' not in sys.modules")


def test_aiohttp_can_be_imported_afterwards() -> None:
    run("import data_manager.system.transport, aiohttp\nassert aiohttp.ClientSession")


def test_a_process_that_has_aiohttp_keeps_it_for_nats_too() -> None:
    run(
        "import aiohttp, data_manager.system.transport, nats.aio.transport as t\n"
        "assert t.aiohttp is aiohttp\n"
        "assert t.TcpTransport"
    )


def test_hiding_twice_changes_nothing() -> None:
    run(
        "import sys, data_manager\n"
        "from data_manager.system.light_nats import hide_aiohttp\n"
        "before = list(sys.meta_path)\n"
        "hide_aiohttp()\n"
        "assert sys.meta_path == before"
    )
