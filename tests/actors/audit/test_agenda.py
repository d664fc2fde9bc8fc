from __future__ import annotations

import pytest

from data_manager.actors.audit import agenda
from data_manager.actors.audit.agenda import Agenda, Look
from data_manager.actors.audit.grid import Range
from data_manager.storage.records import Symbol

BTC, ETH, SOL = (Symbol(name) for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT"))


def taken(todo: Agenda) -> list[Look]:
    return list(iter(todo.next, None))


def test_repaired_goes_before_suspected_goes_before_the_round() -> None:
    todo = Agenda()
    todo.round([BTC, ETH])
    todo.suspected(SOL)
    todo.repaired(ETH, "candles_ETHUSDT_1m", Range(0, 60))
    assert taken(todo) == [
        Look(ETH, "candles_ETHUSDT_1m", Range(0, 60)),
        Look(SOL),
        Look(BTC, of_round=True),
        Look(ETH, of_round=True),
    ]
    assert todo.round_is_over


def test_what_is_told_again_before_its_turn_is_done_once() -> None:
    todo = Agenda()
    for _ in range(3):
        todo.suspected(BTC)
    todo.repaired(BTC, "trades_BTCUSDT", Range(50, 60))
    todo.repaired(BTC, "trades_BTCUSDT", Range(10, 20))
    todo.repaired(BTC, "candles_BTCUSDT_1m", Range(1, 2))
    assert taken(todo) == [
        Look(BTC, "trades_BTCUSDT", Range(10, 60)),
        Look(BTC, "candles_BTCUSDT_1m", Range(1, 2)),
        Look(BTC),
    ]


def test_what_could_not_be_done_is_next_of_its_kind() -> None:
    todo = Agenda()
    todo.round([BTC, ETH])
    first = todo.next()
    assert first is not None
    assert todo.next() == Look(ETH, of_round=True)
    for look in (first, Look(SOL), Look(ETH, "trades_ETHUSDT", Range(1, 2))):
        todo.again(look)
    assert taken(todo) == [Look(ETH, "trades_ETHUSDT", Range(1, 2)), Look(SOL), first]


def test_a_new_round_takes_the_place_of_one_that_is_under_way() -> None:
    todo = Agenda()
    todo.round([BTC, ETH])
    todo.next()
    todo.round([BTC, SOL])
    assert [look.symbol for look in taken(todo)] == [BTC, SOL]


def test_it_holds_no_more_than_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "MAX_REPAIRED", 2)
    monkeypatch.setattr(agenda, "MAX_SUSPECTED", 2)
    todo = Agenda()
    for number in range(9):
        todo.suspected(Symbol(f"S{number}"))
        todo.repaired(BTC, f"dataset_{number}", Range(0, 1))
    todo.repaired(BTC, "dataset_1", Range(5, 6))
    assert taken(todo) == [
        Look(BTC, "dataset_0", Range(0, 1)),
        Look(BTC, "dataset_1", Range(0, 6)),
        Look(Symbol("S0")),
        Look(Symbol("S1")),
    ]
