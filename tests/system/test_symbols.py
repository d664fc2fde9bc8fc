"""The symbols as one actor knows them."""

from __future__ import annotations

from data_manager.system.symbols import Symbols


def test_those_that_asked_are_told_of_every_change_and_of_nothing_else() -> None:
    symbols, told = Symbols(("BTCUSDT", "ETHUSDT")), []
    symbols.on_change(lambda: told.append(symbols.now))
    symbols.on_change(lambda: told.append(tuple(sorted(symbols.names))))
    symbols.become(["BTCUSDT", "ETHUSDT"])
    assert told == []
    symbols.become(["ETHUSDT", "BTCUSDT"])  # their order is theirs, too
    symbols.become(["XRPUSDT"])
    assert told == [("ETHUSDT", "BTCUSDT"), ("BTCUSDT", "ETHUSDT"), ("XRPUSDT",), ("XRPUSDT",)]


def test_they_can_be_none() -> None:
    symbols = Symbols(())
    assert symbols.now == ()
    assert "BTCUSDT" not in symbols.names
