"""F22: one quiet symbol is one incident, and so is a feed that is down."""

from __future__ import annotations

from data_manager.actors.audit.quiet import Listening
from data_manager.storage.protocols import Incident

AFTER, SAMPLES, STEP = 60.0, 3, 10.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Watching:
    """Looks at symbols of which some send one event between two looks."""

    def __init__(self, *symbols: str, known: tuple[Incident, ...] = ()) -> None:
        self.now = 1000.0
        self.received = dict.fromkeys(symbols or SYMBOLS, 0)
        self.listening = Listening(self.received, known, self.now)

    def looks(self, times: int, *alive: str) -> list[tuple[str, str]]:
        """So many looks; what is told after the last."""
        for _ in range(times):
            self.now += STEP
            for symbol in alive:
                self.received[symbol] += 1
            self.listening.look(self.received, self.now, AFTER, SAMPLES)
        return self.told()

    def told(self, *held_up: str) -> list[tuple[str, str]]:
        return [(each.kind, each.subject) for each in self.listening.troubles(AFTER, held_up)]


def test_while_all_send_nothing_is_told() -> None:
    assert Watching().looks(100, *SYMBOLS) == []


def test_one_that_is_silent_beyond_its_limit_is_quiet_while_the_others_live() -> None:
    watching = Watching()
    watching.looks(5, *SYMBOLS)
    assert watching.looks(8, "BTCUSDT", "ETHUSDT") == []  # the limit, and two of three looks
    assert watching.looks(1, "BTCUSDT", "ETHUSDT") == [("symbol_quiet", "SOLUSDT")]


def test_when_all_are_silent_the_feed_is_down_and_no_symbol_is_quiet() -> None:
    watching = Watching()
    watching.looks(5, *SYMBOLS)
    assert watching.looks(9) == [("feed_down", "feed")]


def test_it_ends_when_data_flows_again_for_some_looks() -> None:
    watching = Watching()
    watching.looks(20)
    assert watching.looks(2, *SYMBOLS) == [("feed_down", "feed")]
    assert watching.looks(1, *SYMBOLS) == []


def test_a_single_event_ends_no_silence() -> None:
    watching = Watching()
    watching.looks(20, "BTCUSDT", "ETHUSDT")
    watching.looks(1, *SYMBOLS)
    assert watching.looks(2, "BTCUSDT", "ETHUSDT") == [("symbol_quiet", "SOLUSDT")]


def test_a_single_symbol_is_quiet_for_itself() -> None:
    assert Watching("BTCUSDT").looks(20) == [("symbol_quiet", "BTCUSDT")]


def test_symbols_whose_own_ingest_is_down_are_told_already() -> None:
    watching = Watching()
    watching.looks(20, "BTCUSDT")
    assert watching.told("ETHUSDT") == [("symbol_quiet", "SOLUSDT")]
    watching.looks(20)
    assert watching.told(*SYMBOLS) == []


def test_what_was_quiet_before_a_restart_is_so_until_it_flows_again() -> None:
    for kind, subject in (("symbol_quiet", "ETHUSDT"), ("feed_down", "feed")):
        watching = Watching(known=(Incident("i", kind, subject, "quiet", 1), Incident("j", "actor_down", "x", "y", 1)))
        assert watching.told() == [(kind, subject)]
        watching.looks(1)  # knows by now what had arrived
        assert watching.looks(3, *SYMBOLS) == []


def test_a_symbol_of_which_nothing_is_known_is_left_as_it_is() -> None:
    watching = Watching()
    watching.received.pop("SOLUSDT")
    assert watching.looks(50, "BTCUSDT", "ETHUSDT") == []


def test_what_is_followed_no_more_is_not_quiet_and_what_comes_has_its_time() -> None:
    watching = Watching()
    watching.looks(5, *SYMBOLS)
    assert watching.looks(9, "BTCUSDT", "ETHUSDT") == [("symbol_quiet", "SOLUSDT")]
    watching.listening.follow(("BTCUSDT", "ETHUSDT", "XRPUSDT"), watching.now)
    assert watching.told() == []
    assert watching.looks(8, "BTCUSDT", "ETHUSDT") == []
    watching.received["XRPUSDT"] = 0
    assert watching.looks(9, "BTCUSDT", "ETHUSDT") == [("symbol_quiet", "XRPUSDT")]


def test_following_the_same_symbols_changes_no_verdict() -> None:
    watching = Watching()
    watching.looks(5, *SYMBOLS)
    told = watching.looks(9, "BTCUSDT", "ETHUSDT")
    watching.listening.follow(SYMBOLS, watching.now)
    assert watching.told() == told
