from __future__ import annotations

import os
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_manager.system.commands.checks.check import Verdict
from data_manager.system.commands.checks.limits import UNLIMITED, open_files, processes, threads_of


@pytest.mark.parametrize(
    ("symbols", "soft", "verdict"),
    [
        (5, 1024, Verdict.OK),
        (5, 256, Verdict.WARN),
        (50, 256, Verdict.FAIL),
        (1000, UNLIMITED, Verdict.OK),
        (1000, 1024, Verdict.FAIL),
    ],
)
def test_files_are_judged_by_how_many_symbols_there_are(symbols: int, soft: int, verdict: Verdict):
    assert open_files(symbols, soft, UNLIMITED).verdict is verdict


@given(st.integers(1, 5000), st.integers(1, 10**6))
def test_what_the_fix_asks_for_is_enough(symbols: int, soft: int):
    found = open_files(symbols, soft, UNLIMITED)
    if found.verdict is not Verdict.OK:
        asked = int(found.fix.removeprefix("ulimit -n "))
        assert open_files(symbols, asked, UNLIMITED).verdict is Verdict.OK


def test_a_hard_limit_that_stands_in_the_way_is_named():
    assert "hard limit of 256 as root" in open_files(50, 256, 256).fix


def test_a_shell_takes_the_fix_that_is_given():
    fix = open_files(1, 16, UNLIMITED).fix
    shell = subprocess.run(["sh", "-c", f"ulimit -Sn 16; {fix}; ulimit -n"], capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == fix.removeprefix("ulimit -n ")


def test_processes_are_judged_by_what_runs_already_and_not_at_all_for_root():
    assert processes(5, 200, 100, privileged=False).verdict is Verdict.OK
    short = processes(5, 150, 100, privileged=False)
    assert short.verdict is Verdict.FAIL
    assert processes(5, int(short.fix.removeprefix("ulimit -u ")), 100, privileged=False).verdict is Verdict.OK
    assert processes(5, 150, 100, privileged=True).verdict is Verdict.OK
    assert processes(5, UNLIMITED, 100, privileged=False).verdict is Verdict.OK


def test_threads_of_this_user_are_counted():
    before, end = threads_of(os.getuid()), threading.Event()
    threads = [threading.Thread(target=end.wait) for _ in range(200)]
    for thread in threads:
        thread.start()
    try:
        assert threads_of(os.getuid()) > before  # others end meanwhile, but not two hundred
    finally:
        end.set()
        for thread in threads:
            thread.join()
    assert threads_of(2**31) == 0
