from __future__ import annotations

import io
import json
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from data_manager.system.metrics import Metrics
from data_manager.system.telemetry import channel
from data_manager.system.telemetry.channel import BETWEEN_WARNINGS_S, QUEUE_MAX, Channel, Speaker
from data_manager.system.telemetry.target import Target
from tests.log_capture import logs_to
from tests.system.telemetry.exporting import ACTOR, dropped, gauge

TARGET = Target("http://collector:4317", "grpc", {})
pure = settings(derandomize=True, deadline=None, max_examples=40)


class Result(Enum):
    SUCCESS = 0
    FAILURE = 1


class HandSetClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now_us(self) -> int:
        return 0

    def monotonic(self) -> float:
        return self.seconds


def events(out: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in out.getvalue().splitlines()]


def test_a_failing_collector_is_told_once_a_minute_however_often_it_fails() -> None:
    clock, out = HandSetClock(), io.StringIO()
    with logs_to(out):
        speaker = Speaker(TARGET, clock, aloud=True)
        traces, logs = (Channel(signal, ACTOR, Metrics(), speaker) for signal in ("traces", "logs"))
        for _ in range(int(BETWEEN_WARNINGS_S) * 2 + 1):
            traces.carry(1, lambda: Result.FAILURE)
            logs.carry(1, lambda: Result.FAILURE)
            clock.seconds += 1
        assert events(out) == ["telemetry_not_received"] * 3
        traces.carry(1, lambda: Result.SUCCESS)
        assert len(events(out)) == 3  # logs still fail
        logs.carry(1, lambda: Result.SUCCESS)
        logs.carry(1, lambda: Result.SUCCESS)
    assert events(out)[3:] == ["telemetry_received"]


def test_all_processes_but_one_are_silent() -> None:
    out, metrics = io.StringIO(), Metrics()
    with logs_to(out):
        quiet = Channel("traces", ACTOR, metrics, Speaker(TARGET, HandSetClock(), aloud=False))
        quiet.carry(3, lambda: Result.FAILURE)
        assert (gauge(metrics, "traces"), dropped(metrics, "traces")) == (0, 3)
        quiet.carry(3, lambda: Result.SUCCESS)
        assert (gauge(metrics, "traces"), dropped(metrics, "traces")) == (1, 3)
    assert events(out) == []


def test_an_exporter_that_raises_loses_its_items_and_nothing_else() -> None:
    out, metrics = io.StringIO(), Metrics()

    def broken() -> Result:
        raise RuntimeError("a fault of its own")

    with logs_to(out):
        one = Channel("metrics", ACTOR, metrics, Speaker(TARGET, HandSetClock(), aloud=True))
        assert not one.carry(5, broken)
    assert dropped(metrics, "metrics") == 5
    assert json.loads(out.getvalue())["cause"] == "RuntimeError: a fault of its own"


def test_an_exporters_own_words_are_the_cause_and_no_line_of_the_log() -> None:
    out = io.StringIO()

    def failing() -> Result:
        channel.logging.getLogger("opentelemetry.exporter.somewhere").error("Failed to export: %s", "refused")
        return Result.FAILURE

    with logs_to(out):
        channel.complaints.listen()
        Channel("traces", ACTOR, Metrics(), Speaker(TARGET, HandSetClock(), aloud=True)).carry(1, failing)
    [line] = map(json.loads, out.getvalue().splitlines())
    assert line["cause"] == "Failed to export: refused"


@pure
@given(st.lists(st.tuples(st.booleans(), st.integers(1, QUEUE_MAX)), max_size=20))
def test_no_more_wait_than_may_and_each_refused_one_is_counted(steps: list[tuple[bool, int]]) -> None:
    metrics = Metrics()
    one = Channel("traces", ACTOR, metrics, Speaker(TARGET, HandSetClock(), aloud=False))
    waiting = refused = 0
    for offers, number in steps:
        if offers:
            admitted = sum(one.admit() for _ in range(number))
            waiting, refused = waiting + admitted, refused + number - admitted
        else:
            taken = min(number, waiting)
            one.took(taken)
            waiting -= taken
        assert waiting <= QUEUE_MAX
    assert dropped(metrics, "traces") == refused
