"""docs/fairness.md: its tables are those of docs/fairness.json, and no registered form beats the published one."""

import functools
from pathlib import Path

import pytest

from pipelines.bench.race_forms import PAGE, ahead, read, stored, with_tables
from pipelines.config.configuration import configure
from pipelines.plan.forms import forms_of
from pipelines.plan.tree import Tree

ROOT = Path(__file__).resolve().parents[2]
TREE = Tree()


@functools.cache
def tasks_of(study):
    (configuration,) = configure([f"study={study}"], TREE)
    return configuration.tasks


def test_no_registered_form_beats_the_published_one_by_more_than_five_percent():
    assert ahead(stored(ROOT)) == []


def test_the_tables_are_those_of_the_measurements():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    assert with_tables(page, read(ROOT)) == page


def test_every_system_with_forms_has_its_table():
    page = (ROOT / PAGE).read_text(encoding="utf-8")
    for name in TREE.frameworks():
        path = TREE.model_path("perfbench", TREE.describe(name))
        if len(forms_of(path, "importance_sampling")) > 1:
            assert f"<!-- forms {name} -->" in page, name


@pytest.mark.parametrize("one", stored(ROOT), ids=lambda one: f"{one.framework}-{one.task}-{one.form}-{one.parameters}")
def test_measured_forms_are_registered_and_were_right(one):
    program = tasks_of(one.study)[one.task].get("program") or one.task  # the same program on another number of cores
    forms = forms_of(TREE.model_path(one.study, TREE.describe(one.framework)), program)
    assert one.form in [form.name for form in forms.values()]
    assert one.status in ("ok", "skipped")
