"""The published walkthrough as one program: a curve, importance sampling, outliers, and programmable inference.

Written the way users of the published library write it; nothing here is specific to this implementation.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax import Cond, Const, Pytree, const, flip, gen, modular_vmap, normal, seed, sel, uniform
from genjax.inference.mcmc import chain, hmc
from studies.curvefit import data, truth

NOISE_SD = 0.1
RATE = 0.33


@Pytree.dataclass
class Curve(Pytree):
    function: Any = Pytree.static()
    coefficients: jnp.ndarray

    def __call__(self, x):
        return self.function(x, self.coefficients)


def polynomial_value(x, coefficients):
    a, b, c = coefficients
    return a + b * x + c * x**2


@gen
def polynomial():
    a = normal(0.0, 1.0) @ "a"
    b = normal(0.0, 1.0) @ "b"
    c = normal(0.0, 1.0) @ "c"
    return Curve(polynomial_value, jnp.array([a, b, c]))


@gen
def point(x, curve):
    return normal(curve(x), 0.05) @ "obs"


@gen
def points_on_a_curve(xs):
    curve = polynomial() @ "curve"
    ys = point.vmap(in_axes=(0, None))(xs, curve) @ "ys"
    return curve, (xs, ys)


def importance_sample(xs, ys, n_particles: Const[int]):
    def particle():
        trace, weight = points_on_a_curve.generate({"ys": {"obs": ys}}, xs)
        return trace, weight

    return modular_vmap(particle, in_axes=(), axis_size=n_particles.value)()


@gen
def inlier(mean):
    return normal(mean, NOISE_SD) @ "obs"


@gen
def outlier(mean):
    return uniform(-2.0, 2.0) @ "obs"


@gen
def point_or_outlier(x, curve):
    is_outlier = flip(RATE) @ "is_outlier"
    return Cond(outlier, inlier)(is_outlier, curve(x)) @ "y"


@gen
def robust_points(xs):
    curve = polynomial() @ "curve"
    return point_or_outlier.vmap(in_axes=(0, None))(xs, curve) @ "ys"


def gibbs_over_indicators(trace):
    (xs,), _ = trace.get_args()
    curve = Curve(polynomial_value, jnp.stack([trace["curve"][name] for name in "abc"]))

    def one_point(x, y):
        def log_density(value):
            return point_or_outlier.assess({"is_outlier": value, "y": {"obs": y}}, x, curve)[0]

        log_odds = log_density(True) - log_density(False)
        return flip.sample(jax.nn.sigmoid(log_odds))

    indicators = modular_vmap(one_point, in_axes=(0, 0))(xs, trace["ys"]["y"]["obs"])
    return trace.update({"ys": {"is_outlier": indicators}})[0]


def kernel(trace):
    trace = gibbs_over_indicators(trace)
    return hmc(trace, sel("curve"), step_size=0.04, n_steps=20)


def test_importance_sampling_agrees_with_the_exact_evidence():
    xs, ys = data.reference()
    exact = truth.basic_posterior(xs, ys, 0.05)
    traces, log_weights = seed(importance_sample)(jax.random.key(1), xs, ys, const(300_000))
    assert traces.get_choices()["curve"]["a"].shape == (300_000,)
    weights = np.exp(np.asarray(log_weights, np.float64) - exact.log_evidence)
    standard_error = weights.std() / np.sqrt(len(weights))
    assert abs(weights.mean() - 1) < 5 * standard_error  # false alarm: 6e-7 in the normal limit


def test_gibbs_and_hmc_in_a_chain_find_the_outliers():
    xs, ys = data.with_outliers()
    exact = truth.robust_posterior(xs, ys, NOISE_SD, 2.0, rate=RATE)

    def run(xs, ys):
        def start():
            return robust_points.generate({"ys": {"y": {"obs": ys}}}, xs)[0]

        starts = modular_vmap(start, in_axes=(), axis_size=16)()
        return chain(kernel)(starts, const(3000), burn_in=const(1500), n_chains=const(16))

    result = seed(run)(jax.random.key(2), xs, ys)
    choices = result.traces.get_choices()
    outlier_probability = np.asarray(choices["ys"]["is_outlier"], np.float64).mean(axis=(0, 1))
    # Bounds of about five Monte Carlo standard errors for this many draws.
    np.testing.assert_allclose(outlier_probability, exact.outlier_probability, atol=0.03)
    for name, mean, sd in zip("abc", exact.mean, exact.sd, strict=True):
        assert abs(np.asarray(choices["curve"][name], np.float64).mean() - mean) < 0.15 * sd
        assert result.rhat["curve"][name] < 1.05
    assert 0.5 < result.acceptance_rate <= 1
