"""The alerts on what a real service's `/metrics` told while its feed failed twice and a symbol was parked."""

from __future__ import annotations

from pathlib import Path

from tests.conf.promtool import check, filled_in, rules
from tests.fixtures.scrapes import RECORDED, notation, recorded, series_of

EVERY = "10s"  # between two scrapes

PARKED = "DataManagerActorsParked"
SILENT = "DataManagerFeedSilent"
BURNS = "DataManagerCompletenessBurnsFast"


def test_nothing_is_told_before_the_first_fault(tmp_path: Path) -> None:
    check(tmp_path, recorded(), {"30s": [], "90s": []}, interval=EVERY)


def test_a_symbol_whose_process_dies_again_and_again_is_one_alert_until_it_works(tmp_path: Path) -> None:
    check(tmp_path, recorded(), {"2m": [PARKED], "3m": [PARKED], "4m": [PARKED], "6m20s": []}, interval=EVERY)


def test_a_silent_feed_of_three_symbols_is_one_alert(tmp_path: Path) -> None:
    check(tmp_path, recorded(), {"5m20s": [PARKED, SILENT], "6m": []}, interval=EVERY)


def test_what_the_silence_has_left_out_is_told_when_the_audit_has_found_it(tmp_path: Path) -> None:
    check(tmp_path, recorded(), {"7m": [], "8m20s": [BURNS]}, interval=EVERY)


def test_an_alert_names_the_actors_and_the_next_command(tmp_path: Path) -> None:
    alert = filled_in(rules("alert")[PARKED], "1", "ingest/ETHUSDT ")
    told = [{"eval_time": "3m", "alertname": PARKED, "exp_alerts": [alert]}]
    check(tmp_path, recorded(), {}, interval=EVERY, told=told)


def test_the_recording_is_of_a_tree_of_nine_actors() -> None:
    up = [name for name in recorded() if name.startswith("data_manager_actor_up{")]
    assert len(up) == 9
    assert RECORDED.stat().st_size < 100_000


def test_scrapes_become_series() -> None:
    scrapes = [f'# TYPE a counter\na_total{{b="c"}} {value}\n# TYPE d gauge\nd 1\n' for value in (1, 2, 2, 2)]
    assert series_of([*scrapes, ""], ["a_total"]) == {'a_total{b="c"}': "1 2x2 _"}


def test_what_repeats_stands_once() -> None:
    assert notation(["_", "_", "5", "5", "5", "6"]) == "_x2 5x2 6"
