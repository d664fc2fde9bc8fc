"""Bytes of any kind, in the hands of who reads batches between router and ingest, and of who reads recordings.

The decoder of events and the router's are fuzzed beside their other tests (tests/actors), the queries of HTTP in
tests/http. What fuzzing found, and a few seeds, are kept in tests/fixtures/corpus, a folder for each reader. One thing
was found so far: a trace in a batch that is no UTF-8 raised another error than the reader promises, which nobody
caught.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data_manager.actors.ingest.ingestion import _batch_of
from data_manager.system.delivery import Delivery
from data_manager.system.errors import DataError
from data_manager.system.frames import Batch, Frame, decode, encode
from data_manager.system.replay import read_lines

CORPUS = Path(__file__).resolve().parent.parent / "fixtures" / "corpus"
BATCHES = sorted((CORPUS / "frames").iterdir())
RECORDINGS = sorted((CORPUS / "recordings").iterdir())

numbers = st.integers(0, 2**63 - 1)
frames = st.builds(Frame, numbers, numbers, st.binary(max_size=40), st.none() | st.text(max_size=60))
batches = st.builds(Batch, numbers, numbers, st.lists(frames, max_size=5))
changes = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2), st.binary(min_size=1, max_size=4)), max_size=4)


def damaged(payload: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The bytes with some replaced, put in or taken away."""
    text = bytearray(payload)
    for place, removed, put_in in edits:
        at = place % (len(text) + 1)
        text[at : at + removed] = put_in
    return bytes(text)


def accounted_for(payload: bytes) -> None:
    """A batch, or DecodeError; ingest makes one frame of what is none, with all of its bytes."""
    try:
        batch = decode(payload)
    except msgspec.DecodeError:
        batch = Batch(7, 0, [Frame(-5, 1, payload)])
    assert _batch_of(Delivery(payload, 5, 1, 1, 0), 7) == batch


# -- batches -------------------------------------------------------------------------------------------------


@settings(max_examples=500)
@given(batches)
def test_every_batch_comes_out_as_it_went_in(batch: Batch) -> None:
    assert decode(encode(batch)) == batch


@settings(max_examples=500)
@given(st.binary(max_size=200))
@example(b"\x93" * 5000)
def test_any_bytes_are_a_batch_or_one_frame(payload: bytes) -> None:
    accounted_for(payload)


@settings(max_examples=500)
@given(batches, changes)
def test_a_damaged_batch_is_a_batch_or_one_frame(batch: Batch, edits: list[tuple[int, int, bytes]]) -> None:
    accounted_for(damaged(encode(batch), edits))


@pytest.mark.parametrize("file", BATCHES, ids=lambda file: file.name)
def test_what_was_found_in_batches_stays_found(file: Path) -> None:
    accounted_for(file.read_bytes())


# -- recordings ----------------------------------------------------------------------------------------------


def read_or_named(recording: bytes) -> None:
    """Every line is read with its bytes, up to the first that is none, which is named."""
    rows = dict(enumerate(recording.split(b"\n"), 1))
    read, problem = [], ""
    try:
        for line in read_lines(io.BytesIO(recording), Path("r.ndjson")):
            read.append(line.number)
            assert line.raw == rows[line.number].rstrip(b"\r")
            json.loads(line.raw)
    except DataError as error:
        problem = str(error)
    unread = [number for number, row in rows.items() if row.strip() and number not in read]
    assert bool(unread) == bool(problem)
    assert not unread or f"line {unread[0]} of r.ndjson" in problem


lines = st.sampled_from([b'{"E":5}', b"[]", b"", b"  ", b"{", b"\xff", b"[1", b'"a"', b"null", b'{"E":1e400}', b"\r"])


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.lists(lines | st.binary(max_size=20), max_size=8).map(b"\n".join))
def test_any_file_is_read_up_to_its_first_line_that_is_no_json(recording: bytes) -> None:
    read_or_named(recording)


@pytest.mark.parametrize("file", RECORDINGS, ids=lambda file: file.name)
def test_what_was_found_in_recordings_stays_found(file: Path) -> None:
    read_or_named(file.read_bytes())
