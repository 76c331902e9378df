"""The curve model hand-coded in JAX."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from frameworks.base import form, with_outputs

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form("ones", "one draw of all coefficients; the sum over points as a product with a vector of ones, which XLA fuses")
def importance_sampling(framework, data, parameters):
    """Program whose sum over points is one kernel with the squares that it adds; the transpose is what XLA fuses."""

    def of_curves(curves, xs, ys):
        squares = jax.vmap(lambda curve: jnp.square((ys - height(curve, xs)) / float(data["noise_sd"])))(curves)
        return -0.5 * jnp.dot(jnp.ones_like(xs), squares.T, precision="highest") - log_constant(data)

    return framework.batched_importance_sampling(
        draw_curves, of_curves, (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("points_first", "one draw of all coefficients; residuals of shape (points, particles), squared and summed")
def importance_sampling__points_first(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the points."""
    return framework.batched_importance_sampling(
        draw_curves, log_likelihoods(data), (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("vmap", "one draw of all coefficients; the sum of squared residuals of one curve, under `vmap`")
def importance_sampling__vmap(framework, data, parameters):
    """Program that weighs one curve at a time."""
    return framework.importance_sampling(
        draw_curves, log_likelihood(data), (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("scipy", "a key and a draw for each coefficient; `jax.scipy.stats.norm.logpdf` of each point, under `vmap`")
def importance_sampling__scipy(framework, data, parameters):
    """Program that takes each density from JAX's library."""
    noise_sd = float(data["noise_sd"])

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return {name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)}

    def of_curve(curve, xs, ys):
        return norm.logpdf(ys, height(curve, xs), noise_sd).sum()

    return framework.importance_sampling(
        draw_prior, of_curve, (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("vector", "the three coefficients as one vector")
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    density = log_density(data)
    return chains(
        framework, parameters, data["start"], (data["xs"], data["ys"]), lambda v, xs, ys: density(named(v), xs, ys)
    )


@form("named", "a scalar for each coefficient")
def hmc__named(framework, data, parameters):
    """Program on a dict of three scalars."""
    start = dict(zip("abc", data["start"], strict=True))
    chosen = {name: parameters[name] for name in SETTINGS}
    return framework.hmc(log_density(data), (data["xs"], data["ys"]), start, **chosen)


@form("product", "the three coefficients as one vector, and the curve as a matrix product")
def hmc__product(framework, data, parameters):
    """Program on a density whose means are a product of the powers of xs and the coefficients."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data)

    def density(coefficients, powers, ys):
        standard = (ys - powers @ coefficients) / noise_sd
        return -0.5 * (standard @ standard + coefficients @ coefficients) - constant - 1.5 * math.log(2 * math.pi)

    powers = jnp.stack([jnp.ones_like(data["xs"]), data["xs"], data["xs"] ** 2], axis=1)
    return chains(framework, parameters, data["start"], (powers, data["ys"]), density)


@form("product", "the three coefficients as one vector, and the curve as a matrix product")
def hmc_chains(framework, data, parameters):
    """The same as `hmc`, over many chains."""
    return hmc__product(framework, data, parameters)


@form("vector", "the three coefficients as one vector")
def hmc_chains__vector(framework, data, parameters):
    """The program of a single chain, over many chains."""
    return hmc(framework, data, parameters)


def chains(framework, parameters, start, data, density):
    """Program of Hamiltonian Monte Carlo on a density of a vector, whose outputs are its entries by name."""
    program = framework.hmc(
        lambda state, *data: density(state["coefficients"], *data), data, {"coefficients": start},
        **{name: parameters[name] for name in SETTINGS},
    )  # fmt: skip
    return with_outputs(program, lambda outputs: {**named(outputs.pop("coefficients")), **outputs})


def named(coefficients):
    """The entries of vectors (..., 3) by name, (...) each."""
    return {name: coefficients[..., index] for index, name in enumerate("abc")}


def draw_curves(key, shape):
    """Coefficients from N(0, 1), one draw for all."""
    return dict(zip("abc", jax.random.normal(key, (3, *shape)), strict=True))


def height(curve, xs):
    """a + b x + c x^2."""
    return curve["a"] + xs * (curve["b"] + xs * curve["c"])


def log_constant(data):
    """The part of -log p(ys | curve) that depends on no curve."""
    return len(data["xs"]) * math.log(float(data["noise_sd"]) * math.sqrt(2 * math.pi))


def log_likelihood(data):
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of one curve, its constants outside the sum."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data)

    def of_curve(curve, xs, ys):
        standard = (ys - height(curve, xs)) / noise_sd
        return -0.5 * (standard * standard).sum() - constant

    return of_curve


def log_likelihoods(data):
    """The same of many curves, (n,) each coefficient. The points come first, so that XLA's sum runs over curves."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data)

    def of_curves(curves, xs, ys):
        standard = (ys[:, None] - height(curves, xs[:, None])) / noise_sd
        return -0.5 * (standard * standard).sum(0) - constant

    return of_curves


def log_density(data):
    """The log likelihood plus the log density of a, b, c ~ N(0, 1)."""
    likelihood, constant = log_likelihood(data), 1.5 * math.log(2 * math.pi)

    def of_curve(curve, xs, ys):
        return likelihood(curve, xs, ys) - 0.5 * sum(value * value for value in curve.values()) - constant

    return of_curve
