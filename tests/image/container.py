"""A container of the built image, as a kubelet starts it: a read-only root, one volume, and process 1 of its own.

buildah's own `run` kills what it runs and knows no read-only root, so this is done with unshare and chroot.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.eventually import eventually_sync
from tests.image.buildah import Image
from tests.servers.command import Command
from tests.servers.service import alive

START_S = 120  # as the chart's startup probe allows

# $0 root, $1 volume, $2 where it goes, $3 user; then the command. The network is the host's.
CONFINED = """
set -e
root=$0 volume=$1 at=$2 user=$3
shift 3
mount --make-rprivate /
mount --bind "$root" "$root"
mount --bind "$volume" "$root$at"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,ro,bind "$root"
exec chroot --userspec="$user" "$root" env -C "$at" "$@"
"""


def confined(image: Image, volume: Path, *command: str) -> list[str]:
    """The command, in the image, where `volume` is all that can be written; it is process 1 there."""
    (at,) = image.volumes
    namespaces = ("--mount", "--pid", "--fork")
    return ["unshare", *namespaces, "sh", "-c", CONFINED, str(image.root), str(volume), at, image.user, *command]


def new_volume(folder: Path, image: Image) -> Path:
    """An empty volume that the image's user owns, and nobody else reads."""
    folder.mkdir(mode=0o700)
    user, _, group = image.user.partition(":")
    os.chown(folder, int(user), int(group))
    return folder


def run(image: Image, volume: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that ends, without the image's entry point."""
    given = image.environment | environment
    return subprocess.run(confined(image, volume, *command), env=given, capture_output=True, text=True, timeout=120)


class Container(Command):
    """`data-manager ARGUMENTS...` in a container; what Command asks and waits for, too.

    Settings are the image's and those that are given. `instead` is started by the image's init, not the service.
    """

    def __init__(
        self, folder: Path, image: Image, *arguments: str, instead: str | None = None, **settings: str
    ) -> None:
        super().__init__(folder, *arguments)
        self.folder = self.data_dir = new_volume(folder / "volume", image)
        self._image = image
        *init, service = image.entry
        self._entry = [*init, instead or service]
        self._environment = image.environment | {name.upper(): value for name, value in settings.items()}

    def start(self, *, ready: bool = True) -> Container:
        """Start, or start again on the same volume; returns when it is ready."""
        super().start(ready=False)
        if ready:
            self.wait(self._works, START_S)
        return self

    def program(self) -> list[str]:
        """What is executed."""
        return confined(self._image, self.folder, *self._entry, *self.arguments)

    @property
    def pid(self) -> int:
        """Of its process 1."""
        children = Path(f"/proc/{super().pid}/task/{super().pid}/children").read_text().split()
        return int(children[0])

    def is_healthy(self) -> bool:
        """What the image's health check says."""
        return run(self._image, self.folder, *self._image.health_check, **self._environment).returncode == 0

    def on_the_host(self, pid: int) -> int:
        """The id here of a process by its id in the container."""
        return next(ours for ours in self.processes() if pid == self._inside(ours))

    def _end(self) -> None:
        if self.runs:
            os.kill(self.pid, signal.SIGKILL)  # process 1, which takes the others along
        if self._process is not None:
            self._process.wait(10)
        eventually_sync(lambda: not self.processes(), 5)

    @staticmethod
    def _inside(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text()
        return next(int(line.split()[-1]) for line in status.splitlines() if line.startswith("NSpid:"))

    def _is_ours(self, pid: int) -> bool:
        try:  # by the folder itself: its path is another one there
            return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), self.folder.stat()) and alive(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False
