"""How many files a process may have open, and how many processes a user may have: the symbols decide what is needed."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

from data_manager.system.commands.checks.check import Check, fail, ok, warn

# Measured with five symbols: the supervisor has 50 files open, the processes started last 40, some more for each actor;
# who reads SQLite files keeps up to 32 of them open, with three descriptors each.
FILES, FILES_PER_ACTOR = 128, 5
FILES_FOR_CLIENTS = 256  # of the API
THREADS_PER_ACTOR = 6  # the limit counts threads
OTHER_ACTORS = 10  # beside those of symbols, with the broker and Thespian's own
UNLIMITED = resource.RLIM_INFINITY


def limits(symbols: int) -> list[Check]:
    """Both, as they hold for this process and what it would start."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return [
        open_files(symbols, soft, hard),
        processes(symbols, most, threads_of(os.getuid()), privileged=os.geteuid() == 0),
    ]


def open_files(symbols: int, soft: int, hard: int) -> Check:
    """Whether a process may open as many files as that many symbols need."""
    need = FILES + FILES_PER_ACTOR * (symbols + OTHER_ACTORS)
    better = need + FILES_FOR_CLIENTS
    if soft == UNLIMITED or soft >= better:
        return ok("open files", f"A process may open {told(soft)} files; {better:,} are plenty.")
    fix = f"ulimit -n {better}"
    if hard != UNLIMITED and hard < better:
        fix = f"raise the hard limit of {hard:,} as root (limits.conf, or LimitNOFILE= of systemd), then {fix}"
    if soft >= need:
        return warn("open files", f"A process may open {soft:,} files, which leaves few for the API's clients.", fix)
    return fail("open files", f"A process may open {soft:,} files, and {symbols:,} symbols need {need:,}.", fix)


def processes(symbols: int, most: int, running: int, *, privileged: bool) -> Check:
    """Whether this user may start as many processes and threads; `running` is how many there are already."""
    need = THREADS_PER_ACTOR * (symbols + OTHER_ACTORS)
    if privileged or most == UNLIMITED or most - running >= need:
        limit = "any number of" if privileged else told(most)
        return ok("processes", f"This user may have {limit} processes and threads; {need:,} are needed.")
    found = f"This user may have {most:,} processes and threads and has {running:,}; {symbols:,} symbols need {need:,}."
    return fail("processes", found, f"ulimit -u {need + running}")


def told(limit: int) -> str:
    """A limit in words."""
    return "any number of" if limit == UNLIMITED else f"{limit:,}"


def threads_of(uid: int) -> int:
    """How many threads the processes of a user have."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has ended
                total += len(os.listdir(entry / "task")) if entry.stat().st_uid == uid else 0
    return total
