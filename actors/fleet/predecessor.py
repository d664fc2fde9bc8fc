"""The replica that ran on this data folder before: what it held need not expire, since it is surely gone.

A data folder is one process tree's at a time (storage/data_dir.py): its lock is free only when the last process of the
tree before has ended, however that came about.
"""

from __future__ import annotations

from pathlib import Path

from data_manager.actors.fleet.looking import leave
from data_manager.actors.fleet.shared import Shared
from data_manager.storage.members import Member

NOTE = "replica"  # the file that names the replica of this data folder


def succeed(shared: Shared, folder: Path, member: Member) -> None:
    """Give back all that the predecessor held, and leave word for who comes next. Raises StoreError."""
    note = folder / NOTE
    before = note.read_text() if note.exists() else ""
    if before == member.replica:
        return
    if before:
        shared.members.is_here(member)  # first: nobody else shall think that all of it is his
        leave(shared, before, frozenset())
    draft = note.with_suffix(".draft")
    draft.write_text(member.replica)
    draft.replace(note)
