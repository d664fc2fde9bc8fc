"""F27: what the host's clock does while the audit runs."""

from __future__ import annotations

import pytest

from data_manager.actors.audit.anchored import AnchoredClock
from data_manager.system.clock import now_ms

HOURS = 3600


class Host:
    """A host whose wall clock can be set."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.since_boot = 5000.0

    def now_us(self) -> int:
        return round(self.wall * 1_000_000)

    def monotonic(self) -> float:
        return self.since_boot

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds


def test_it_goes_with_the_hosts_clock_while_that_is_left_alone() -> None:
    host = Host()
    clock = AnchoredClock(host)
    host.wait(1234.5)
    assert now_ms(clock) == now_ms(host)
    assert clock.monotonic() == host.monotonic()
    assert clock.off_s() == 0


@pytest.mark.parametrize("by", [2 * HOURS, -2 * HOURS])
def test_it_does_not_follow_a_jump_and_tells_how_far_it_went(by: float) -> None:
    host = Host()
    clock = AnchoredClock(host)
    before = now_ms(clock)
    host.wall += by
    host.wait(10)
    assert now_ms(clock) == before + 10_000
    assert clock.off_s() == pytest.approx(by)


def test_it_follows_when_it_is_told_to() -> None:
    host = Host()
    clock = AnchoredClock(host)
    host.wall += HOURS
    clock.follow()
    host.wait(5)
    assert now_ms(clock) == now_ms(host)
