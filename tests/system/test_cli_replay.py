import asyncio
import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from nats.js.api import StreamConfig

from data_manager.system.commands.replay import summary
from data_manager.system.replay import Replayed
from data_manager.system.settings import Settings
from data_manager.system.settings_sources import NAMES
from tests.servers.nats import NatsServer, connected

SUBJECT = Settings().nats_consumer_subject


def replay_command(*arguments: str, nats: str, **options: object) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if name not in NAMES}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "data_manager",
            "replay",
            *arguments,
            "--nats",
            nats,
            "--set",
            "nats_connect_timeout=1",
        ],
        env=clean,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        stderr=options.get("stderr", subprocess.PIPE),  # type: ignore[call-overload]
    )


def recording(folder: Path, events: int = 250) -> Path:
    file = folder / "recording.ndjson"
    file.write_text("".join(json.dumps({"e": "trade", "s": "BTCUSDT", "t": i}) + "\n" for i in range(events)))
    return file


async def make_stream(server: NatsServer) -> None:
    async with connected(Settings(nats_url=server.url)) as connection:
        await connection.client.jetstream().add_stream(StreamConfig(name="keep", subjects=[SUBJECT]))


async def stored_in(server: NatsServer) -> int:
    async with connected(Settings(nats_url=server.url)) as connection:
        return int((await connection.client.jetstream().stream_info("keep")).state.messages)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_recording_is_published_and_captured_and_ends_with_0(tmp_path: Path):
    file = recording(tmp_path)
    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(make_stream(server))
        done = replay_command(str(file), nats=server.url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"250 events published on {SUBJECT} in ")
        assert done.stdout.endswith("captured by a stream.\n")
        assert asyncio.run(stored_in(server)) == 250


def test_programs_get_what_was_published_as_json(tmp_path: Path):
    file = recording(tmp_path, events=7)
    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(make_stream(server))
        done = json.loads(replay_command(str(file), "--json", nats=server.url).stdout)
    assert (done["published"], done["captured"], done["subject"]) == (7, True, SUBJECT)


def test_a_rate_is_kept(tmp_path: Path):
    file = recording(tmp_path, events=50)
    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(make_stream(server))
        done = replay_command(str(file), "--rate", "100", nats=server.url)
    seconds = float(done.stdout.split(" in ")[1].split(" s,")[0])
    assert 0.4 <= seconds < 5


def test_on_a_terminal_progress_is_live_and_the_result_still_on_stdout(tmp_path: Path):
    file = recording(tmp_path)
    ours, theirs = pty.openpty()
    try:
        with NatsServer(tmp_path / "nats") as server:
            asyncio.run(make_stream(server))
            done = replay_command(str(file), nats=server.url, stderr=theirs)
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 0
    assert "events" in shown
    assert done.stdout.startswith("250 events")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["none.ndjson"], 2, "none.ndjson cannot be read"),
        (["good.ndjson", "--rate", "1", "--speed", "1"], 2, "exclude each other"),
        (["good.ndjson"], 3, "could not be reached"),
    ],
)
def test_what_ends_a_replay_before_it_began_says_who_must_act(
    tmp_path: Path, arguments: list[str], code: int, sentence: str
):
    (tmp_path / "good.ndjson").write_text("{}\n")
    name, *rest = arguments
    done = replay_command(str(tmp_path / name), *rest, nats=f"nats://127.0.0.1:{unused_port()}")
    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout


def test_a_line_that_is_no_json_ends_with_1_and_is_named(tmp_path: Path):
    (tmp_path / "bad.ndjson").write_text("{}\nnot json\n")
    with NatsServer(tmp_path / "nats") as server:
        asyncio.run(make_stream(server))
        done = replay_command(str(tmp_path / "bad.ndjson"), nats=server.url)
    assert done.returncode == 1
    assert "line 2" in done.stderr


def test_the_embedded_broker_is_nowhere_to_replay_to(tmp_path: Path):
    done = replay_command(str(recording(tmp_path)), nats="embedded")
    assert done.returncode == 2
    assert "name it with --nats" in done.stderr


def test_the_summary_says_when_nothing_keeps_the_events():
    text = summary(Replayed(published=0, captured=False, seconds=0.0), "feed")
    assert text.startswith("0 events published on feed in 0.0 s, 0 a second; ")
    assert text.endswith("no stream captured them: only who listened has them.")
