"""Frameworks with workers of their own against the contract: what their replies show, and what is not installed."""

import contextlib
import io
import os
import re
import stat
import sys
import textwrap

import pytest

from pipelines.contract.__main__ import run
from pipelines.testing.toy import Toy
from tests.contract.test_contract_command import BROKEN, CONFIG, EXTRA, FIGURES, MODEL, PROBLEM, RIGHT
from tests.studies.perfbench.test_worker_in_another_language import JULIA

ORDINARY = ("pipelines.workers.worker",)
MISBEHAVING = ("pipelines.testing.misbehaving_worker", "--fault")
SHOWN = {
    "raises": "runs",
    "returns_none": "runs",
    "nested": "runs",
    "wavering": "outputs",
    "too_wide": "dtype",
    "more": "shapes",
    "renamed": "shapes",
    "unrepeatable": "repeatable",
    "fixed_seed": "seed",
    "one_for_all": "fresh",
    "lazy": "synchronize",
    "off_centre": "gate",
    "transformed": "support",
    "bad_notes": "protocol",
}
"""By adapter of `test_contract_command`: the rule whose breaking the replies of its worker show."""
FAULTS = {
    "talks": ("words", "protocol"),
    "stays_silent": ("killed", "protocol"),
    "later": ("protocol of another version", "protocol"),
    "empty": ("no outputs", "outputs"),
    "objects": ("file of objects as output", "outputs"),
}
"""Misbehaving workers: the fault, and the rule."""


def command(*words):
    return f"command = {(sys.executable, '-m', *words)!r}"


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A study of normal draws whose adapters all run in a worker of their own, as far as the pipeline knows."""
    toy = Toy(tmp_path_factory.mktemp("noise"))
    toy.write("studies/noise/problem.py", PROBLEM)
    toy.write("studies/noise/figures.py", FIGURES)
    toy.write("configs/study/noise.yaml", CONFIG)
    adapters = {"right": {}} | {name: BROKEN[name][1] for name in SHOWN}
    for name, changes in adapters.items():
        toy.framework(name, command(*ORDINARY) + "\n" + textwrap.dedent(EXTRA.get(name, "")))
        toy.write(f"studies/noise/models/{name}.py", MODEL.format(**{**RIGHT, **changes}))
    for name, (fault, _) in FAULTS.items():
        toy.framework(name, command(*MISBEHAVING, fault))
        toy.write(f"studies/noise/models/{name}.py", MODEL.format(**RIGHT))
    toy.framework("absent", 'command = ("no_such_system", "--worker")')
    toy.write("studies/noise/models/absent.py", MODEL.format(**RIGHT))
    return toy


@pytest.fixture(scope="module")
def told(noise):
    """What the command says of the study, and its exit status."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = run(["study=noise", "figures=false"], noise.tree)
    return status, said.getvalue()


@pytest.mark.parametrize(("name", "rule"), [*SHOWN.items(), *((name, rule) for name, (_, rule) in FAULTS.items())])
def test_replies_show_the_rule_that_is_broken(told, name, rule):
    lines = [line for line in told[1].splitlines() if f"models/{name}.py:" in line and "BROKEN" in line]
    assert any(re.search(rf"models/{name}.py:\d+: {rule}: ", line) for line in lines), told[1]


def test_the_right_worker_keeps_the_contract(told):
    status, text = told
    assert status == 1 and "models/right.py" not in text


def test_what_is_not_installed_is_skipped_beside_the_others(told):
    assert "skipped  absent: no_such_system is not installed" in told[1]
    assert f"contract: {1 + len(SHOWN) + len(FAULTS)} programs examined" in told[1]


def test_nothing_examined_is_no_success(noise, capsys):
    assert run(["framework=absent"], noise.tree) == 1
    out = capsys.readouterr().out
    assert "contract: nothing was examined: absent: no_such_system is not installed" in out
    assert "programs examined" not in out and "noise: right" not in out, "baselines are not asked either"


def test_a_framework_without_programs_is_told(noise, capsys):
    noise.framework("idle")
    assert run(["framework=idle"], noise.tree) == 1
    assert "contract: nothing was examined: idle has no program that is asked for" in capsys.readouterr().out


@pytest.fixture
def julia(tmp_path, monkeypatch):
    """A stand-in for `julia` whose importance sampling is right and whose Hamiltonian Monte Carlo stands still."""
    script = tmp_path / "bin" / "julia"
    script.parent.mkdir()
    script.write_text(JULIA.format(python=sys.executable, mode="right", quits=str(tmp_path / "quits")))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")


def test_gen_is_examined_through_its_worker(julia, capsys):
    assert run(["framework=genjl", "study=perfbench"]) == 1
    out = capsys.readouterr().out
    assert "perfbench: genjl, " in out and "skipped" not in out
    broken = [line for line in out.splitlines() if "BROKEN" in line]
    (gate,) = [line for line in broken if ": gate: " in line]
    assert re.search(r"models/genjl\.jl:\d\d+: gate: .*chains stand still", gate), "the line of `hmc` in the Julia file"
    assert not [line for line in broken if "perfbench/importance_sampling genjl" in line]


def test_gen_without_julia_is_not_examined(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(["framework=genjl", "study=perfbench"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == ("contract: nothing was examined: genjl: julia is not installed")
