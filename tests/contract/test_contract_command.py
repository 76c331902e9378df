"""The contract command: adapters broken on purpose are caught by the name of their rule, with file and line."""

import contextlib
import io
import re
import textwrap

import pytest

from pipelines.contract.__main__ import run
from pipelines.contract.rules import RULES
from pipelines.entry import guarded
from pipelines.testing.toy import Toy

PROBLEM = """
import numpy as np
from studies.base import Problem, Verdict

def make_problem(parameters):
    return Problem({"scale": np.float32(2.0)}, {"scale": 2.0})

def check(task, problem, parameters, outputs):
    draws = outputs["draws"]
    off = abs(draws.mean()) / (problem.truth["scale"] / np.sqrt(draws.size))
    spread = abs(draws.std() / problem.truth["scale"] - 1) * np.sqrt(2 * draws.size)
    # Two normal statistics at 6 standard errors: a right sampler is refused in 4 of 10^9 runs.
    bad = [name for name, value in (("mean", off), ("sd", spread)) if value > 6]
    return Verdict(f"{' and '.join(bad)} beyond 6 standard errors" if bad else None, {"off": off})
"""
CONFIG = """
name: noise
parameters: {n_draws: 2000}
tasks:
  sampling: {baseline: right, gate_calls: 4}
supports: {sizes: positive}
figures:
  histogram: {}
sizes:
  smoke: {}
"""
FIGURES = """
from matplotlib.figure import Figure
from studies.base import figure

@figure(file="histogram", tasks=("sampling",))
def histogram(context):
    drawing = Figure(figsize=(2, 2))
    drawing.add_subplot().hist(context.rows[0].arrays["draws"].ravel())
    return drawing
"""
MODEL = """
import numpy as np
from frameworks.base import Program


def sampling(framework, data, parameters):
    def prepare(seed):
        return {{"seed": np.array([{seed}]), "scale": data["scale"]}}

    def run(inputs):
        generator = np.random.default_rng(int(inputs["seed"][0]))
        draws = (inputs["scale"] * generator.standard_normal({count})).astype(np.float32)
        {before}
        return {result}

    return {program}
"""
RIGHT = {
    "seed": "seed",
    "count": 'parameters["n_draws"]',
    "before": "pass",
    "result": '{"draws": draws, "sizes": np.abs(draws)}',
    "program": "Program(prepare, run)",
}
BROKEN = {
    "returns_none": ("program", {"program": "None"}),
    "raises": ("runs", {"before": "raise RuntimeError('no such operator')"}),
    "nested": ("outputs", {"result": '{"draws": {"inner": draws}}'}),
    "too_wide": ("dtype", {"result": '{"draws": draws.astype(np.float64)}'}),
    "more": ("shapes", {"count": '2 * parameters["n_draws"]'}),
    "renamed": ("shapes", {"result": '{"draws": draws, "extra": draws}'}),
    "unrepeatable": ("repeatable", {"before": "draws = draws + np.float32(np.random.rand() * 1e-3)"}),
    "fixed_seed": ("seed", {"seed": "0"}),
    "used_up": ("inputs", {"before": 'inputs["seed"] += 1'}),
    "talkative": ("stdout", {"before": 'print("sampling...")'}),
    "off_centre": ("gate", {"before": "draws = draws + np.float32(1)"}),
    "too_narrow": ("gate", {"before": "draws = draws * np.float32(0.7)"}),
    "bad_notes": ("notes", {"program": 'Program(prepare, run, {"array": np.ones(2)})'}),
    "lazy": ("synchronize", {}),
    "wavering": ("outputs", {"count": 'parameters["n_draws"] + int(inputs["seed"][0] % 2)'}),
    "silent": ("runs", {"before": "raise ValueError"}),
    "transformed": ("support", {"result": '{"draws": draws, "sizes": np.log(np.abs(draws))}'}),
    "one_for_all": ("fresh", {}),
}
EXTRA = {
    "lazy": '''
        def to_numpy(self, outputs):
            import time
            time.sleep(0.03)  # the work, done when it is asked for
            return outputs
    ''',
    "one_for_all": '''
        def inputs_of_calls(self, program, seed, calls):
            return [program.prepare(seed)] * calls
    ''',
}  # fmt: skip
MUTANTS = """
import numpy as np
from frameworks.base import Program, mutant
from studies.noise.models import right


@mutant(task="sampling", effect="a mean of 1", cheap=True)
def shifted(framework, data, parameters):
    program = right.sampling(framework, data, parameters)

    def run(inputs):
        outputs = program.run(inputs)
        return {**outputs, "draws": outputs["draws"] + np.float32(1)}

    return Program(program.prepare, run)


@mutant(task="sampling", effect="nothing wrong", cheap=True)
def honest(framework, data, parameters):
    return right.sampling(framework, data, parameters)
"""


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A checkout with a study of normal draws, a right adapter, and one for every way of being broken."""
    toy = Toy(tmp_path_factory.mktemp("noise"))
    toy.write("studies/noise/problem.py", PROBLEM)
    toy.write("studies/noise/figures.py", FIGURES)
    toy.write("configs/study/noise.yaml", CONFIG)
    for name, (_, changes) in {"right": ("", {}), **BROKEN}.items():
        toy.framework(name, textwrap.dedent(EXTRA.get(name, "")))
        toy.write(f"studies/noise/models/{name}.py", MODEL.format(**{**RIGHT, **changes}))
    return toy


@pytest.fixture(scope="module")
def told(noise):
    """What the command says of the study, and its exit status."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = run(["study=noise", "figures=false"], noise.tree)
    return status, said.getvalue()


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name, (rule, _) in BROKEN.items()])
def test_a_broken_adapter_is_caught_by_name(told, name, rule):
    lines = [line for line in told[1].splitlines() if f"models/{name}.py:" in line and "BROKEN" in line]
    assert any(re.search(rf"models/{name}.py:\d+: {rule}: ", line) for line in lines), told[1]
    assert all(re.search(r"The contract: .*; (frameworks|studies)/base.py:\d+$", line) for line in lines)


def test_the_right_adapter_keeps_the_contract(told):
    status, text = told
    assert status == 1 and "models/right.py" not in text


def test_a_study_without_mutants_is_told(told):
    assert re.search(r"studies/noise/problem.py:\d+: mutants: the study has no mutants", told[1])


def test_the_line_of_a_fault_is_where_it_is_raised(told):
    (line,) = [one for one in told[1].splitlines() if "models/raises.py:" in one]
    number = int(re.search(r"raises.py:(\d+)", line).group(1))
    text = MODEL.format(**{**RIGHT, **BROKEN["raises"][1]})
    assert "raise RuntimeError" in text.splitlines()[number - 1]


def test_mutants_that_pass_the_gate_are_told_and_figures_are_drawn(noise, capsys):
    for name in BROKEN:
        (noise.root / f"studies/noise/models/{name}.py").unlink()
    noise.write("studies/noise/mutants/right.py", MUTANTS.replace("from studies.noise.models import right", LOADED))
    noise.write("studies/noise/figures.py", FIGURES.replace("    return drawing", "    return drawing.missing"))
    assert run(["study=noise"], noise.tree) == 1
    out = capsys.readouterr().out
    assert re.search(r"mutants/right.py:\d+: mutants: honest .* was invalid in 0 of 2 runs", out)
    assert "shifted" not in out
    assert re.search(r"figures.py:\d+: figures: AttributeError", out)


def test_mutants_of_a_system_that_is_not_installed_are_skipped(tmp_path, capsys):
    toy = Toy(tmp_path)
    toy.write("frameworks/second.py", "import no_such_system\n" + (toy.root / "frameworks/second.py").read_text())
    mutant = MUTANTS.replace("from studies.noise.models import right", "").replace('"sampling"', '"total"')
    toy.write("studies/toy/mutants/second.py", mutant)
    assert run(["study=toy", "framework=second"], toy.tree) == 1
    out = capsys.readouterr().out
    assert "skipped  second: no_such_system is not installed" in out and "BROKEN" not in out
    assert "contract: nothing was examined: second: no_such_system is not installed" in out


LOADED = """import importlib.util
import pathlib
_path = pathlib.Path(__file__).parents[1] / "models" / "right.py"
_spec = importlib.util.spec_from_file_location("right_model", _path)
right = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(right)"""


@pytest.mark.parametrize("name", RULES)
def test_every_rule_points_to_a_line(name):
    assert re.fullmatch(r"(frameworks|studies)/base\.py:\d+", RULES[name].place)


def test_a_support_that_is_none_is_told(noise, capsys):
    noise.write("configs/study/noise.yaml", CONFIG.replace("sizes: positive}", "sizes: postive, draws: [1, 0]}"))
    assert guarded(lambda: run(["study=noise"], noise.tree)) == 2
    noise.write("configs/study/noise.yaml", CONFIG)
    error = capsys.readouterr().err
    assert "study.supports.sizes: Unknown support 'postive'. Did you mean positive" in error
    assert "study.supports.draws=[1, 0]: must be positive or unit, or a list" in error


def test_unknown_names_get_the_nearest(noise, capsys):
    assert guarded(lambda: run(["study=nosie"], noise.tree)) == 2
    assert "Unknown study 'nosie'. Did you mean noise" in capsys.readouterr().err
