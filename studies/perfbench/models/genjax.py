"""The curve model in GenJAX."""

import jax.numpy as jnp

from frameworks.base import form, with_outputs
from genjax import gen, normal

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form("vector", "the coefficients at one address")
def importance_sampling(framework, data, parameters):
    """Program that generates traces of the model with the observations constrained."""
    return particles(framework, data, parameters, curve_of_vector(data))


@form("product", "the coefficients at one address, the curve as a matrix product")
def importance_sampling__product(framework, data, parameters):
    """Program of the model whose means are a matrix product."""
    return particles(framework, data, parameters, curve_by_product(data))


@form("named", "an address for each coefficient")
def importance_sampling__named(framework, data, parameters):
    """Program of the model with three sites."""
    return framework.importance_sampling(
        curve(data), (data["xs"],), {"ys": data["ys"]}, n_particles=parameters["n_particles"]
    )


@form("vector", "the coefficients at one address")
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on the coefficients."""
    return chains(framework, data, parameters, curve_of_vector(data))


@form("named", "an address for each coefficient")
def hmc__named(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    chosen = {name: parameters[name] for name in SETTINGS}
    return framework.hmc(curve(data), (data["xs"],), {"ys": data["ys"]}, start, **chosen)


@form("product", "the coefficients at one address, the curve as a matrix product")
def hmc__product(framework, data, parameters):
    """Program on the model whose means are a matrix product."""
    return chains(framework, data, parameters, curve_by_product(data))


@form("product", "the coefficients at one address, the curve as a matrix product")
def hmc_chains(framework, data, parameters):
    """The same as `hmc`, over many chains."""
    return hmc__product(framework, data, parameters)


@form("vector", "the coefficients at one address")
def hmc_chains__vector(framework, data, parameters):
    """The program of a single chain, over many chains."""
    return hmc(framework, data, parameters)


def particles(framework, data, parameters, model):
    """Program of importance sampling on a model with one site of three coefficients."""
    program = framework.importance_sampling(
        model, (data["xs"],), {"ys": data["ys"]}, n_particles=parameters["n_particles"]
    )
    return with_outputs(program, named)


def chains(framework, data, parameters, model):
    """Program of Hamiltonian Monte Carlo on a model with one site of three coefficients."""
    program = framework.hmc(
        model, (data["xs"],), {"ys": data["ys"]}, {"coefficients": data["start"]},
        **{name: parameters[name] for name in SETTINGS},
    )  # fmt: skip
    return with_outputs(program, named)


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def curve(data):
    """a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""
    noise_sd = float(data["noise_sd"])

    @gen
    def polynomial(xs):
        a, b, c = (normal(0.0, 1.0) @ name for name in "abc")
        return normal.vmap(in_axes=(0, None))(a + xs * (b + xs * c), noise_sd) @ "ys"

    return polynomial


def curve_of_vector(data):
    """The same, the three coefficients at one address."""
    noise_sd = float(data["noise_sd"])

    @gen
    def polynomial(xs):
        a, b, c = normal.repeat(3)(0.0, 1.0) @ "coefficients"
        return normal.vmap(in_axes=(0, None))(a + xs * (b + xs * c), noise_sd) @ "ys"

    return polynomial


def curve_by_product(data):
    """The same, the means as a product of the powers of xs and the coefficients."""
    noise_sd = float(data["noise_sd"])

    @gen
    def polynomial(xs):
        coefficients = normal.repeat(3)(0.0, 1.0) @ "coefficients"
        powers = jnp.stack([jnp.ones_like(xs), xs, xs * xs], axis=1)
        return normal.vmap(in_axes=(0, None))(powers @ coefficients, noise_sd) @ "ys"

    return polynomial
