"""What every kernel has in common: its face, its info, jit, vmap, scan, seed; and that it leaves its target invariant.

Invariance (Geweke, *Getting it right*, 2004): parameters and data are drawn together from the model, 8,000 times over.
A kernel that moves the parameters given the data must not change their joint distribution, so the mean of any function
is that of before, within 5 standard errors of the paired difference: a false alarm has probability 6e-7 per function.
"""

import dataclasses
import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Scan, beta, chain, flip, gamma, gen, normal, seed, sel, state
from genjax.inference import kernels
from genjax.inference.kernels import (
    HMC,
    MALA,
    MH,
    NUTS,
    Elliptical,
    Function,
    Gibbs,
    Info,
    Involutive,
    JitteredHMC,
    Kernel,
    ManyTries,
    ParallelTempering,
    ParticleGibbs,
    RandomWalk,
    Slice,
    apply,
    compose,
    cycle,
    mix,
    repeat,
)

KEY = jax.random.key(0)
N_REPLICATES = 8000


@gen
def model():
    scale = gamma(3.0, 2.0) @ "scale"
    share = beta(2.0, 1.5) @ "share"
    x = normal(share, scale) @ "x"
    coin = flip(share) @ "coin"
    normal(jnp.where(coin, x, jnp.square(x)), 0.7) @ "y"
    return x


@gen
def skewed_step(choices):
    """A proposal whose density depends on the state, and is not symmetric."""
    x = normal(0.5 * choices["x"] + 0.3, 0.8) @ "x"
    gamma(4.0, 4.0 / choices["scale"]) @ "scale"
    return x


@gen
def factor(choices):
    return gamma(5.0, 4.0 + choices["share"]) @ "factor"


def rescale(choices, auxiliary):
    """Multiply scale by the factor and divide x by it; the way back has the inverse factor."""
    f = auxiliary["factor"]
    return {"scale": choices["scale"] * f, "x": choices["x"] / f}, {"factor": 1 / f}


@gen
def walk_step(carry, _):
    state = normal(0.8 * carry, 1.0) @ "state"
    normal(jnp.square(state), 0.7) @ "obs"
    return state, state


@gen
def walk():
    """For kernels that move the steps of a Scan."""
    last, _ = Scan(walk_step, length=3)(0.5, None) @ "path"
    return normal(last, 1.0) @ "y"


MOVED = sel("scale", "share", "x")
VECTOR, MATRIX = jnp.array([0.5, 1.2, 0.8]), jnp.array([[0.5, 0.2, 0.0], [0.2, 1.2, 0.1], [0.0, 0.1, 0.8]])
hmc_of_all = HMC(MOVED, 0.3, 3)
mh_of_coin = MH("coin")
KERNELS = {
    "mh": MH(sel("scale", "coin")),
    "mala": MALA(MOVED, 0.4),
    "mala without transform": MALA(MOVED, 0.2, transform=False),
    "hmc": hmc_of_all,
    "hmc without transform": HMC(MOVED, 0.1, 3, transform=False),
    "hmc of a diagonal mass": HMC(MOVED, 0.4, 3, VECTOR),
    "hmc of a dense mass": HMC(MOVED, 0.4, 3, MATRIX),
    "hmc of varying length": JitteredHMC(MOVED, 0.3, 1.2),
    "nuts": NUTS(MOVED, 0.4, max_depth=4),
    "nuts of a dense mass": NUTS(MOVED, 0.5, MATRIX, max_depth=4),
    "many tries": ManyTries(sel("scale", "x", "coin"), 5),
    "proposal": Involutive(skewed_step),
    "involution": Involutive(factor, rescale),
    "gibbs": Gibbs("coin"),
    "particle gibbs": ParticleGibbs("path", 4),
    "random walk": RandomWalk(MOVED, 0.5),
    "slice": Slice(MOVED, 1.5),
    "elliptical": Elliptical("x", mean=lambda choices: choices["share"]),
    "function": Function(lambda trace: kernels.mh(kernels.hmc(trace, MOVED, 0.3, 3), "coin")),
    "compose": compose(hmc_of_all, mh_of_coin, MALA(MOVED, 0.4)),
    "cycle": cycle(hmc_of_all, mh_of_coin),
    "mix": mix(hmc_of_all, mh_of_coin, probabilities=[0.7, 0.3]),
    "repeat": repeat(MH(sel("scale", "coin")), 3),
}
MODELS = {"particle gibbs": walk}
# It is invariant together with its hidden copies, which start where the chain does: see test_tempering.
tempered = ParallelTempering(hmc_of_all, [1.0, 0.2])
DISCRETE_TOO = {"particle gibbs", "mh", "many tries", "function", "compose", "cycle", "mix", "repeat", "gibbs"}


def functions(choices):
    """Functions of the choices, sensitive to a wrong scale, sign, Jacobian or dependence on the data."""
    if "path" in choices:
        states, seen = jnp.tanh(choices["path"]["state"]), choices["path"]["obs"]
        return jnp.concatenate([states, states**2, states[1:] * states[:-1], states * jnp.tanh(seen - 1)])
    scale, share, x, coin, y = (choices[name] for name in ("scale", "share", "x", "coin", "y"))
    coin = coin * 1.0
    return jnp.stack(
        [
            jnp.log(scale), scale, share, jnp.log(share), jnp.tanh(x), jnp.exp(-jnp.square(x)), coin, coin * share,
            jnp.tanh(x * y), jnp.tanh(x / scale) * share, jnp.exp(-jnp.abs(x - y)) * scale, coin * jnp.tanh(y * x),
        ]
    )  # fmt: skip


def two_steps(kernel):
    """Functions before and after two steps from a draw of the model, and the infos."""

    def run(trace):
        old = kernel.init(trace)
        new, infos = jax.lax.scan(lambda state, _: kernel.step(state), old, None, length=2)
        return functions(trace.get_choices()), functions(new.trace.get_choices()), infos, new.trace

    return run


@pytest.fixture(scope="module")
def draws():
    """Draws of the models, each made once."""
    keys = jax.random.split(jax.random.key(7), N_REPLICATES)
    return functools.cache(lambda name: jax.jit(jax.vmap(seed(MODELS.get(name, model).simulate)))(keys))


@pytest.fixture(scope="module")
def assessed():
    """A program for each model: the scores of stacked choices."""

    def compiled(name):
        own_model = MODELS.get(name, model)
        return jax.jit(jax.vmap(lambda choices: -own_model.assess(choices)[0]))

    return functools.cache(compiled)


@pytest.fixture(scope="module")
def one_trace():
    """A trace of each model."""
    return functools.cache(lambda name: seed(MODELS.get(name, model).simulate)(KEY))


@pytest.mark.parametrize("name", KERNELS)
def test_invariance_and_info(name, draws, assessed):
    kernel = KERNELS[name]
    keys = jax.random.split(jax.random.key(8), N_REPLICATES)
    model_name = name if name in MODELS else ""
    start = draws(model_name)
    before, after, infos, traces = jax.jit(jax.vmap(seed(two_steps(kernel))))(keys, start)
    difference = np.asarray(after - before, np.float64)
    error = difference.std(0) / np.sqrt(N_REPLICATES)
    assert np.all(np.isfinite(difference))
    assert np.all(np.abs(difference.mean(0)) < 5 * error + 1e-7), difference.mean(0) / (error + 1e-9)
    assert np.mean(np.any(difference != 0, axis=1)) > 0.1  # it moves
    if name not in DISCRETE_TOO:
        np.testing.assert_array_equal(difference[:, 6], 0.0)
    np.testing.assert_allclose(traces.scores(), assessed(model_name)(traces.get_choices()), rtol=1e-3)
    assert isinstance(infos, Info)
    dtypes = {field.name: getattr(infos, field.name).dtype for field in dataclasses.fields(Info)}
    assert dtypes == {
        "accept": bool, "acceptance": np.float32, "energy": np.float32,
        "is_divergent": bool, "tree_depth": np.int32, "n_gradients": np.int32,
    }  # fmt: skip
    assert all(getattr(infos, name).shape == (N_REPLICATES, 2) for name in dtypes)
    assert np.all((infos.acceptance >= 0) & (infos.acceptance <= 1))
    if not isinstance(kernel, Function):
        difference = infos.accept * 1.0 - infos.acceptance
        rate_error = np.std(difference) / np.sqrt(difference.size / 2)
        is_single = name not in ("compose", "repeat") and name not in ("slice", "elliptical") and "nuts" not in name
        assert not is_single or abs(np.mean(difference)) < 5 * rate_error + 1e-7


@pytest.mark.parametrize("name", [*KERNELS, "parallel tempering"])
def test_face(name, one_trace):
    """Argument names, pytrees, and that states keep their structure, so that loops can carry them."""
    kernel = {**KERNELS, "parallel tempering": tempered}[name]
    assert isinstance(kernel, Kernel)
    assert list(inspect.signature(type(kernel).init).parameters) == ["self", "trace"]
    assert list(inspect.signature(type(kernel).step).parameters) == ["self", "state"]
    leaves, structure = jax.tree.flatten(kernel)
    assert jax.tree.structure(jax.tree.unflatten(structure, leaves)) == structure
    trace = one_trace(name if name in MODELS else "")
    trace = trace.observe({"y": 0.0}) if kernel is tempered else trace
    old = jax.eval_shape(kernel.init, trace)
    new, _ = jax.eval_shape(kernel.step, old)
    assert jax.tree.structure(new) == jax.tree.structure(old)
    assert jax.tree.structure(jax.eval_shape(lambda state: state.trace, new)) == jax.tree.structure(trace)


def test_every_kernel_is_in_the_table():
    exported = {value for value in vars(kernels).values() if isinstance(value, type) and issubclass(value, Kernel)}
    combined = {type(KERNELS[name]) for name in ("compose", "cycle", "mix", "repeat")}
    assert {type(kernel) for kernel in (*KERNELS.values(), tempered)} == (exported - {Kernel}) | combined


def test_chains_of_both_forms_are_the_same():
    trace = seed(model.simulate)(KEY)
    function = lambda trace: kernels.hmc(trace, MOVED, 0.3, 3)
    ours, theirs = (seed(chain(kernel))(KEY, trace, 30, burn_in=3, n_chains=2) for kernel in (hmc_of_all, function))
    np.testing.assert_allclose(ours.traces["x"], theirs.traces["x"], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(ours.accepts, theirs.accepts)
    assert theirs.info is None
    assert theirs.kernel is None
    assert ours.info.energy.shape == (2, 27)
    np.testing.assert_array_equal(ours.info.n_gradients, 3)
    assert ours.kernel.n_steps == 3


def test_step_sizes_are_arguments_of_a_compiled_chain():
    """A chain of an adapted kernel is not compiled once more."""
    traced, numbers = [], []

    @gen
    def counted():
        traced.append(1)
        return normal(0.0, 1.0) @ "x"

    trace = counted.simulate()
    for step_size in (0.1, 0.7, 30.0):
        result = seed(chain(HMC("x", step_size, 2)))(KEY, trace, 50)
        numbers.append(len(traced))
    assert numbers[0] == numbers[2]
    assert result.acceptance_rate < 0.2


def test_kernels_share_gradients_in_a_composition():
    """A gradient at the end of one kernel is the one at the start of the next, which moves the same choices."""
    n_products = {}
    for name, kernel in {"one": HMC("x", 0.3, 3), "two": compose(HMC("x", 0.3, 3), MALA("x", 0.3))}.items():
        trace = model.simulate()
        step = jax.make_jaxpr(kernel.step)(kernel.init(trace))
        n_products[name] = str(step).count("log1p") + str(step).count(" log ")
    assert n_products["two"] <= 2 * n_products["one"]


@pytest.mark.parametrize("make", [compose, cycle, mix])
def test_no_kernels_are_an_error(make):
    with pytest.raises(ValueError, match="got no kernels"):
        make()


def test_bad_parts_are_errors():
    with pytest.raises(ValueError, match="2 kernels and probabilities of shape \\(3,\\)"):
        mix(mh_of_coin, hmc_of_all, probabilities=[1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="repeated at least once"):
        repeat(mh_of_coin, 0)
    with pytest.raises(TypeError, match="function from trace to trace, got int"):
        chain(3)(model.simulate(), 2)


def test_a_mass_matrix_of_the_wrong_shape_is_an_error():
    with pytest.raises(ValueError, match=r"inverse_mass of shape \(2,\) for 3 unconstrained coordinates"):
        HMC(MOVED, 0.1, 3, jnp.ones(2)).init(model.simulate())


def test_a_single_step_unseeded():
    trace = model.simulate()
    moved, saved = state(lambda t: apply(hmc_of_all, t))(trace)
    assert saved.keys() == {"accept"}
    assert jax.tree.structure(moved) == jax.tree.structure(trace)
