import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from io import StringIO
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings, strategies
from pydantic import SecretStr

from data_manager.system.logs import CUT, MAX_LINE, copy_to, human_line, json_line, line_of, log, redact_url
from data_manager.system.settings import Settings
from data_manager.system.trace_context import SpanId
from data_manager.system.tracing import CURRENT
from tests.log_capture import logs_to

pure = settings(derandomize=True, deadline=None)
ORIGIN = {"actor": "ingest/BTCUSDT", "pid": 7, "pod": "here"}
HEAD = ["timestamp", "level", "event", "actor", "pid", "pod"]


def record(event: object = "gap_closed", **fields: object) -> logging.LogRecord:
    made = logging.LogRecord("root", logging.INFO, "", 0, event, (), None)
    made.fields = fields
    return made


def written(event: object = "gap_closed", **fields: object) -> dict[str, object]:
    """The event as a reader of the JSON line gets it; the line is checked for its bounds."""
    text = json_line(line_of(record(event, **fields), ORIGIN))
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert len(text.encode()) <= MAX_LINE
    parsed = json.loads(text)
    assert isinstance(parsed, dict)
    return parsed


def run(script: str, *arguments: str) -> list[str]:
    """What a fresh process prints that runs this script."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def stream() -> Iterator[StringIO]:
    """Logs of this process."""
    out = StringIO()
    with logs_to(out):
        yield out


# -- the line -----------------------------------------------------------------------------------------------


def test_a_line_says_when_how_grave_what_and_who_before_its_fields():
    line = written(symbol="BTCUSDT", rows=12)
    assert list(line) == [*HEAD, "symbol", "rows"]
    assert line | ORIGIN == line
    assert (line["level"], line["event"], line["symbol"], line["rows"]) == (
        "INFO",
        "gap_closed",
        "BTCUSDT",
        12,
    )
    assert datetime.fromisoformat(str(line["timestamp"])).utcoffset() is not None


def test_a_field_with_a_name_of_the_head_is_kept_beside_it():
    line = written(pid=9, actor="child")
    assert (line["pid"], line["actor"], line["pid_"], line["actor_"]) == (7, ORIGIN["actor"], 9, "child")


def test_values_that_json_does_not_have_are_told_as_text():
    line = written(path=Path("/d"), problem=ValueError("bad"), raw=b"\xff", names={"a"}, big=2**70, half="\ud800")
    assert (line["path"], line["problem"], line["raw"], line["names"]) == ("/d", "bad", r"b'\xff'", "{'a'}")
    assert str(2**70) in str(line["big"])
    assert "ud800" in str(line["half"])


def test_secrets_are_stars_wherever_they_are():
    made = Settings(api_token=SecretStr("hunter2"), nats_url="nats://u:hunter2@h")
    line = written(token=SecretStr("hunter2"), settings=made, many=[made, {"deep": SecretStr("hunter2")}])
    assert "hunter2" not in json.dumps(line)
    assert "*****" in str(line["token"])


def test_a_long_field_is_cut_and_its_neighbours_are_not():
    line = written(before="x" * 100, raw="é" * 100_000, after="y" * 100)
    assert (line["before"], line["after"]) == ("x" * 100, "y" * 100)
    cut = str(line["raw"])
    assert cut.endswith(CUT)
    assert 500 < len(cut) < MAX_LINE
    assert set(cut) == {"é", CUT}


anything = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=8,
)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(strategies.text(), strategies.dictionaries(strategies.text(), anything, max_size=8))
def test_any_event_is_one_bounded_line_of_json_with_its_head(event: str, fields: dict[str, object]):
    made = logging.LogRecord("root", logging.INFO, "", 0, event, (), None)
    made.fields = fields
    text = json_line(line_of(made, ORIGIN))
    assert text.count("\n") == 1
    assert len(text.encode()) <= MAX_LINE
    assert set(json.loads(text)) >= set(HEAD)


@pure
@given(
    strategies.sampled_from(["x", "é", "\0", '"', "𝄞"]),
    strategies.lists(strategies.integers(0, 9_000), min_size=1, max_size=400),
)
def test_no_number_or_length_of_fields_breaks_the_bound(letter: str, lengths: list[int]):
    line = written(letter * 6_000, **{f"field_{i}": letter * length for i, length in enumerate(lengths)})
    assert line["actor"] == ORIGIN["actor"]
    assert len(str(line["event"])) > 10


def test_a_traceback_travels_in_the_line():
    try:
        raise KeyError("the cause")
    except KeyError:
        made = logging.LogRecord("asyncio", logging.ERROR, "", 0, "failed %s", ("twice",), sys.exc_info())
    line = json.loads(json_line(line_of(made, ORIGIN)))
    assert line["event"] == "failed twice"
    assert line["logger"] == "asyncio"
    assert line["exception"].startswith("Traceback")
    assert "the cause" in line["exception"]


def test_the_line_for_people_is_short_and_one_line():
    text = human_line(line_of(record(rows=12, symbol="BTCUSDT", note="two\nlines"), ORIGIN))
    assert text[2] == text[5] == ":"
    assert text[8:] == ' INFO ingest/BTCUSDT gap_closed rows=12 symbol=BTCUSDT note="two\\nlines"\n'


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nats://localhost:4222", "nats://localhost:4222"),
        ("nats://user:pass@host:4222", "nats://***@host:4222"),
        ("nats://token@host", "nats://***@host"),
        ("nats://u:p@a:1,tls://v:q@b:2", "nats://***@a:1,tls://***@b:2"),
        ("mysql://u:p@ss/w:rd@host/db", "mysql://***@host/db"),
        ("mongodb://u:white space@host", "mongodb://***@host"),
        ("user:pass@host:4222", "***@host:4222"),
        ("no server at nats://u:p@host", "no server at nats://***@host"),
        ("embedded", "embedded"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str):
    assert redact_url(url) == shown


# -- a process ----------------------------------------------------------------------------------------------


def test_log_writes_at_its_level_and_below_the_configured_one_nothing(stream: StringIO):
    log("first", symbol="BTCUSDT")
    log("second", level=logging.ERROR)
    log("unseen", level=logging.DEBUG)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"], first["symbol"], first["actor"]) == (
        "first",
        "INFO",
        "BTCUSDT",
        "tester",
    )
    assert (second["event"], second["level"], second["pid"]) == ("second", "ERROR", os.getpid())


def test_percent_signs_are_text(stream: StringIO):
    log("100 %s %d %")
    assert json.loads(stream.getvalue())["event"] == "100 %s %d %"


def test_a_library_whose_arguments_miss_its_format_harms_nobody():
    lines = run("""
        import logging, os, sys
        from data_manager.system.logs import configure, log
        configure("main", "INFO")
        sys.stderr = open(os.devnull, "w")  # where the standard library says so
        for template, arguments in (("%d", ("x",)), ("%s %s", ("x",)), ("%(name)s", ({"other": 1},))):
            logging.getLogger("library").warning(template, *arguments)
        log("after")
    """)
    assert [json.loads(line)["event"] for line in lines] == ["after"]


def test_loggers_made_before_and_after_write_the_same_lines():
    lines = run("""
        import logging
        early = logging.getLogger("early.module")
        early.info("dropped: nothing is configured")
        from data_manager.system.logs import configure
        configure("main", "INFO")
        early.info("a")
        logging.getLogger("late").info("b")
        logging.info("c")
        early.debug("dropped: too low")
    """)
    parsed = [json.loads(line) for line in lines]
    assert [(line["event"], line.get("logger")) for line in parsed] == [
        ("a", "early.module"),
        ("b", "late"),
        ("c", None),
    ]


def test_configuring_again_changes_level_name_and_form_and_doubles_no_line():
    lines = run("""
        import logging
        from data_manager.system.logs import configure, log
        logger = logging.getLogger("library")
        configure("main", "ERROR")
        logger.info("dropped")
        configure("other", "DEBUG", human=True)
        logger.debug("seen")
        log("done")
    """)
    assert [line[9:] for line in lines] == ["DEBUG other seen logger=library", "INFO other done"]


def test_text_of_any_script_is_written_where_the_locale_is_plain_ascii():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from data_manager.system.logs import *; configure('main', 'INFO'); log('x', symbol='币安')",
        ],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["symbol"] == "币安"


def test_a_reader_that_went_away_does_not_stop_the_process():
    script = """
        import os, sys
        from data_manager.system.logs import configure, log
        reader, writer = os.pipe()
        os.close(reader)
        configure("main", "INFO", os.fdopen(writer, "w", closefd=False))
        sys.stderr = open(os.devnull, "w")
        for _ in range(3):
            log("lost")
        print("alive", flush=True)
        os._exit(0)
    """
    assert run(script) == ["alive"]


def test_lines_of_many_processes_on_one_pipe_never_mix():
    lines = run(
        """
        import os
        from data_manager.system.logs import configure, log
        children = []
        for i in range(4):
            pid = os.fork()
            if pid == 0:
                configure(f"child/{i}", "INFO")
                for n in range(150):
                    log("line", n=n, text="x" * 5_000)
                os._exit(0)
            children.append(pid)
        for pid in children:
            assert os.waitpid(pid, 0)[1] == 0
        """
    )
    parsed = [json.loads(line) for line in lines]
    assert len(parsed) == 600
    for i in range(4):
        assert [line["n"] for line in parsed if line["actor"] == f"child/{i}"] == list(range(150))


def test_an_actor_process_of_thespian_writes_its_own_lines(tmp_path: Path):
    script = tmp_path / "tree.py"
    script.write_text(
        dedent("""
        import logging, os, sys
        from data_manager.system.logs import configure, log
        configure("main", "INFO")
        early = logging.getLogger("early")
        from thespian.actors import Actor, ActorSystem

        class Speaker(Actor):
            def receiveMessage(self, message, sender):
                if message == "speak":
                    configure("speaker", "INFO")
                    log("spoken", about="x")
                    early.info("from before the fork")
                    logging.getLogger("late").warning("from after it")
                    self.send(sender, os.getpid())

        where = {"Admin Port": int(sys.argv[1]), "Convention Address.IPv4": None}
        system = ActorSystem("multiprocTCPBase", where)
        try:
            pid = system.ask(system.createActor(Speaker), "speak", 20)
            log("answered", speaker=pid)
        finally:
            system.shutdown()
        """)
    )
    done = subprocess.run(
        [sys.executable, str(script), str(free_port())],
        env={**os.environ, "THESPLOG_FILE": str(tmp_path / "thespian.log")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    parsed = [line for line in lines if not line["event"].startswith(("++++", "----"))]  # Thespian's own of main
    assert [(line["actor"], line["event"], line.get("logger")) for line in parsed] == [
        ("speaker", "spoken", None),
        ("speaker", "from before the fork", "early"),
        ("speaker", "from after it", "late"),
        ("main", "answered", None),
    ]
    assert {line["pid"] for line in parsed[:3]} == {parsed[3]["speaker"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_line_says_in_which_span_it_was_written():
    span = SpanId("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", True)
    out = StringIO()
    with logs_to(out):
        token = CURRENT.set(span)
        log("inside", trace_id="a field of the same name")
        CURRENT.reset(token)
        log("outside")
    inside, outside = map(json.loads, out.getvalue().splitlines())
    assert (inside["trace_id"], inside["span_id"]) == (span.trace_id, span.span_id)
    assert inside["trace_id_"] == "a field of the same name"
    assert not {"trace_id", "span_id"} & outside.keys()


def test_lines_are_copied_once_they_are_written_and_only_while_somebody_takes_them():
    out, taken = StringIO(), []
    with logs_to(out):
        copy_to(lambda record, line: taken.append((record.levelname, line["event"], line["rows"])))
        log("one", rows=3)
        copy_to(None)
        log("two")
    assert taken == [("INFO", "one", 3)]
    assert len(out.getvalue().splitlines()) == 2
