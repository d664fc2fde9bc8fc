"""`.ci/version`: a release is one version everywhere, or none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import data_manager

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, CHART, CHANGELOG = "src/data_manager/__init__.py", "chart/Chart.yaml", ".github/CHANGELOG.md"


class Checkout:
    """A folder with what the script reads, all of it of version 1.2.3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(PACKAGE, '"""A package."""\n\n__version__ = "1.2.3"\n')
        self.write(CHART, 'apiVersion: v2\nversion: 1.2.3\nappVersion: "1.2.3"\nkubeVersion: ">=1.25.0-0"\n')
        self.write(CHANGELOG, "# Changelog\n\n## 1.2.3\n\nNew.\n\n### More\n\n- One.\n\n## 1.2.30\n\nOld.\n")
        (folder / ".ci").mkdir()
        shutil.copy(ROOT / ".ci" / "version", folder / ".ci")

    def write(self, name: str, text: str) -> None:
        """Write a file of it."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        """Write something else into a file."""
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def version(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the script."""
        return subprocess.run([self.folder / ".ci/version", *arguments], capture_output=True, text=True, timeout=10)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_this_tree_can_be_released() -> None:
    tag = f"v{data_manager.__version__}"
    done = subprocess.run([ROOT / ".ci/version", tag], capture_output=True, text=True, timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{data_manager.__version__}\n", "")


def test_one_version_everywhere_is_printed(checkout: Checkout) -> None:
    assert checkout.version("v1.2.3").stdout == "1.2.3\n"


def test_what_the_changelog_says_of_it_ends_at_the_next_version(checkout: Checkout) -> None:
    assert checkout.version("v1.2.3", "--changes").stdout == "\nNew.\n\n### More\n\n- One.\n\n"


@pytest.mark.parametrize("tag", ["", "1.2.3", "v1.2", "v1.2.3-rc1", "v01.2.3", "v1.2.3\nv1.2.3", "version", "v1.2.3.4"])
def test_a_tag_that_is_no_semantic_version_is_refused(checkout: Checkout, tag: str) -> None:
    refused = checkout.version(tag)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "a tag is vX.Y.Z" in refused.stderr


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        (PACKAGE, "1.2.3", "1.2.4", "v1.2.3: the package is 1.2.4"),
        (CHART, "\nversion: 1.2.3", "\nversion: 0.1.0", "v1.2.3: the chart is 0.1.0"),
        (CHART, 'appVersion: "1.2.3"', 'appVersion: "1.2.2"', "v1.2.3: the chart installs 1.2.2"),
        (CHANGELOG, "## 1.2.3\n", "## Unreleased\n", "says nothing under '## 1.2.3'"),
        (CHANGELOG, "\nNew.\n\n### More\n\n- One.\n", "\n", "says nothing under '## 1.2.3'"),
    ],
)
def test_whatever_is_of_another_version_is_named(
    checkout: Checkout, name: str, old: str, new: str, sentence: str
) -> None:
    checkout.change(name, old, new)
    refused = checkout.version("v1.2.3")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert sentence in refused.stderr
