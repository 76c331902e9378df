"""The curve model in TensorFlow Probability."""

import jax.numpy as jnp
import tensorflow_probability.substrates.jax.distributions as tfd

from frameworks.base import form, with_outputs

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form(
    "points_first",
    "one part of three coefficients; the points along the first dimension of a batch of normals",
    source="shapes of tfd.Sample and of batches in TFP's guide 'Understanding TensorFlow Distributions Shapes'",
)
def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the points."""
    program = framework.importance_sampling(
        vector_prior, points_first(data), (data["xs"],), data["ys"][:, None], n_particles=parameters["n_particles"],
        event_axis=0,
    )  # fmt: skip
    return with_outputs(program, named)


@form("independent", "a part for each coefficient; the points as the event of `tfd.Independent`",
      source="tfd.JointDistributionNamed and tfd.Independent in TFP's reference")  # fmt: skip
def importance_sampling__independent(framework, data, parameters):
    """Program whose likelihood is a joint distribution of all points."""
    return framework.importance_sampling(
        prior, likelihood(data), (data["xs"],), data["ys"], n_particles=parameters["n_particles"]
    )


@form("product", "one part of three coefficients; the curve as a matrix product, the points as an event")
def importance_sampling__product(framework, data, parameters):
    """Program whose means are a matrix product."""
    program = framework.importance_sampling(
        vector_prior, product_likelihood(data), (data["xs"],), data["ys"], n_particles=parameters["n_particles"]
    )
    return with_outputs(program, named)


@form("vector", "the state as one vector",
      source="tfp.mcmc.HamiltonianMonteCarlo in TFP's reference: a state is a tensor or a list of tensors")  # fmt: skip
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on the coefficients."""
    return chains(framework, data, parameters, vector_likelihood(data))


@form("list", "the state as a list of three scalars", source="tfp.mcmc.HamiltonianMonteCarlo in TFP's reference")
def hmc__list(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    chosen = {name: parameters[name] for name in SETTINGS}
    return framework.hmc(prior, likelihood(data), (data["xs"],), data["ys"], start, **chosen)


@form("product", "the state as one vector, the curve as a matrix product")
def hmc__product(framework, data, parameters):
    """Program on a likelihood whose means are a matrix product."""
    return chains(framework, data, parameters, product_likelihood(data))


@form("product", "the state as one vector, the curve as a matrix product")
def hmc_chains(framework, data, parameters):
    """The same as `hmc`, over many chains."""
    return hmc__product(framework, data, parameters)


@form("vector", "the state as one vector")
def hmc_chains__vector(framework, data, parameters):
    """The program of a single chain, over many chains."""
    return hmc(framework, data, parameters)


def chains(framework, data, parameters, likelihood):
    """Program of Hamiltonian Monte Carlo on a state of one part."""
    program = framework.hmc(
        vector_prior, likelihood, (data["xs"],), data["ys"], {"coefficients": data["start"]},
        **{name: parameters[name] for name in SETTINGS},
    )  # fmt: skip
    return with_outputs(program, named)


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def prior():
    """a, b, c ~ N(0, 1)."""
    return tfd.JointDistributionNamed({name: tfd.Normal(0.0, 1.0) for name in "abc"})


def vector_prior():
    """The same, as one part with three entries."""
    return tfd.JointDistributionNamed({"coefficients": tfd.Sample(tfd.Normal(0.0, 1.0), 3)})


def likelihood(data):
    """The points y_i ~ N(a + b x_i + c x_i^2, noise_sd) of a batch of curves."""
    noise_sd = float(data["noise_sd"])

    def of_curves(curves, xs):
        a, b, c = (curves[name][..., None] for name in "abc")
        return tfd.Independent(tfd.Normal(a + xs * (b + xs * c), noise_sd), reinterpreted_batch_ndims=1)

    return of_curves


def vector_likelihood(data):
    """The same, of one part of three coefficients."""
    of_named = likelihood(data)
    return lambda curves, xs: of_named(named({"coefficients": curves["coefficients"]}), xs)


def product_likelihood(data):
    """The same, the means as a product of the coefficients and the powers of xs."""
    noise_sd = float(data["noise_sd"])

    def of_curves(curves, xs):
        means = curves["coefficients"] @ jnp.stack([jnp.ones_like(xs), xs, xs * xs])
        return tfd.Independent(tfd.Normal(means, noise_sd), reinterpreted_batch_ndims=1)

    return of_curves


def points_first(data):
    """The same of (n_particles, 3) coefficients as a batch (n_points, n_particles)."""
    noise_sd = float(data["noise_sd"])

    def of_curves(curves, xs):
        a, b, c = jnp.moveaxis(curves["coefficients"], -1, 0)
        return tfd.Normal(a + xs[:, None] * (b + xs[:, None] * c), noise_sd)

    return of_curves
