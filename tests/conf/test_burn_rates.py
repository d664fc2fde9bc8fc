"""The objectives' alerts over days, on ratios of the test's making: what burns the budget at which rate."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.conf.promtool import check, groups

FRESHNESS, COMPLETENESS = "freshness", "completeness"
FAST = {FRESHNESS: "DataManagerFreshnessBurnsFast", COMPLETENESS: "DataManagerCompletenessBurnsFast"}
SLOW = {FRESHNESS: "DataManagerFreshnessBurns", COMPLETENESS: "DataManagerCompletenessBurns"}
BUDGET = {FRESHNESS: 0.005, COMPLETENESS: 0.001}
STEP = "5m"
HOUR = 12  # steps
DAY = 24 * HOUR


@pytest.fixture
def burning(tmp_path: Path) -> Path:
    """The rules of objectives and burn rates; the ratios themselves are the tests'."""
    kept = [group for group in groups() if group["name"] in ("data_manager_objectives", "data_manager_burn_rates")]
    assert len(kept) == 2
    for group in kept:
        group["rules"] = [rule for rule in group["rules"] if not rule.get("record", "").endswith(":ratio")]
    path = tmp_path / "burning.yaml"
    path.write_text(yaml.safe_dump({"groups": kept}))
    return path


def ratio(objective: str, *phases: tuple[float, int]) -> dict[str, str]:
    """A share that burns the budget at these rates, each for so many steps."""
    values = (f"{1 - burn * BUDGET[objective]:.6f}x{steps - 1}" for burn, steps in phases)
    return {f"data_manager:{objective}:ratio": " ".join(values)}


@pytest.mark.parametrize("objective", [FRESHNESS, COMPLETENESS])
class TestBurn:
    def test_what_spends_two_percent_of_the_budget_in_an_hour_is_a_page(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, 6 * HOUR), (15.5, 2 * HOUR))
        firing = {"6h20m": [], "7h15m": [FAST[objective]]}
        check(burning.parent, inputs, firing, interval=STEP, file=burning)

    def test_a_page_ends_soon_after_its_cause(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, 3 * DAY), (20, 2 * HOUR), (0, HOUR))
        check(burning.parent, inputs, {"74h": [FAST[objective]], "74h45m": []}, interval=STEP, file=burning)

    def test_six_times_the_rate_is_a_page_after_hours(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, 3 * DAY), (6.5, 7 * HOUR))
        firing = {"74h": [], "78h45m": [FAST[objective]]}
        check(burning.parent, inputs, firing, interval=STEP, file=burning)

    def test_three_times_the_rate_for_a_day_is_a_ticket(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, DAY), (3.3, 2 * DAY))
        firing = {"26h": [], "48h": [SLOW[objective]]}
        check(burning.parent, inputs, firing, interval=STEP, file=burning)

    def test_the_rate_that_just_spends_the_budget_is_a_ticket_after_days(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, 3 * DAY), (1.1, 4 * DAY))
        check(burning.parent, inputs, {"96h": [], "165h": [SLOW[objective]]}, interval=STEP, file=burning)

    def test_what_keeps_the_objective_is_nobodys_business(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0.9, 4 * DAY))
        check(burning.parent, inputs, {"30m": [], "24h": [], "95h": []}, interval=STEP, file=burning)

    def test_a_short_break_is_no_page(self, burning: Path, objective: str) -> None:
        inputs = ratio(objective, (0, DAY), (100, 1), (0, HOUR))
        check(burning.parent, inputs, {"24h5m": [], "24h30m": []}, interval=STEP, file=burning)
