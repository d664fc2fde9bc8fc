"""The image as buildah builds it here, in a storage of its own that is deleted afterwards."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.test_image import BASE

ROOT = Path(__file__).resolve().parent.parent.parent
TRUST_ALL = {"default": [{"type": "insecureAcceptAnything"}]}  # what is built here is signed by nobody
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_S = 1800  # of pulling, committing or building, on a busy machine


class Image(NamedTuple):
    """What a built image says of itself, and its files, mounted."""

    root: Path
    entry: list[str]
    command: list[str]
    environment: dict[str, str]
    health_check: list[str]
    user: str
    folder: str
    volumes: list[str]
    labels: dict[str, str]


class Buildah:
    """`with Buildah(folder) as buildah: ...`; needs root. Nothing is left of what it makes in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._policy = folder / "policy.json"

    def __enter__(self) -> Buildah:
        self._folder.mkdir()
        self._policy.write_text(json.dumps(TRUST_ALL))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.run("umount", "--all")
        self.run("rm", "--all")
        shutil.rmtree(self._folder)

    def run(self, *arguments: str) -> str:
        """What a command prints; AssertionError with all that it complained of when it fails."""
        storage = (f"--root={self._folder}/root", f"--runroot={self._folder}/run", "--storage-driver=vfs")
        command = ["buildah", *storage, *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=STEP_S)
        assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout.strip()

    def pull(self) -> bool:
        """Fetch the real base; False where that cannot be done."""
        try:
            self.run("pull", f"--signature-policy={self._policy}", BASE)
        except AssertionError:
            return False
        return True

    def import_base(self, files: Path) -> None:
        """Take a folder of files for the base."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(files), "/")
        self.run("config", f"--env=PATH={BASE_PATH}", "--cmd=python3", container)
        self.run("commit", "--quiet", "--rm", f"--signature-policy={self._policy}", container, BASE)

    def build(self) -> Image:
        """Build the Dockerfile of the root, unchanged, in Docker's format: OCI's has no health check."""
        options = ("--isolation=chroot", "--network=host", "--pull-never", "--layers=false", "--format=docker")
        self.run("bud", *options, f"--signature-policy={self._policy}", "--tag=localhost/data-manager", ".")
        container = self.run("from", "--pull-never", f"--signature-policy={self._policy}", "localhost/data-manager")
        root = Path(self.run("mount", container))
        config = json.loads(self.run("inspect", "--type=image", "localhost/data-manager"))["Docker"]["config"]
        return Image(
            root,
            config["Entrypoint"],
            config["Cmd"],
            dict(pair.split("=", 1) for pair in config["Env"]),
            config["Healthcheck"]["Test"][1:],
            config["User"],
            config["WorkingDir"],
            list(config["Volumes"]),
            config["Labels"],
        )
