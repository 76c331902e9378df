"""docs/extending.md: its files, written to a folder outside the tree, run there with nothing changed inside."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import halflogistic, kstest

from genjax import flip, gen, normal, seed
from pipelines import cli
from pipelines.config.configuration import configure
from pipelines.contract.__main__ import run as contract
from pipelines.install.requirements import EXTENSIONS
from pipelines.plan import fingerprint
from pipelines.plan.cells import races
from pipelines.plan.descriptions import describe
from pipelines.plan.extensions import tree_of
from pipelines.plan.tree import Tree

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
FAST = (
    *("size=smoke", "stages=[run]", "timing.processes=1", "timing.min_rounds=3", "timing.max_rounds=3"),
    "timing.budget_seconds=1",
)


@pytest.fixture
def folder(tmp_path, monkeypatch, quick_programs):
    """The files of the page outside the tree."""
    monkeypatch.setenv(EXTENSIONS, "")
    for name, text in FILES.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "mine"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def records(results):
    found = [json.loads(path.read_text()) for path in results.glob("*/*/[!.]*/record.json")]
    return {(one["identity"]["task"], one["identity"]["framework"]): one for one in found}


def test_worked_examples_are_as_small_as_promised():
    system = [name for name in FILES if "blackjax" in name]
    assert len(system) == 2 and sum(FILES[name].count("\n") for name in system) <= 120
    assert len([name for name in FILES if "eight_schools" in name]) <= 6


def test_blackjax_runs_from_outside(folder, tmp_path):
    pytest.importorskip("blackjax")
    tasks = ("importance_sampling", "importance_sweep", "hmc", "hmc_chains")
    words = ["study=perfbench", "frameworks=[handcoded_jax,blackjax_fixed]", f"extensions=[{folder}]", *FAST]
    words.append(f"tasks=[{','.join(tasks)}]")
    status = cli.main([*words, f"results={tmp_path / 'results'}", f"figs={tmp_path / 'figs'}"])
    found = records(tmp_path / "results")
    mine = {task: one["status"] for (task, name), one in found.items() if name == "blackjax_fixed"}
    assert (status, mine) == (0, dict.fromkeys(tasks, "ok"))
    inputs = found["hmc", "blackjax_fixed"]["inputs"]
    assert {
        "frameworks/blackjax_fixed.py",
        "frameworks/jax_base.py",
        "studies/perfbench/models/blackjax_fixed.py",
    } <= inputs.keys()
    assert "blackjax_fixed" not in Tree().frameworks()


def test_eight_schools_keep_the_contract_from_outside(folder, capsys):
    assert contract(["study=eight_schools", f"extensions=[{folder}]"]) == 0, capsys.readouterr().out
    assert "1 programs examined, 0 rules broken" in capsys.readouterr().out


def test_a_model_from_outside_uses_a_distribution_from_outside(folder, capsys):
    (line,) = re.findall(r"^from studies.*half_logistic$", PAGE, re.MULTILINE)
    models = folder / "studies/eight_schools/models"
    (folder / "half_logistic.py").rename(models / "_half_logistic.py")
    model = (models / "genjax.py").read_text()
    model = model.replace("import gen, normal\n", f"import gen, normal\n{line}\n")
    (models / "genjax.py").write_text(model.replace('normal(1.0, 1.0) @ "log_tau"', 'half_logistic(1.0) @ "log_tau"'))
    assert contract(["study=eight_schools", f"extensions=[{folder}]", "figures=false"]) == 1
    out = capsys.readouterr().out
    assert "models/genjax.py:17: gate: mu and log_tau are not from the prior" in out and "1 rules broken" in out
    (configuration,) = configure(["study=eight_schools"], tree_of([f"extensions=[{folder}]"])[0])
    (cell,) = races(configuration)[0].cells
    named = fingerprint.shared_inputs(configuration, cell.study, "cpu", describe(cell.framework, configuration.tree))
    assert "studies/eight_schools/models/_half_logistic.py" in named, "an edit of it measures again"


def test_the_distribution_draws_what_its_density_says(folder):
    half_logistic = loaded(folder / "half_logistic.py").half_logistic

    @gen
    def model():
        return half_logistic(2.0) @ "x"

    draws = jax.vmap(lambda key: seed(model.simulate)(key).get_retval())(jax.random.split(jax.random.key(1), 2000))
    # A fixed seed; of other seeds, one in 10^4 would fail.
    assert kstest(np.asarray(draws), halflogistic(scale=2.0).cdf).pvalue > 1e-4
    values = np.array([0.1, 1.0, 5.0])
    assert np.allclose(half_logistic.logpdf(values, 2.0), halflogistic(scale=2.0).logpdf(values), atol=1e-5)
    assert half_logistic.logpdf(-1.0, 2.0) == -jnp.inf


def test_the_example_of_the_kernel_runs(folder):
    blocks = re.findall(
        r"^```python\n(.*?)^```", PAGE[PAGE.index("## An inference kernel") :], re.MULTILINE | re.DOTALL
    )
    example = blocks[-1]
    assert "assert" in example
    exec(compile(example, "extending.md", "exec"), {"Mirror": loaded(folder / "mirror.py").Mirror})


def test_the_kernel_visits_both_modes(folder):
    mirror = loaded(folder / "mirror.py").Mirror("x", 0.0)

    @gen
    def model():
        side = flip(0.5) @ "side"
        x = normal(0.0, 3.0) @ "x"
        return normal(x**2, 0.5) @ "square", side

    def chain():
        trace, _ = model.generate({"square": 4.0, "x": 2.0})
        state = mirror.init(trace.observe({"square": 4.0}))
        state, info = mirror.step(state)
        return state.trace["x"], info.accept

    ends, accepted = jax.vmap(seed(chain))(jax.random.split(jax.random.key(2), 50))
    assert np.allclose(ends, -2.0) and bool(np.all(accepted)), "the density is symmetric, so every move is accepted"
