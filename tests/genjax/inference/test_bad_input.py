"""What users get wrong when they start a chain: each is an error that says what to do, or a plain result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import chain, dirichlet, flip, gen, half_normal, masked, modular_vmap, normal, seed, sel, uniform
from genjax.inference import HMC, MH, NUTS, summary, warmup

KEY = jax.random.key(0)


@gen
def model():
    x = normal(0.0, 1.0) @ "x"
    tau = half_normal(1.0) @ "tau"
    is_high = flip(0.5) @ "is_high"
    shares = dirichlet(jnp.ones(3)) @ "shares"
    return normal(x + is_high + shares[0], tau) @ "y"


TRACE, _ = seed(model.generate)(KEY, {"y": 0.3})
CONTINUOUS = sel("x", "tau", "shares")


def start(x):
    trace, _ = model.generate({"x": x, "tau": 1.0, "is_high": True, "shares": jnp.ones(3) / 3, "y": 0.3})
    return trace.observe({"y": 0.3})


@pytest.mark.parametrize("seeded", [True, False])
def test_nan_at_the_start_names_the_sites(seeded):
    with pytest.raises(ValueError, match=r"not finite: 'x' has the log density nan; 'y' has the log density nan"):
        run = chain(MH("x"))
        seed(run)(KEY, start(jnp.nan), 5) if seeded else run(start(jnp.nan), 5)


def test_nan_in_one_of_several_starts_says_which():
    batch = modular_vmap(start)(jnp.array([0.0, jnp.inf, 1.0]))
    with pytest.raises(ValueError, match="trace number 1 of 3 whose log density is not finite: 'x' has .* -inf"):
        seed(chain(NUTS(CONTINUOUS)))(KEY, batch, 5, n_chains=3)


@pytest.mark.parametrize("kernel", [NUTS, lambda selection: HMC(selection, 0.1, 3)])
def test_a_discrete_site_under_gradients(kernel):
    for selection in (sel("x", "is_high"), sel("is_high")):
        with pytest.raises(TypeError, match="asked to move the choice 'is_high' of dtype bool.*mh or gibbs"):
            seed(chain(kernel(selection)))(KEY, TRACE, 5)


@pytest.mark.parametrize("shape", [(3,), (3, 3), (4, 3), (1,), ()])
def test_a_mass_matrix_of_another_shape(shape):
    """x, tau and the two coordinates of a simplex of three: n = 4."""
    message = r"nuts got inverse_mass of shape .* for 4 unconstrained coordinates. It is \(4,\)"
    with pytest.raises(ValueError, match=message):
        seed(chain(NUTS(CONTINUOUS, 0.1, jnp.ones(shape))))(KEY, TRACE, 5)


def test_a_simplex_observed_in_part():
    first = masked(jnp.array([True, False, False]), jnp.ones(3) / 3)
    with pytest.raises(ValueError, match="observed as a whole"):
        seed(model.generate)(KEY, {"shares": first})


def test_a_support_that_depends_on_another_selected_choice():
    @gen
    def nested():
        top = uniform(0.0, 1.0) @ "top"
        return uniform(0.0, top) @ "below"

    trace = seed(nested.simulate)(KEY)
    with pytest.raises(ValueError, match="the support of one depends on 'top'. Move them one at a"):
        seed(chain(NUTS(sel("top", "below"))))(KEY, trace, 5)


def test_chains_of_length_zero_are_empty():
    result = seed(chain(MH("x")))(KEY, TRACE, 0, n_chains=2)
    assert result.traces["x"].shape == (2, 0) and result.accepts.shape == (2, 0)
    assert np.all(np.isnan(result.rhat["x"]))
    with pytest.raises(ValueError, match="no draws"):
        summary(result)


@pytest.mark.parametrize(("name", "value"), [("n_steps", -1), ("n_chains", 0), ("n_warmup", -3), ("burn_in", -1)])
def test_counts_out_of_range(name, value):
    counts = {"n_steps": 5, name: value}
    with pytest.raises(ValueError, match=f"{name} must .* got {value}"):
        seed(chain(NUTS("x")))(KEY, TRACE, counts.pop("n_steps"), **counts)


def test_one_chain_has_no_r_hat():
    result = seed(chain(MH("x")))(KEY, TRACE, 50)
    assert result.rhat is None
    table = summary(result)
    assert np.isnan(table["x"]["r_hat"]) and np.isfinite(table["x"]["mean"])


def test_a_warm_up_of_a_kernel_without_a_step_size():
    with pytest.raises(TypeError, match="adapts kernels with a step_size.* got MH"):
        seed(warmup(MH("x")))(KEY, TRACE, 10)
