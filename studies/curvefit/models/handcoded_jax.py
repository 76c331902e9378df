"""The basic curve model written by hand in JAX."""

import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from frameworks.base import form, with_outputs

CHAINS = ("step_size", "n_leapfrog", "n_chains")


@form("ones", "one draw of all coefficients; the sum over points as a product with a vector of ones, which XLA fuses")
def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the observations."""
    noise_sd, constant = parameters["noise_sd"], log_constant(data, parameters)

    def of_curves(curves, xs, ys):
        squares = jax.vmap(lambda curve: jnp.square((ys - height(curve, xs)) / noise_sd))(curves)
        return -0.5 * jnp.dot(jnp.ones_like(xs), squares.T, precision="highest") - constant

    def draw_prior(key, shape):
        return dict(zip("abc", jax.random.normal(key, (3, *shape)), strict=True))

    return framework.batched_importance_sampling(
        draw_prior, of_curves, (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("scipy", "a key and a draw for each coefficient; `jax.scipy.stats.norm.logpdf` of each point, under `vmap`")
def importance_sampling__scipy(framework, data, parameters):
    """Program that takes each density from JAX's library."""

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return {name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)}

    return framework.importance_sampling(
        draw_prior, log_likelihood(parameters), (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


@form("named", "a scalar for each coefficient; sums of squares, constants outside")
def basic_hmc(framework, data, parameters):
    """Program of chains of Hamiltonian Monte Carlo, all from the prior's mean."""
    noise_sd = parameters["noise_sd"]
    constant = log_constant(data, parameters) + 1.5 * math.log(2 * math.pi)

    def log_density(curve, xs, ys):
        standard = (ys - height(curve, xs)) / noise_sd
        return -0.5 * ((standard * standard).sum() + sum(value * value for value in curve.values())) - constant

    return from_the_mean(framework, data, parameters, log_density)


@form("product", "the three coefficients as one vector, and the curve as a matrix product")
def basic_hmc__product(framework, data, parameters):
    """Program on a density whose means are a product of the powers of xs and the coefficients."""
    noise_sd = parameters["noise_sd"]
    constant = log_constant(data, parameters) + 1.5 * math.log(2 * math.pi)

    def log_density(state, powers, ys):
        coefficients = state["coefficients"]
        standard = (ys - powers @ coefficients) / noise_sd
        return -0.5 * (standard @ standard + coefficients @ coefficients) - constant

    powers = jnp.stack([jnp.ones_like(data["xs"]), data["xs"], data["xs"] ** 2], axis=1)
    program = framework.hmc(
        log_density, (powers, data["ys"]), {"coefficients": jnp.zeros(3)},
        **{name: parameters[name] for name in CHAINS}, n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip
    return with_outputs(program, named)


@form("scipy", "a scalar for each coefficient; `jax.scipy.stats.norm.logpdf` of coefficients and points")
def basic_hmc__scipy(framework, data, parameters):
    """Program that takes each density from JAX's library."""
    likelihood = log_likelihood(parameters)

    def log_density(curve, xs, ys):
        return sum(norm.logpdf(value) for value in curve.values()) + likelihood(curve, xs, ys)

    return from_the_mean(framework, data, parameters, log_density)


def from_the_mean(framework, data, parameters, log_density):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    return framework.hmc(
        log_density, (data["xs"], data["ys"]), dict.fromkeys("abc", jnp.float32(0.0)),
        **{name: parameters[name] for name in CHAINS}, n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def height(curve, xs):
    """a + b x + c x^2."""
    return curve["a"] + xs * (curve["b"] + xs * curve["c"])


def log_constant(data, parameters):
    """The part of -log p(ys | curve) that depends on no curve."""
    return len(data["xs"]) * math.log(parameters["noise_sd"] * math.sqrt(2 * math.pi))


def log_likelihood(parameters):
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of one curve."""

    def of_curve(curve, xs, ys):
        return norm.logpdf(ys, height(curve, xs), parameters["noise_sd"]).sum()

    return of_curve
