"""Garbage, in the hands of those who get it: the router, and the decoder of the symbol that it names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.actors.ingest.events import Decoder
from data_manager.actors.ingest.quarantine import Quarantine
from data_manager.actors.routing import Refused, Routed, route
from data_manager.storage.records import Symbol
from data_manager.system.commands.disorder.garbage import KINDS, garbage, trade
from data_manager.system.frames import Frame
from data_manager.system.settings import Settings

SYMBOLS = ("BTCUSDT", "ETHUSDT")


def quarantined(piece: Routed) -> bool:
    """Whether the symbol's ingest actor cannot use it."""
    decoded = Decoder(Symbol(piece.symbol), Settings()).decode(Frame(1, 1_700_000_000_000_000, piece.raw), 1, 1)
    return isinstance(decoded.outcome, Quarantine)


@given(st.integers(0, 2**32), st.integers(0, 300))
def test_every_message_is_one_event_that_ends_in_quarantine(seed: int, messages: int) -> None:
    sent = garbage(seed, messages, SYMBOLS)
    assert len(sent) == messages
    assert sent == garbage(seed, messages, SYMBOLS)
    for message in sent:
        (piece,) = route(message, SYMBOLS)
        if isinstance(piece, Routed):
            assert piece.raw == message
            assert quarantined(piece)
        else:
            assert isinstance(piece, Refused)


@pytest.mark.parametrize("where", [Routed, Refused])
def test_both_who_quarantine_get_some_of_it(where: type) -> None:
    pieces = [route(message, SYMBOLS)[0] for message in garbage(1, 50, SYMBOLS)]
    assert any(isinstance(piece, where) for piece in pieces)


def test_only_what_is_wrong_with_a_message_makes_it_garbage() -> None:
    assert len(KINDS) == 4
    (piece,) = route(trade("BTCUSDT", price="100.5"), SYMBOLS)
    assert isinstance(piece, Routed)
    assert not quarantined(piece)
