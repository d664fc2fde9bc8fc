"""What is told of symbols that the exchange does not trade: one incident, by a real worker and a simulated exchange."""

from __future__ import annotations

from pathlib import Path

from data_manager.actors.backfill.answers import ExchangeInfo, Listed
from data_manager.actors.backfill.delisting import EVERY_S, FIRST_S, NOT_TRADED, SHOWN, not_traded, troubles
from data_manager.actors.exchange.faults import ServerError
from data_manager.storage.protocols import Incident
from data_manager.system.messages import JobRequested
from tests.actors.backfill.working import BTC, Work, working

PAIRS = (BTC, "GONEUSDT")


def listed(symbol: str, status: str = "TRADING") -> Listed:
    return Listed(symbol, status, "PERPETUAL", 5)


def told(work: Work, *, open_only: bool = True) -> list[Incident]:
    return [each for each in work.catalog.incidents(open_only=open_only) if each.kind == NOT_TRADED]


async def pass_by(work: Work, seconds: float) -> None:
    """Let so much time go by, and wait for the look that is due then."""
    await work.until(lambda: work.worker.status().state == "running")
    asked = work.requests("exchangeInfo")
    work.clock.us += round(seconds * 1_000_000)
    work.worker.receive(JobRequested("none, but it looks what is due"))
    await work.until(lambda: work.requests("exchangeInfo") > asked)


def test_what_is_not_traded_is_unknown_or_has_another_status() -> None:
    info = ExchangeInfo((listed("A"), listed("B", "SETTLING")))
    assert not_traded(["A"], info) == {}
    assert not_traded(["A", "B", "C"], info) == {"B": "SETTLING", "C": "unknown to the exchange"}


def test_of_however_many_there_is_one_incident_that_names_the_first() -> None:
    assert troubles({}) == []
    (trouble,) = troubles({f"S{n}USDT": "BREAK" for n in range(SHOWN + 3)})
    assert trouble.detail.startswith("S0USDT (BREAK), S1USDT (BREAK)")
    assert trouble.detail.endswith(" and 3 more")


def test_a_symbol_that_the_exchange_does_not_have_is_one_incident_until_it_is_retired(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await pass_by(work, FIRST_S)
        await work.until(lambda: told(work))
        assert [each.detail for each in told(work)] == ["GONEUSDT (unknown to the exchange)"]
        await pass_by(work, EVERY_S)
        assert len(told(work, open_only=False)) == 1
        work.symbols.become((BTC,))
        assert len(told(work)) == 1  # until the next look
        await pass_by(work, FIRST_S)
        await work.until(lambda: not told(work))
        assert len(told(work, open_only=False)) == 1

    working(tmp_path, scenario, supported_pairs=PAIRS)


def test_while_all_are_traded_it_looks_once_a_day_and_tells_nothing(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        await pass_by(work, FIRST_S)
        await pass_by(work, EVERY_S)
        assert work.requests("exchangeInfo") == 2
        assert told(work, open_only=False) == []

    working(tmp_path, scenario)


def test_an_exchange_that_does_not_answer_is_asked_again_and_proves_nothing(tmp_path: Path) -> None:
    async def scenario(work: Work) -> None:
        work.exchange.faults.add(ServerError(route="/fapi/v1/exchangeInfo"))
        await pass_by(work, FIRST_S)
        await work.until(lambda: work.requests("exchangeInfo") > 1)
        assert told(work, open_only=False) == []

    working(tmp_path, scenario, supported_pairs=PAIRS)
