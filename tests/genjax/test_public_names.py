"""Every public name at every import path: it exists, is documented in the source, and says what it takes."""

import ast
import functools
import importlib
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import genjax
from genjax import Distribution, Pytree
from genjax.core import GFI
from genjax.pjax import sample_p

ROOT = Path(genjax.__file__).parent.parent

TOP_LEVEL = """
GFI Distribution Fn Pytree Const const Fixed fixed NotFixedException Trace Tr Vmap Scan Cond gen get_choices
tfp_distribution trace sel Selection distribution
modular_vmap seed
bernoulli beta categorical flip normal uniform exponential poisson multivariate_normal dirichlet binomial gamma
log_normal student_t laplace half_normal inverse_gamma weibull cauchy chi2 multinomial negative_binomial zipf geometric
Dual expectation flip_enum flip_enum_parallel flip_mvd flip_reinforce categorical_enum_parallel geometric_reinforce
normal_reinforce uniform_reinforce normal_reparam uniform_reparam multivariate_normal_diag_reparam
multivariate_normal_reparam multivariate_normal_reinforce
MCMCResult chain mh mala hmc compute_rhat compute_ess
ParticleCollection init change extend rejuvenate resample rejuvenation_smc
state save tag_state namespace
horizontal_raincloud raincloud
"""
EXTRAS = """
discrete_hmm forward_filter backward_sample forward_filtering_backward_sampling compute_sequence_log_prob
sample_hmm_dataset DiscreteHMMTrace kalman_filter kalman_smoother sample_linear_gaussian_dataset LinearGaussianTrace
discrete_hmm_test_dataset discrete_hmm_exact_log_marginal linear_gaussian_test_dataset
linear_gaussian_exact_log_marginal discrete_hmm_inference_problem linear_gaussian_inference_problem linear_gaussian
"""
SMC = "init change extend rejuvenate resample rejuvenation_smc ParticleCollection"
VI = "elbo_factory VariationalApproximation mean_field_normal_family full_covariance_normal_family elbo_vi"
ESTIMATORS = """
flip_enum flip_enum_parallel flip_mvd flip_reinforce categorical_enum_parallel geometric_reinforce normal_reinforce
uniform_reinforce normal_reparam uniform_reparam multivariate_normal_diag_reparam multivariate_normal_reparam
multivariate_normal_reinforce
"""
NAMES = {
    "genjax": TOP_LEVEL + EXTRAS,
    "genjax.core": """
        Pytree Const const Fixed fixed NotFixedException Trace Tr ScanTr CondTr get_choices get_fixed_choices get_score
        get_retval AllSel NoneSel StrSel TupleSel DictSel ComplSel InSel OrSel Selection sel match GFI Thunk trace
        Distribution distribution tfp_distribution Fn gen Vmap Scan Cond
    """,
    "genjax.pjax": """
        seed modular_vmap LoweringSamplePrimitiveToMLIRException stage sample_p adev_sample_p log_density_p PPPrimitive
        wrap_sampler wrap_logpdf sample_binder log_density_binder
    """,
    "genjax.distributions": """
        bernoulli flip categorical geometric binomial poisson negative_binomial zipf multinomial normal uniform
        exponential beta gamma inverse_gamma log_normal student_t laplace half_normal weibull cauchy chi2
        multivariate_normal dirichlet
    """,
    "genjax.state": "state save tag_state namespace State",
    "genjax.adev": f"""
        Dual ADEVPrimitive expectation reinforce Expectation ADEVProgram ADEV REINFORCE FlipEnum FlipMVD
        FlipEnumParallel CategoricalEnumParallel NormalREPARAM UniformREPARAM MultivariateNormalREPARAM
        MultivariateNormalDiagREPARAM DualTree invoke_closed_over {ESTIMATORS}
    """,
    "genjax.inference": f"mh mala hmc chain MCMCResult {SMC} {VI}",
    "genjax.inference.mcmc": "mh mala hmc chain MCMCResult compute_rhat compute_ess",
    "genjax.inference.smc": f"""
        {SMC} effective_sample_size systematic_resample resample_vectorized_trace init_csmc extend_csmc
    """,
    "genjax.inference.vi": f"{VI} optimize_vi",
    "genjax.extras": EXTRAS,
    "genjax.extras.state_space": EXTRAS,
    "genjax.viz": "horizontal_raincloud",
    "genjax.viz.raincloud": "horizontal_raincloud raincloud diagnostic_raincloud",
    "genjax.viz.standard": """
        FIGURE_SIZES PRIMARY_COLORS IS_VARIANT_COLORS SMC_METHOD_COLORS FONT_HIERARCHY FONT_WEIGHTS LINE_SPECS
        MARKER_SPECS ALPHA_VALUES LEGEND_SPECS LEGEND_POSITIONS GRID_SETTINGS TICK_SPECS SAVE_SPECS
        setup_publication_fonts get_method_color apply_grid_style set_minimal_ticks apply_standard_ticks
        apply_legend_style save_publication_figure create_method_legend setup_comparison_plot plot_data_points
        plot_method_curve finalize_comparison_plot validate_grvs_compliance get_grvs_summary
    """,
    "genjax.timing": "timing benchmark_with_warmup compare_timings",
    "genjax.compat": "enable_tfp",
}
CASES = [(module, name) for module, names in NAMES.items() for name in names.split()]
MARKERS = ("sample_p", "adev_sample_p", "log_density_p")
# Positional order and defaults that programs rely on. `key` of seed(f) and `self` are not part of it.
SIGNATURES = {
    "genjax.core.trace": "(addr, gen_fn, args, kwargs=None)",
    "genjax.core.const": "(a)",
    "genjax.core.fixed": "(value)",
    "genjax.core.gen": "(f)",
    "genjax.core.match": "(addr, sel)",
    "genjax.core.distribution": "(sampler, logpdf, /, name=None)",
    "genjax.core.tfp_distribution": "(ctor, /, name=None)",
    "genjax.core.Thunk": "(gen_fn, args, kwargs={})",
    "genjax.core.Tr": "(_gen_fn, _args, _choices, _retval, _score)",
    "genjax.core.Vmap": "(gen_fn, in_axes=0, axis_size=None, axis_name=None, spmd_axis_name=None)",
    "genjax.core.Scan": "(callee, length=None)",
    "genjax.core.Cond": "(callee_true, callee_false)",
    "genjax.core.NotFixedException": "(choice_map_status)",
    "genjax.pjax.seed": "(f)",
    "genjax.pjax.stage": "(f, **params)",
    "genjax.pjax.log_density_binder": "(impl, name=None)",
    "genjax.pjax.LoweringSamplePrimitiveToMLIRException": "(lowering_msg, binding_context=None)",
    "genjax.state.state": "(f)",
    "genjax.state.save": "(*values, **named)",
    "genjax.state.tag_state": "(*values, name)",
    "genjax.state.namespace": "(f, ns)",
    "genjax.state.State": "(collected_state={}, namespace_stack=[])",
    "genjax.adev.Dual": "(primal, tangent)",
    "genjax.adev.expectation": "(f)",
    "genjax.adev.reinforce": "(sample_func, logpdf_func, keyful_sample_func=None)",
    "genjax.adev.invoke_closed_over": "(instance, args)",
    "genjax.inference.smc.effective_sample_size": "(log_weights)",
    "genjax.inference.smc.systematic_resample": "(log_weights, n)",
    "genjax.inference.smc.resample_vectorized_trace": "(trace, log_weights, n, method)",
    "genjax.extras.forward_filtering_backward_sampling": """(observations, initial_probs, transition_matrix,
        emission_matrix)""",
    "genjax.extras.compute_sequence_log_prob": """(states, observations, initial_probs, transition_matrix,
        emission_matrix)""",
    "genjax.extras.discrete_hmm_test_dataset": "(initial_probs, transition_matrix, emission_matrix, T)",
    "genjax.extras.discrete_hmm_exact_log_marginal": """(observations, initial_probs, transition_matrix,
        emission_matrix)""",
    "genjax.extras.discrete_hmm_inference_problem": "(initial_probs, transition_matrix, emission_matrix, T)",
    "genjax.extras.kalman_smoother": "(observations, initial_mean, initial_cov, A, Q, C, R)",
    "genjax.extras.linear_gaussian_test_dataset": "(initial_mean, initial_cov, A, Q, C, R, T)",
    "genjax.extras.linear_gaussian_exact_log_marginal": "(observations, initial_mean, initial_cov, A, Q, C, R)",
    "genjax.extras.linear_gaussian_inference_problem": "(initial_mean, initial_cov, A, Q, C, R, T)",
    "genjax.pjax.modular_vmap": "(f, in_axes=0, axis_size=None, axis_name=None, spmd_axis_name=None)",
    "genjax.pjax.wrap_sampler": "(keyful_sampler, name=None, support=None)",
    "genjax.pjax.sample_binder": """(keyful_sampler, name=None, sample_shape=(), support=None, primitive=sample_p,
        primitive_params=None)""",
    "genjax.pjax.wrap_logpdf": "(logpdf, name=None)",
    "genjax.inference.mcmc.mh": "(trace, selection)",
    "genjax.inference.mcmc.mala": "(trace, selection, step_size)",
    "genjax.inference.mcmc.hmc": "(trace, selection, step_size, n_steps)",
    "genjax.inference.mcmc.chain": "(kernel)",
    "genjax.inference.mcmc.compute_rhat": "(samples)",
    "genjax.inference.mcmc.compute_ess": "(samples, kind='bulk')",
    "genjax.inference.smc.init": "(target_gf, target_args, n_samples, constraints, proposal_gf=None)",
    "genjax.inference.smc.change": "(particles, new_target_gf, new_target_args, choice_fn)",
    "genjax.inference.smc.extend": "(particles, gf, args, constraints, extension_proposal=None)",
    "genjax.inference.smc.rejuvenate": "(particles, kernel)",
    "genjax.inference.smc.resample": "(particles, method='categorical')",
    "genjax.inference.smc.rejuvenation_smc": """(model, transition_proposal=None, mcmc_kernel=None, observations=None,
        initial_model_args=None, n_particles=Const(1000), return_all_particles=Const(False),
        n_rejuvenation_moves=Const(1))""",
    "genjax.inference.smc.init_csmc": """(target_gf, target_args, n_samples, constraints, retained_choices,
        proposal_gf=None)""",
    "genjax.inference.smc.extend_csmc": """(particles, gf, args, constraints, retained_choices,
        extension_proposal=None)""",
    "genjax.inference.vi.elbo_factory": "(target_gf, variational_family, constraint, target_args=())",
    "genjax.inference.vi.optimize_vi": """(elbo_fn, init_params, learning_rate=0.001, n_iterations=1000,
        track_history=True)""",
    "genjax.inference.vi.elbo_vi": """(target_gf, variational_family, init_params, constraint, target_args=(),
        learning_rate=0.001, n_iterations=1000, track_history=True)""",
    "genjax.inference.vi.mean_field_normal_family": "(n_dims, gradient_estimator='reparam')",
    "genjax.inference.vi.full_covariance_normal_family": "(n_dims, gradient_estimator='reparam')",
    "genjax.extras.forward_filter": "(observations, initial_probs, transition_matrix, emission_matrix)",
    "genjax.extras.backward_sample": "(alpha, transition_matrix)",
    "genjax.extras.kalman_filter": "(observations, initial_mean, initial_cov, A, Q, C, R)",
    "genjax.extras.sample_hmm_dataset": "(initial_probs, transition_matrix, emission_matrix, T, K=Const(1))",
    "genjax.extras.sample_linear_gaussian_dataset": "(initial_mean, initial_cov, A, Q, C, R, T, K=Const(1))",
    "genjax.viz.raincloud.raincloud": "(x=None, y=None, data=None, orient='h', **kwargs)",
    "genjax.viz.raincloud.diagnostic_raincloud": """(ax, timestep_data, position, color='#606060', width=0.3,
        n_particles=None, ess_thresholds=None)""",
    "genjax.timing.timing": "(fn, repeats=20, inner_repeats=20, auto_sync=True, trim_fraction=0.2)",
    "genjax.timing.benchmark_with_warmup": """(fn, warmup_runs=2, repeats=10, inner_repeats=10, auto_sync=True,
        trim_fraction=0.2)""",
    "genjax.timing.compare_timings": "(*results, labels=None)",
}


@functools.cache
def documented_assignments() -> dict[str, set[str]]:
    """Module -> names assigned there with a docstring below; so are instances documented."""
    found = {}
    for path in (ROOT / "genjax").rglob("*.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[module] = {
            target.id
            for statement, below in zip(body, body[1:], strict=False)
            if isinstance(statement, (ast.Assign, ast.AnnAssign))
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
            for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
            if isinstance(target, ast.Name)
        }
    return found


def own_docstring(value) -> str | None:
    """The docstring written for this very object, not one that it inherits or that `dataclass` makes up."""
    if inspect.isclass(value):
        text = vars(value).get("__doc__")
        return None if text and text.startswith(f"{value.__name__}(") else text
    return value.__doc__


def is_documented(name: str, value) -> bool:
    if inspect.isclass(value) or inspect.isroutine(value) or isinstance(value, ModuleType):
        return bool(own_docstring(value))
    if any(name in names for names in documented_assignments().values()):
        return True
    if isinstance(value, Distribution):
        # Made of an estimator whose class has the text.
        return bool(own_docstring(type(value._sample.value)))
    return bool(inspect.getdoc(value))


def get(module: str, name: str):
    return getattr(importlib.import_module(module), name)


HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None
needs_matplotlib = pytest.mark.skipif(not HAS_MATPLOTLIB, reason="plots need matplotlib, which is not installed")


def skip_plots_without_matplotlib(name: str) -> None:
    if not HAS_MATPLOTLIB and ("viz" in name or "raincloud" in name):
        pytest.skip("plots need matplotlib, which is not installed")


@pytest.mark.parametrize(("module", "name"), CASES)
def test_name_is_there_documented_and_says_what_it_takes(module, name):
    skip_plots_without_matplotlib(f"{module}.{name}")
    imported = importlib.import_module(module)
    assert hasattr(imported, name), f"from {module} import {name} fails"
    assert name in dir(imported)
    value = getattr(imported, name)
    if name.isupper() and isinstance(value, dict):
        assert value, f"{module}.{name} is an empty table"  # the text about a table is the module's
        return
    assert is_documented(name, value), f"{module}.{name} ({type(value).__name__}) has no docstring of its own"
    if name not in MARKERS:
        assert isinstance(inspect.signature(value), inspect.Signature)


@pytest.mark.parametrize("path", sorted(SIGNATURES))
def test_positional_order_and_defaults(path):
    """What the contract writes down is a prefix of the signature; what is more, or has a default here, does no harm."""
    skip_plots_without_matplotlib(path)
    expected = inspect.signature(
        eval(f"(lambda {SIGNATURES[path][1:-1]}: None)", {"Const": genjax.Const, "sample_p": sample_p})
    )
    found = list(inspect.signature(get(*path.rsplit(".", 1))).parameters.values())
    wanted = list(expected.parameters.values())
    given = found[: len(wanted)]
    assert [p.kind for p in given] == [p.kind for p in wanted]
    assert [p.name for p in given if p.kind is not p.POSITIONAL_ONLY] == [
        p.name for p in wanted if p.kind is not p.POSITIONAL_ONLY
    ]
    for ours, theirs in zip(given, wanted, strict=True):
        if repr(ours.default) == "<factory>":  # of a dataclass: a fresh one each time
            assert theirs.default in ({}, [])
        elif theirs.default is not theirs.empty:
            assert ours.default == theirs.default, ours.name
    more = found[len(wanted) :]
    assert all(p.default is not p.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in more)


# `self` first; what every method of the interface of generative functions takes.
METHODS = {
    "GFI.simulate": "(self, *args, **kwargs)",
    "GFI.assess": "(self, x, *args, **kwargs)",
    "GFI.generate": "(self, x, *args, **kwargs)",
    "GFI.update": "(self, tr, x, *args, **kwargs)",
    "GFI.regenerate": "(self, tr, selection, *args, **kwargs)",
    "GFI.merge": "(self, x, x_, check=None)",
    "GFI.filter": "(self, x, selection)",
    "GFI.log_density": "(self, x, *args, **kwargs)",
    "GFI.vmap": "(self, in_axes=0, axis_size=None, axis_name=None, spmd_axis_name=None)",
    "GFI.repeat": "(self, n)",
    "GFI.cond": "(self, other)",
    "GFI.__call__": "(self, *args, **kwargs)",
    "GFI.T": "(self, *args, **kwargs)",
    "Trace.update": "(self, x, *args, **kwargs)",
    "ParticleCollection.estimate": "(self, fn)",
    "ParticleCollection.effective_sample_size": "(self)",
    "ParticleCollection.log_marginal_likelihood": "(self)",
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name):
    cls, method = name.split(".")
    expected = inspect.signature(eval(f"lambda {METHODS[name][1:-1]}: None"))
    value = getattr(get("genjax", cls), method)
    found = inspect.signature(value)
    assert [(p.name, p.kind, p.default) for p in found.parameters.values()] == [
        (p.name, p.kind, p.default) for p in expected.parameters.values()
    ]
    assert value.__doc__


def documented_routines() -> dict[str, object]:
    found = {f"{module}.{name}": (module, name) for module, name in CASES if HAS_MATPLOTLIB or "viz" not in module}
    values = {path: get(*where) for path, where in found.items() if HAS_MATPLOTLIB or "raincloud" not in path}
    # A model has `__get__`, as functions do, and is none.
    return {path: value for path, value in values.items() if inspect.isroutine(value) and not isinstance(value, GFI)}


def test_docstrings_are_in_house_form():
    """The first paragraph ends; every parameter is named; three or more have a section of their own."""
    faults = []
    for path, value in documented_routines().items():
        text = inspect.getdoc(value) or ""
        names = list(inspect.signature(value).parameters)
        if text.split("\n\n")[0].strip()[-1:] not in (".", ":", ")", "`"):
            faults.append(f"{path}: the first paragraph does not end")
        faults += [f"{path}: {name} is not explained" for name in names if not re.search(rf"\b{name}\b", text)]
        if len(names) >= 3 and "Args:" not in text:
            faults.append(f"{path}: no Args")
    assert faults == []


@needs_matplotlib
def test_submodules_are_attributes():
    for name in ("core", "pjax", "distributions", "adev", "inference", "extras", "viz"):
        assert getattr(genjax, name) is importlib.import_module(f"genjax.{name}")
    # The function hides the module of its name, as it always has; the module is importable all the same.
    assert genjax.state is importlib.import_module("genjax.state").state


@needs_matplotlib
def test_names_shared_with_modules_are_the_functions():
    for name in ("raincloud", "trace", "state", "chain", "mh", "hmc", "mala", "seed", "distribution"):
        assert inspect.isfunction(getattr(genjax, name)), name
    assert isinstance(genjax.viz.raincloud, ModuleType)


def test_one_object_under_all_paths():
    seen = {}
    for module, name in CASES:
        if not HAS_MATPLOTLIB and ("viz" in module or "raincloud" in name):
            continue
        value = get(module, name)
        assert seen.setdefault(name, value) is value, f"{module}.{name} is another object"


def test_sample_binder_refuses_parameters_that_a_site_has_not():
    with pytest.raises(TypeError, match="got primitive_params={'tag': 1}, and sites take none"):
        get("genjax.pjax", "sample_binder")(lambda key, sample_shape=(): key, primitive_params={"tag": 1})


def test_unknown_names_raise():
    with pytest.raises(AttributeError, match="module 'genjax' has no attribute 'linear_gaussian_ssm'"):
        _ = genjax.linear_gaussian_ssm


def test_public_names_are_listed():
    plots = set() if HAS_MATPLOTLIB else {"horizontal_raincloud", "raincloud"}
    assert (set(TOP_LEVEL.split()) | set(EXTRAS.split())) - plots <= set(genjax.__all__) <= set(dir(genjax))
    assert not {name for name in genjax.__all__ if name.startswith("_") or name in ("Any", "importlib")}


def test_pytree_is_the_class_of_what_crosses_jax():
    assert all(issubclass(get("genjax", name), Pytree) for name in ("GFI", "Trace", "Const", "MCMCResult", "Dual"))


def run_python(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


HEAVY = ("matplotlib", "scipy.stats", "tensorflow_probability", "pandas", "seaborn", "optax")


@needs_matplotlib
def test_import_is_light_until_a_plot_is_asked_for():
    assert run_python(
        f"import sys, genjax\n"
        f"print([name for name in {HEAVY} if name in sys.modules], 'genjax.viz' in sys.modules)\n"
        f"genjax.raincloud\n"
        f"print('matplotlib' in sys.modules, 'seaborn' in sys.modules, 'pandas' in sys.modules)"
    ).splitlines() == ["[] False", "True False False"]


@needs_matplotlib
def test_star_import():
    code = (
        "from genjax import *\nfound = {name for name in globals() if not name.startswith('__')}\n"
        "print(raincloud.__name__, seed.__name__, kalman_filter.__name__)\n"
        "import genjax\nprint(found == set(genjax.__all__), len(genjax.__all__) == len(set(genjax.__all__)))"
    )
    assert run_python(code).splitlines() == ["raincloud seed kalman_filter", "True True"]


WITHOUT_MATPLOTLIB = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.startswith("matplotlib") else find(name, *rest)
sys.modules["matplotlib"] = None
"""


def test_without_matplotlib_all_but_the_plots_works():
    code = f"""{WITHOUT_MATPLOTLIB}
from genjax import *
import genjax
print("raincloud" in globals(), "seed" in globals(), "extras" in globals())
try:
    genjax.raincloud
except ModuleNotFoundError as error:
    print(error)
"""
    first, second = run_python(code).splitlines()
    assert first == "False True True"
    assert second.startswith("genjax.viz draws with matplotlib, which is not installed.")
