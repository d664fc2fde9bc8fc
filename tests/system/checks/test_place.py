from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.data_dir import DataDir
from data_manager.system.commands.checks import place
from data_manager.system.commands.checks.check import Verdict
from data_manager.system.settings import Settings


def test_a_folder_that_is_not_there_will_be_made_and_is_not_made_by_looking(tmp_path: Path):
    found = place.folder(tmp_path / "a" / "b", None)
    assert (found.verdict, "will be made" in found.found) == (Verdict.OK, True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_tells_by_which_process_and_is_left_locked(tmp_path: Path):
    data = DataDir(tmp_path)
    assert place.running_pid(tmp_path) is None
    data.acquire()
    try:
        assert place.running_pid(tmp_path) == os.getpid()
        assert f"process {os.getpid()}" in place.folder(tmp_path, place.running_pid(tmp_path)).found
    finally:
        data.release()
    assert place.running_pid(tmp_path) is None


def test_what_is_no_folder_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    found = place.folder(tmp_path / "file" / "data", None)
    assert found.verdict is Verdict.FAIL
    assert "DATA_DIR" in found.fix


def test_a_folder_of_another_user_is_a_warning_that_names_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.setattr(os, "access", lambda *_: True)
    found = place.folder(tmp_path, None)
    assert found.verdict is Verdict.WARN
    assert "user 54321" in found.found
    assert "chown -R 54321" in found.fix


@pytest.fixture
def taken() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_port_that_another_program_has_is_a_failure_that_names_setting_and_way_out(taken: socket.socket):
    number = taken.getsockname()[1]
    found = place.port("127.0.0.1", number, "API_PORT", None)
    assert found.verdict is Verdict.FAIL
    assert found.found == f"Port {number} is in use by another program."
    assert "set API_PORT to another port" in found.fix


def test_a_port_that_is_ours_is_good(taken: socket.socket):
    number = taken.getsockname()[1]
    assert place.port("127.0.0.1", number, "API_PORT", number).verdict is Verdict.OK
    assert place.port("127.0.0.1", 0, "API_PORT", number).verdict is Verdict.OK


def test_a_free_port_stays_free(taken: socket.socket):
    number = taken.getsockname()[1]
    taken.close()
    assert place.port("127.0.0.1", number, "API_PORT", None).verdict is Verdict.OK
    assert place.port("127.0.0.1", number, "API_PORT", None).verdict is Verdict.OK
    assert place.port("127.0.0.1", 0, "API_PORT", None).verdict is Verdict.OK


def test_an_address_that_is_not_this_hosts_is_a_failure():
    found = place.port("192.0.2.1", 8000, "API_PORT", None)
    assert (found.verdict, "API_HOST" in found.fix) == (Verdict.FAIL, True)


def test_the_ports_of_the_running_service_are_those_that_it_wrote(tmp_path: Path, taken: socket.socket):
    number = taken.getsockname()[1]
    settings = Settings(data_dir=tmp_path, api_host="127.0.0.1", api_port=number, metrics_port=0)
    settings.ports_file.write_text(f'{{"api_port": {number}, "metrics_port": 7, "pid": 1}}')
    assert [each.verdict for each in place.ports(settings, os.getpid())] == [Verdict.OK, Verdict.OK]
    assert place.ports(settings, None)[0].verdict is Verdict.FAIL  # the file is of a run that was killed
    settings.ports_file.write_text("{")
    assert place.ports(settings, os.getpid())[0].verdict is Verdict.FAIL


def test_without_an_api_there_are_no_ports():
    assert [each.verdict for each in place.ports(Settings(enable_api=False), None)] == [Verdict.SKIPPED]
