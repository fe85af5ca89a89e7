"""Files about the repository agree with the package."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_is_of_this_version(project: Any) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
    assert citation["authors"][0]["name"] == project["authors"][0]["name"]


def test_continuous_integration_runs_what_anyone_can_run() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    commands = [step["run"].split()[0] for job in jobs.values() for step in job["steps"] if "run" in step]
    scripts = {command for command in commands if command.startswith(".ci/")}
    assert scripts == {".ci/run", ".ci/coverage"}
    for script in scripts:
        assert (ROOT / script).stat().st_mode & 0o100
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


@pytest.mark.parametrize(
    "template", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.name
)
def test_issue_templates_are_what_forms_need(template: Path) -> None:
    form = yaml.safe_load(template.read_text())
    if template.name == "config.yml":
        return
    assert {"name", "description", "body"} <= set(form)
    assert all(field["id"] and field["attributes"]["label"] for field in form["body"])


def test_links_between_pages_of_the_repository_lead_somewhere() -> None:
    for page in ROOT.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
