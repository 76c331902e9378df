"""The basic curve model in NumPyro."""

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from frameworks.base import form, with_outputs

CHAINS = ("step_size", "n_leapfrog", "n_chains")


@form(
    "named",
    "a site for each coefficient under a plate of particles, weights by `log_likelihood` of the model of one curve",
    source="numpyro.plate and numpyro.infer.util.log_likelihood in NumPyro's reference",
)
def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the observations."""
    return framework.prior_importance_sampling(
        basic_curve(parameters), (data["xs"], data["ys"]), prior, n_particles=parameters["n_particles"]
    )


@form("vector", "the same with one site of three coefficients")
def importance_sampling__vector(framework, data, parameters):
    """Program of the model with one site, whose means are written out."""
    return weighed(framework, data, parameters, curve_of_vector(parameters))


@form("product", "the same with one site of three coefficients, the curve as a matrix product")
def importance_sampling__product(framework, data, parameters):
    """Program of the model whose means are a matrix product."""
    return weighed(framework, data, parameters, curve_by_product(parameters))


@form(
    "product",
    "one site of three coefficients, the curve as a matrix product",
    source="numpyro.infer.hmc.hmc in NumPyro's reference",
)
def basic_hmc(framework, data, parameters):
    """Program of chains of Hamiltonian Monte Carlo, all from the prior's mean."""
    program = chains(framework, data, parameters, curve_by_product(parameters), {"coefficients": np.zeros(3, "f4")})
    return with_outputs(program, named)


@form("named", "a site for each coefficient", source="numpyro.infer.hmc.hmc in NumPyro's reference")
def basic_hmc__named(framework, data, parameters):
    """Program of the model with three sites."""
    return chains(framework, data, parameters, basic_curve(parameters), dict.fromkeys("abc", np.float32(0.0)))


def weighed(framework, data, parameters, model):
    """Program of importance sampling from the prior on a model with one site of three coefficients."""
    program = framework.prior_importance_sampling(
        model, (data["xs"], data["ys"]), vector_prior, n_particles=parameters["n_particles"]
    )
    return with_outputs(program, named)


def chains(framework, data, parameters, model, start):
    """Program of Hamiltonian Monte Carlo from a state."""
    return framework.hmc(
        model, (data["xs"], data["ys"]), start, **{name: parameters[name] for name in CHAINS},
        n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def prior():
    """a, b, c ~ N(0, 1)."""
    return tuple(numpyro.sample(name, dist.Normal(0.0, 1.0)) for name in ("a", "b", "c"))


def vector_prior():
    """The same, as one site with three entries."""
    return numpyro.sample("coefficients", dist.Normal(0.0, 1.0).expand([3]).to_event(1))


def basic_curve(parameters):
    """The prior and y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""

    def model(xs, ys):
        a, b, c = prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("obs", dist.Normal(a + xs * (b + xs * c), parameters["noise_sd"]), obs=ys)

    return model


def curve_of_vector(parameters):
    """The same, with one site of three coefficients."""

    def model(xs, ys):
        a, b, c = vector_prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("obs", dist.Normal(a + xs * (b + xs * c), parameters["noise_sd"]), obs=ys)

    return model


def curve_by_product(parameters):
    """The same, with one site of three coefficients and the means as a product of the powers of xs with them."""

    def model(xs, ys):
        means = jnp.stack([jnp.ones_like(xs), xs, xs * xs], axis=1) @ vector_prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("obs", dist.Normal(means, parameters["noise_sd"]), obs=ys)

    return model
