"""Messages as text: what is sealed is opened as it was, and what no version knows is left alone."""

from __future__ import annotations

import msgspec
import pytest

from data_manager.actors.fleet.letters import KINDS, opened, sealed
from data_manager.system.messages import (
    AuditRequested,
    DetectRequested,
    Disturbed,
    GapFound,
    JobRequested,
    Message,
    RangeRepaired,
    Suspected,
)

MESSAGES: list[Message] = [
    AuditRequested(),
    Disturbed("币安USDT"),
    GapFound("BTCUSDT"),
    JobRequested("1"),
    RangeRepaired("BTCUSDT", "candles_BTCUSDT_1m", 1, 2),
    Suspected("ingest/BTCUSDT", 3, "BTCUSDT", "depth_chain", 'pu "5" is not 4', 1, None),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_sealed_is_opened_as_it_was(message: Message) -> None:
    text = sealed(message)
    assert text is not None
    assert opened(text) == message


def test_every_kind_is_tried() -> None:
    assert {type(message).__name__ for message in MESSAGES} == set(KINDS)


def test_what_concerns_this_process_alone_is_not_sealed() -> None:
    assert sealed(DetectRequested("1", "BTCUSDT", "1h", "mad")) is None


def test_what_only_a_later_version_knows_is_no_message() -> None:
    assert opened('["Unheard",{"of":1}]') is None


@pytest.mark.parametrize("text", ["", "{}", '["GapFound",{}]', '["GapFound",5]', '["GapFound"]'])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        opened(text)
