"""One minute of a seed's faults on a demo: everything is got over, and every event is accounted for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.servers.command import PROGRAM, Command

SEED = "7"
# The demo as users have it: its own waits, and not the tests' tenth of them.
WAITS = {
    "heartbeat_s": "2",
    "restart_backoff_s": "0.2",
    "restart_backoff_cap_s": "30",
    "park_probe_s": "60",
    "ack_wait_s": "10",
    "store_timeout_s": "5",
}


def chaos(run: Command, minutes: str, seed: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "chaos", "run", "--seed", seed, "--minutes", minutes, "--json"],
        cwd=run.folder,
        env=run.environment,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def a_demo(folder: Path) -> Command:
    symbols = "BTCUSDT,ETHUSDT,BNBUSDT,ADAUSDT,SOLUSDT"
    return Command(folder, "demo", symbols=symbols, enable_backfiller="true", history_bootstrap="false", **WAITS)


def survived(run: Command, minutes: str, seed: str, timeout: float) -> None:
    """It ends with a good verdict, and the demo runs on and reconciles by itself."""
    done = chaos(run, minutes, seed, timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["problems"] == []
    assert all(fault["left_out"] or fault["recovered_s"] is not None for fault in report["faults"])
    verdict = report["verdict"]
    assert verdict["published"] == verdict["received"] > 0
    assert verdict["quarantined"] == verdict["garbage"] == sum(fault["messages"] for fault in report["faults"])
    assert run.end() == 0, run.stdout[-3000:]
    assert "The counts reconcile" in run.stdout


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_a_minute_of_faults_is_got_over_and_every_event_accounted_for(tmp_path: Path) -> None:
    with a_demo(tmp_path) as run:
        survived(run, "1", SEED, 350)


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_five_minutes_of_faults_are_got_over_whatever_the_seed(tmp_path: Path, seed: str) -> None:
    with a_demo(tmp_path) as run:
        survived(run, "5", seed, 800)
