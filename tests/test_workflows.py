"""The workflows: pinned, with the least rights and with an end, and made of commands that exist."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.test_image import BASE

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SECRETS = {"DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN", "KUBE_CONFIG_DATA"}  # the original's names
PINNED = re.compile(r"uses: ([\w-]+/[\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$")

Job = dict[str, Any]


def workflow(path: Path) -> dict[str, Any]:
    """A workflow; `on` comes as a string, which YAML 1.1 takes for true."""
    loaded = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in loaded.items()}


WORKFLOWS = {path.stem: workflow(path) for path in FILES}
JOBS = {f"{name}/{job}": body for name, flow in WORKFLOWS.items() for job, body in flow["jobs"].items()}
RELEASE: dict[str, Job] = WORKFLOWS["release"]["jobs"]


def steps(job: Job) -> list[dict[str, Any]]:
    """A job's steps; one that calls a workflow has none."""
    return list(job.get("steps", ()))


def scripts(*jobs: Job) -> Iterator[str]:
    """All that these jobs give to a shell."""
    yield from (step["run"] for job in jobs for step in steps(job) if "run" in step)


def targets() -> set[str]:
    """Of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_each_part_of_the_automation_has_its_workflow() -> None:
    assert set(WORKFLOWS) == {"ci", "nightly", "release"}
    assert set(WORKFLOWS["ci"]["on"]) == {"push", "pull_request", "workflow_call"}
    assert "schedule" in WORKFLOWS["nightly"]["on"]
    assert WORKFLOWS["release"]["on"] == {"push": {"tags": ["v*"]}}


# -- safety -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_action_is_pinned_to_a_commit_and_says_its_version(path: Path) -> None:
    used = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    for line in used:
        local = re.fullmatch(r"uses: \./(\S+)", line)
        assert PINNED.fullmatch(line) or (local and (ROOT / local[1]).is_file()), line


def test_an_action_has_the_same_pin_everywhere() -> None:
    pins = {
        found.groups() for path in FILES for line in path.read_text().splitlines() if (found := PINNED.search(line))
    }
    assert len({name for name, *_ in pins}) == len(pins)


@pytest.mark.parametrize("name", JOBS)
def test_every_job_ends_and_names_its_rights(name: str) -> None:
    assert "uses" in JOBS[name] or 0 < JOBS[name]["timeout-minutes"] <= 240
    assert "permissions" in JOBS[name]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_no_rights_but_its_jobs_and_runs_once_at_a_time(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert WORKFLOWS[name]["concurrency"]["group"]


def test_one_job_may_write_and_that_is_a_release() -> None:
    rights = {name: job["permissions"] for name, job in JOBS.items()}
    assert rights.pop("release/chart") == {"contents": "write"}
    assert list(rights.values()) == [{"contents": "read"}] * len(rights)


def test_no_checkout_keeps_a_token() -> None:
    checkouts = [step for job in JOBS.values() for step in steps(job) if "checkout@" in step.get("uses", "")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(checkouts)


def test_secrets_are_the_originals_and_a_pull_request_sees_none() -> None:
    named = {path.stem: set(re.findall(r"secrets\.(\w+)", path.read_text())) for path in FILES}
    assert named == {"ci": set(), "nightly": set(), "release": SECRETS}
    assert not [path for path in FILES if re.search(r"pull_request_target|secrets: inherit", path.read_text())]


def test_nothing_from_outside_is_pasted_into_a_script() -> None:
    assert not [script for script in scripts(*JOBS.values()) if "${{" in script]


# -- what they call -----------------------------------------------------------------------------------------


def test_every_script_and_every_target_exists() -> None:
    called = "\n".join(scripts(*JOBS.values()))
    named = set(re.findall(r"\.ci/\w+", called))
    assert named == {".ci/run", ".ci/version"}
    assert [script for script in named if not os.access(ROOT / script, os.X_OK)] == []
    assert set(re.findall(r"^make (\w+)", called, re.MULTILINE)) == {"nightly"} <= targets()


def test_they_run_on_the_python_and_the_debian_of_the_image() -> None:
    containers = {job["container"]["image"] for job in JOBS.values() if "container" in job}
    assert containers == {BASE.rpartition("/")[2].replace("-slim", "")}


# -- a release ----------------------------------------------------------------------------------------------


def test_nothing_is_published_before_the_version_is_checked_and_the_tests_have_passed() -> None:
    assert RELEASE["ci"]["needs"] == "version"
    assert {"version", "ci"} <= set(RELEASE["image"]["needs"])
    for name in ("chart", "deploy"):
        assert "image" in RELEASE[name]["needs"]


def test_the_image_is_the_one_that_the_chart_installs() -> None:
    values = yaml.safe_load((ROOT / "chart" / "values.yaml").read_text())
    assert WORKFLOWS["release"]["env"]["IMAGE"] == values["image"]["repository"]


def test_a_cluster_is_touched_only_where_the_repository_opts_in() -> None:
    assert RELEASE["deploy"]["if"] == "vars.DEPLOY == 'true'"
    others = [script for name, job in JOBS.items() if name != "release/deploy" for script in scripts(job)]
    assert not [script for script in others if re.search(r"helm (upgrade|install|test)|kubectl", script)]


def test_a_deployment_waits_goes_back_when_it_fails_and_is_tested() -> None:
    commands = [script for script in scripts(RELEASE["deploy"]) if script.startswith("helm ")]
    assert [command.split()[1] for command in commands] == ["upgrade", "test"]
    assert {"--install", "--atomic", "--wait"} <= set(commands[0].split())
    assert commands[0].split()[3] == commands[1].split()[2]  # the release's name


# -- before a commit ----------------------------------------------------------------------------------------


def test_hooks_fetch_nothing_and_call_what_the_makefile_calls() -> None:
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [each["repo"] for each in repositories] == ["local"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in repositories[0]["hooks"]:
        program, argument, *_ = [*hook["entry"].split(), ""]
        assert hook["language"] == "system"
        assert (program == "make" and argument in targets()) or (
            f"$(BIN)/{program.removeprefix('.venv/bin/')} {argument}".strip() in makefile
        )
