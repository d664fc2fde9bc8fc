"""The commands the README names: which there are, what they pass on, and the sentences they refuse with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ("demo", "test", "browser", "faults", "nightly", "soak", "bench", "check", "clean")


class Checkout:
    """A folder with the Makefile and programs of the test's making, which go before the system's on PATH."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.programs = path / "programs"
        self.programs.mkdir()
        for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
            (path / name).write_bytes((ROOT / name).read_bytes())
        self.program("uv", "exit 1")  # as if there were none

    def program(self, name: str, script: str) -> None:
        """Put a shell script on PATH."""
        path = self.programs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def make(self, *arguments: str, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
        """Run make there; its environment has PATH and nothing else."""
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.path,
            env={"PATH": f"{self.programs}:{path}"},
            capture_output=True,
            text=True,
            timeout=30,
        )

    def fake_python(self) -> None:
        """A `python3` whose `-m venv` makes an environment of programs that note how they are called."""
        note = f'echo "$(basename "$0") $*" >> {self.path}/calls'
        bin_dir = "$4/bin"
        stubs = "python pytest data-manager"
        self.program(
            "python3",
            f'[ "$2" = venv ] || exit 0\nmkdir -p {bin_dir}\nfor name in {stubs}; do\n'
            f"  printf '#!/bin/sh\\n%s\\n' '{note}' > {bin_dir}/$name; chmod 755 {bin_dir}/$name\ndone",
        )

    @property
    def calls(self) -> list[str]:
        """How the programs of the environment were called so far."""
        path = self.path / "calls"
        return path.read_text().splitlines() if path.exists() else []


def bare(folder: Path) -> Path:
    """A folder of programs for PATH: what make itself needs, and no more."""
    programs = folder / "bare"
    programs.mkdir()
    for name in ("bash", "cat", "cut", "grep", "make", "pwd", "sh", "sha256sum", "uname"):
        if found := shutil.which(name):
            (programs / name).symlink_to(found)
    return programs


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_make_alone_lists_every_target(checkout: Checkout) -> None:
    listed = re.findall(r"^make (\w+) ", checkout.make().stdout, re.MULTILINE)
    assert listed == ["help", *TARGETS]


def test_every_make_command_of_the_readme_exists() -> None:
    named = re.findall(r"(?:^|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert not set(named) - set(TARGETS)


@pytest.mark.parametrize("system", ["Darwin", "FreeBSD", "MINGW64_NT-10.0"])
def test_elsewhere_than_on_linux_one_sentence_names_the_image(checkout: Checkout, system: str) -> None:
    checkout.program("uname", f"echo {system}")
    refused = checkout.make("demo")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert "container image yurisa2/petrosa-data-manager" in refused.stderr


def test_windows_is_known_without_asking_uname(checkout: Checkout) -> None:
    checkout.program("uname", f"touch {checkout.path}/asked")
    refused = checkout.make("demo", "OS=Windows_NT")
    assert "container image yurisa2/petrosa-data-manager" in refused.stderr
    assert not (checkout.path / "asked").exists()


@pytest.mark.parametrize("python", ["python3.10", "no-such-python"])
def test_a_python_that_does_not_fit_is_refused_with_a_sentence(checkout: Checkout, python: str) -> None:
    checkout.program("python3.10", "exit 1")
    refused = checkout.make("demo", f"PY={python}")
    assert refused.returncode == 2
    assert f"{python} must be Python 3.11, 3.12 or 3.13" in refused.stderr
    assert not (checkout.path / ".venv").exists()


def test_a_venv_that_cannot_be_made_leaves_no_half_of_it(checkout: Checkout) -> None:
    checkout.program("python3", '[ "$2" = venv ] || exit 0; mkdir -p "$4/bin"; touch "$4/bin/python"; exit 1')
    assert checkout.make("demo").returncode == 2
    assert not (checkout.path / ".venv").exists()


def test_demo_installs_once_and_hands_its_arguments_on(checkout: Checkout) -> None:
    checkout.fake_python()
    assert checkout.make("demo", "ARGS=--for 20").returncode == 0
    install = "python -m pip install --quiet --disable-pip-version-check -r requirements.txt -e ."
    assert checkout.calls == [install, "data-manager demo --for 20"]
    assert checkout.make("demo").returncode == 0
    assert checkout.calls[2:] == ["data-manager demo"]


def test_test_installs_what_tests_need_and_leaves_the_slow_tiers_out(checkout: Checkout) -> None:
    checkout.fake_python()
    assert checkout.make("test", "PYTEST_ARGS=-k gaps -x").returncode == 0
    assert [call.rpartition("-r ")[2] for call in checkout.calls[:2]] == [
        "requirements.txt -e .",
        "requirements-dev.txt",
    ]
    assert checkout.calls[2:] == ["pytest -m not browser and not faults and not nightly -k gaps -x"]


def test_tests_without_a_mariadb_say_what_to_install_before_anything_else(checkout: Checkout) -> None:
    checkout.fake_python()
    refused = checkout.make("test", path="/usr/bin:/bin")  # its server is in /usr/sbin
    assert refused.returncode == 2
    assert refused.stderr.startswith("The tests need MariaDB: apt-get install mariadb-server\n")
    assert checkout.calls == []


def test_tests_without_promtool_say_what_to_install_before_anything_else(checkout: Checkout, tmp_path: Path) -> None:
    checkout.fake_python()
    checkout.program("mariadbd", "exit 0")
    refused = checkout.make("test", path=str(bare(tmp_path)))
    assert refused.returncode == 2
    assert refused.stderr.startswith("The alert rules' tests need promtool: apt-get install prometheus\n")
    assert checkout.calls == []


def test_the_dashboards_tests_without_a_chromium_say_what_to_install(checkout: Checkout, tmp_path: Path) -> None:
    checkout.fake_python()
    refused = checkout.make("browser", path=str(bare(tmp_path)))
    assert refused.returncode == 2
    assert refused.stderr.startswith("The dashboard's tests need Chromium: apt-get install chromium\n")
    assert checkout.calls == []


def test_coverage_is_measured_when_asked_for(checkout: Checkout) -> None:
    checkout.fake_python()
    checkout.make("test", "COVERAGE=1")
    assert checkout.calls[-1].startswith("pytest --cov --cov-branch ")


def test_the_tiers_divide_the_tests_among_them(checkout: Checkout) -> None:
    checkout.fake_python()
    checkout.program("chromium", "exit 0")
    for tier in ("test", "browser", "faults", "nightly"):
        checkout.make(tier)
    assert [call for call in checkout.calls if call.startswith("pytest")] == [
        "pytest -m not browser and not faults and not nightly",
        "pytest -m browser",
        "pytest -m faults and not nightly",
        "pytest -rs -m nightly",  # what cannot be done here says why
    ]


@pytest.mark.parametrize(("given", "minutes"), [((), "10"), (("MINUTES=60",), "60")])
def test_a_soak_takes_as_long_as_it_is_told(checkout: Checkout, given: tuple[str, ...], minutes: str) -> None:
    checkout.fake_python()
    program = checkout.programs / "python3"
    program.write_text(program.read_text().replace("$(basename", "$SOAK_MINUTES $(basename"))
    assert checkout.make("soak", *given).returncode == 0
    assert checkout.calls[-1] == f"{minutes} pytest -s -m nightly tests/soak/test_soak.py"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "pyproject.toml"])
def test_a_changed_requirement_installs_again_and_so_does_changing_it_back(checkout: Checkout, name: str) -> None:
    checkout.fake_python()
    checkout.make("demo")
    original = (checkout.path / name).read_text()
    for content in (f"{original}# changed\n", original):
        (checkout.path / name).write_text(content)
        before = len(checkout.calls)
        checkout.make("demo")
        assert len(checkout.calls) == before + 2


def test_an_installation_that_broke_off_is_done_again(checkout: Checkout) -> None:
    checkout.fake_python()
    checkout.make("demo")
    (checkout.path / "requirements.txt").write_text("no-such-package==1\n")
    (checkout.path / ".venv/bin/python").write_text("#!/bin/sh\nexit 1\n")
    assert checkout.make("demo").returncode == 2
    assert not list((checkout.path / ".venv").glob(".run-*"))


def test_a_moved_checkout_installs_again(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout.fake_python()
    checkout.make("demo")
    before = len(checkout.calls)
    log = checkout.path / "calls"
    checkout.path = checkout.path.rename(tmp_path_factory.mktemp("elsewhere") / "moved")
    checkout.programs = checkout.path / "programs"
    log.parent.mkdir()  # where the programs of the environment write
    checkout.make("demo")
    assert before == 2
    assert len(log.read_text().splitlines()) == 2


def test_uv_installs_where_there_is_one(checkout: Checkout) -> None:
    checkout.fake_python()
    checkout.program("uv", f'echo "uv $*" >> {checkout.path}/calls')
    assert checkout.make("demo").returncode == 0
    # It is asked for its version, says nothing, and so counts as none.
    assert checkout.calls[1].startswith("python -m pip")
    checkout.program("uv", f'[ "$1" = --version ] && echo uv 1 || echo "uv $*" >> {checkout.path}/calls')
    (checkout.path / "pyproject.toml").write_text("")
    assert checkout.make("demo").returncode == 0
    assert "uv pip install --quiet --python .venv/bin/python -r requirements.txt -e ." in checkout.calls


def test_clean_takes_the_installation_and_leaves_the_data(checkout: Checkout) -> None:
    checkout.fake_python()
    checkout.make("demo")
    for folder in ("actors", "system", "storage", "http", "tests", "src"):
        (checkout.path / folder / "__pycache__").mkdir(parents=True)
    (checkout.path / "data").mkdir()
    assert checkout.make("clean").returncode == 0
    assert not (checkout.path / ".venv").exists()
    assert not list(checkout.path.rglob("__pycache__"))
    assert (checkout.path / "data").exists()
