"""The data folder: made where it can be, refused with a sentence where not, owned by one process."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from data_manager.storage.data_dir import DataDir, file_system_of
from data_manager.system.errors import ConfigError

HOLD = """
import sys, time
from pathlib import Path
from data_manager.storage.data_dir import DataDir
DataDir(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""

MOUNTS = """
rootfs / ext4 rw 0 0
tmpfs /tmp tmpfs rw 0 0
server:/export /mnt/nfs nfs4 rw 0 0
//server/share /mnt/with\\040space cifs rw 0 0
sshfs /mnt/ssh fuse.sshfs rw 0 0
hidden /mnt/twice nfs rw 0 0
disk /mnt/twice xfs rw 0 0
share /mnt/9p 9p rw 0 0

broken
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_acquire_makes_the_folders_and_names_its_process(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path / "a" / "b")
    data_dir.acquire()
    assert data_dir.market.is_dir()
    assert data_dir.jetstream.is_dir()
    assert data_dir.lock.read_text() == f"{os.getpid()}\n"
    assert (data_dir.market.name, data_dir.catalog.name, data_dir.jetstream.name, data_dir.lock.name) == (
        "market", "catalog.sqlite3", "jetstream", "lock",
    )  # fmt: skip
    data_dir.release()
    data_dir.release()


def test_a_relative_folder_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data_dir = DataDir(Path("data"))
    monkeypatch.chdir("/")
    assert data_dir.path == tmp_path / "data"


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(ConfigError, match=rf"in use by process {holder.pid} "):
        DataDir(tmp_path / "d").acquire()


def test_a_killed_process_leaves_a_folder_that_can_be_used_at_once(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    data_dir = DataDir(tmp_path / "d")
    data_dir.acquire()
    data_dir.release()


def test_a_released_folder_can_be_taken_and_a_failed_try_does_not_hold_it(tmp_path: Path) -> None:
    first, second = DataDir(tmp_path), DataDir(tmp_path)
    first.acquire()
    for _ in range(2):
        with pytest.raises(ConfigError):
            second.acquire()
    first.release()
    second.acquire()
    second.release()


@pytest.mark.parametrize("place", ["file/data", "file"])
def test_a_folder_that_cannot_be_made_is_named_in_the_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / place)) + ".*make it writable"):
        DataDir(tmp_path / place).acquire()


def test_a_lock_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(ConfigError, match="cannot be used as data folder"):
        DataDir(tmp_path).acquire()


@pytest.mark.parametrize(
    "file_system", ["nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "ceph", "lustre", "glusterfs"]
)
def test_network_file_systems_are_refused(tmp_path: Path, file_system: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"server:/x {tmp_path} {file_system} rw 0 0\n")
    data_dir = DataDir(tmp_path / "data")
    with pytest.raises(ConfigError, match=f"network file system .{file_system}"):
        data_dir.acquire(mounts)
    assert not data_dir.lock.exists()


@pytest.mark.parametrize("file_system", ["ext4", "xfs", "overlay", "tmpfs", "9p", "virtiofs", "fuse.fuse-overlayfs"])
def test_local_file_systems_are_taken(tmp_path: Path, file_system: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"disk {tmp_path} {file_system} rw 0 0\n")
    data_dir = DataDir(tmp_path / "data")
    data_dir.acquire(mounts)
    data_dir.release()


def test_without_a_mount_table_the_folder_is_taken(tmp_path: Path) -> None:
    data_dir = DataDir(tmp_path)
    data_dir.acquire(tmp_path / "none")
    data_dir.release()


@pytest.mark.parametrize(("path", "file_system"), [
    ("/home/x", "ext4"),
    ("/tmp/x", "tmpfs"),
    ("/tmpx", "ext4"),
    ("/mnt/nfs", "nfs4"),
    ("/mnt/with space/x", "cifs"),
    ("/mnt/ssh/deep/er", "fuse.sshfs"),
    ("/mnt/twice/x", "xfs"),
    ("/mnt/9p", "9p"),
])  # fmt: skip
def test_the_file_system_is_that_of_the_deepest_and_latest_mount(path: str, file_system: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == file_system


def test_a_mount_table_that_says_nothing_gives_no_type() -> None:
    assert file_system_of(Path("/x"), "") == ""
