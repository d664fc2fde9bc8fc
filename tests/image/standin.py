"""A stand-in for the base image where no registry can be reached: a bare Debian with this machine's own Python.

Like the real one it has neither a compiler nor development files.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

# What CPython's own modules are linked with, and scipy's OpenMP.
LIBRARIES = (
    "ca-certificates", "libbz2-1.0", "libffi8", "libgomp1", "liblzma5", "libncursesw6", "libreadline8",
    "libsqlite3-0", "libssl3", "libuuid1", "zlib1g",
)  # fmt: skip
RELEASE = "bookworm"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def obstacle() -> str | None:
    """Why none can be made here."""
    if VERSION != "3.11":
        return f"the image has Python 3.11, this is {VERSION}"
    if sys.base_prefix in ("/", "/usr"):
        return "this Python is part of its system, and cannot be copied out of it"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed"
    return None


def make(folder: Path) -> None:
    """Make its files in `folder`; takes a minute or more."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(LIBRARIES)}", RELEASE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-2000:]
    ours, its = Path(sys.base_prefix), folder / "usr" / "local"
    for name in ("include", "lib"):
        shutil.copytree(ours / name, its / name, symlinks=True, dirs_exist_ok=True, ignore=_left_out)
    for package in ("pip", "setuptools"):
        for path in (ours / "lib" / f"python{VERSION}" / "site-packages").glob(f"{package}*"):
            shutil.copytree(path, its / path.relative_to(ours))
    shutil.copy2(ours / "bin" / f"python{VERSION}", its / "bin")
    for name in ("python", "python3"):
        (its / "bin" / name).symlink_to(f"python{VERSION}")
    shutil.copy(CERTIFICATES, folder / CERTIFICATES.relative_to("/"))  # this host may reach indexes by its own only
    subprocess.run(["chroot", folder, "ldconfig"], check=True, timeout=60)


def _left_out(folder: str, names: list[str]) -> set[str]:
    """Bytecode, the interpreter's own tests, and whatever is installed here."""
    inside = Path(folder).name
    if inside == "site-packages":
        return set(names)
    return {name for name in names if name == "__pycache__" or (inside == f"python{VERSION}" and name == "test")}
