"""Files for a public forge: workflows that run tasks of this project, templates that ask for what is needed."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
TASKS = tomllib.loads((ROOT / "pixi.toml").read_text(encoding="utf-8"))["tasks"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
FORMS = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]


def commands(workflow: dict) -> list[str]:
    return [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]


def test_there_is_a_workflow_for_each_purpose():
    assert set(WORKFLOWS) == {"tests", "nightly", "docs", "weekly"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_workflows_run_tasks_that_exist_with_no_more_rights_than_reading(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 180 for job in workflow["jobs"].values())
    named = re.findall(r"\./run ([a-z-]+)", "\n".join(commands(workflow)))
    assert set(named) <= set(TASKS)


def test_what_pushes_leave_out_is_tested_every_week():
    assert "./run test" in commands(WORKFLOWS["tests"])
    assert "./run test --thorough" in commands(WORKFLOWS["weekly"])


def test_coverage_is_measured_every_week_and_not_on_every_push():
    assert "./run test --coverage" in commands(WORKFLOWS["weekly"])
    assert not any("--coverage" in command for command in commands(WORKFLOWS["tests"]))


def test_every_supported_python_is_tested():
    pythons = WORKFLOWS["tests"]["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    assert all(python in SpecifierSet(PROJECT["requires-python"]) for python in pythons)


def test_both_ends_of_the_range_of_jax_are_tested():
    (range_,) = [one for one in map(Requirement, PROJECT["dependencies"]) if one.name == "jax"]
    bounds = {str(one) for one in range_.specifier}
    tested = [one["jax"] for one in WORKFLOWS["tests"]["jobs"]["jax"]["strategy"]["matrix"]["include"]]
    assert {one.replace("jax", "").replace("==", ">=") for one in tested} == bounds


def test_the_nightly_refuses_a_released_jax():
    assert any("'dev' in jax.__version__" in command for command in commands(WORKFLOWS["nightly"]))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_are_complete(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"] and form["description"] and form["body"]
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_a_kernel_needs_a_paper_and_a_reference():
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / "kernel.yml").read_text(encoding="utf-8"))
    required = [field["attributes"]["label"] for field in form["body"] if field.get("validations", {}).get("required")]
    assert {"Paper", "Reference implementation"} <= set(required)


def test_hooks_run_the_tools_of_this_environment():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert all(hook["entry"].startswith(".venv/bin/python -m ") for hook in hooks[0]["hooks"])


def test_citation_names_the_version_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == "Apache-2.0" and citation["preferred-citation"]["year"] == 2026
