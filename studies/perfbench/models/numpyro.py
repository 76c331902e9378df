"""The curve model in NumPyro."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist

from frameworks.base import form, with_outputs

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form(
    "product",
    "one site of three coefficients under a plate of particles, the curve as a matrix product, weights by "
    "`log_likelihood` of the model of one curve",
    source="numpyro.plate and numpyro.infer.util.log_likelihood in NumPyro's reference",
)
def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the points."""
    return weighed(framework, data, parameters, product_curve(data))


@form("vector", "the same, the curve by Horner's rule")
def importance_sampling__vector(framework, data, parameters):
    """Program of the model whose means are written out."""
    return weighed(framework, data, parameters, vector_curve(data))


@form(
    "named",
    "a site for each coefficient under a plate of particles, weights by `log_likelihood` of the model of one curve",
    source="numpyro.plate and numpyro.infer.util.log_likelihood in NumPyro's reference",
)
def importance_sampling__named(framework, data, parameters):
    """Program of the model with three sites."""
    return framework.prior_importance_sampling(
        curve(data), (data["xs"], data["ys"]), prior, n_particles=parameters["n_particles"]
    )


@form(
    "plates",
    "plates of points and of particles, weights by `log_likelihood` with batch_ndims=0",
    source="numpyro.plate and numpyro.infer.util.log_likelihood in NumPyro's reference",
)
def importance_sampling__plates(framework, data, parameters):
    """Program of a model of all curves, points along the first dimension."""
    n_particles = parameters["n_particles"]
    return framework.prior_importance_sampling(
        curves(data, n_particles), (data["xs"], data["ys"]), prior, n_particles=n_particles, batch_ndims=0
    )


@form(
    "vmap",
    "one particle under `vmap` with a key of its own, weights by `log_density` of model and guide",
    source="the vectorised particles of numpyro.infer.Trace_ELBO",
)
def importance_sampling__vmap(framework, data, parameters):
    """Program that proposes curves from the prior and weighs by model density over proposal density."""
    return framework.importance_sampling(
        curve(data), (data["xs"], data["ys"]), prior, n_particles=parameters["n_particles"]
    )


@form(
    "vector",
    "one site of three coefficients, the functional `hmc` in a `lax.scan`",
    source="numpyro.infer.hmc.hmc in NumPyro's reference",
)
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on the coefficients."""
    return chains(framework, data, parameters, vector_curve(data))


@form("named", "a site for each coefficient", source="numpyro.infer.hmc.hmc in NumPyro's reference")
def hmc__named(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    chosen = {name: parameters[name] for name in SETTINGS}
    return framework.hmc(curve(data), (data["xs"], data["ys"]), start, **chosen)


@form("vmap", "one site, a single chain under `vmap` too", source="chain_method='vectorized' of numpyro.infer.MCMC")
def hmc__vmap(framework, data, parameters):
    """Program of the same chain as a batch of one."""
    return chains(framework, data, parameters, vector_curve(data), vmap_one=True)


@form("product", "one site of three coefficients, the curve as a matrix product")
def hmc__product(framework, data, parameters):
    """Program on the model whose means are a matrix product."""
    return chains(framework, data, parameters, product_curve(data))


@form("product", "one site of three coefficients, the curve as a matrix product")
def hmc_chains(framework, data, parameters):
    """The same as `hmc`, over many chains."""
    return hmc__product(framework, data, parameters)


@form("vector", "one site of three coefficients")
def hmc_chains__vector(framework, data, parameters):
    """The program of a single chain, over many chains."""
    return hmc(framework, data, parameters)


def weighed(framework, data, parameters, model):
    """Program of importance sampling from the prior on a model with one site of three coefficients."""
    program = framework.prior_importance_sampling(
        model, (data["xs"], data["ys"]), vector_prior, n_particles=parameters["n_particles"]
    )
    return with_outputs(program, named)


def chains(framework, data, parameters, model, **options):
    """Program of Hamiltonian Monte Carlo on a model with one site of three coefficients."""
    program = framework.hmc(
        model, (data["xs"], data["ys"]), {"coefficients": data["start"]},
        **{name: parameters[name] for name in SETTINGS}, **options,
    )  # fmt: skip
    return with_outputs(program, named)


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def prior():
    """a, b, c ~ N(0, 1)."""
    return tuple(numpyro.sample(name, dist.Normal(0.0, 1.0)) for name in "abc")


def vector_prior():
    """The same, as one site with three entries."""
    return numpyro.sample("coefficients", dist.Normal(0.0, 1.0).expand([3]).to_event(1))


def curve(data):
    """The prior and y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        a, b, c = prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("ys", dist.Normal(a + xs * (b + xs * c), noise_sd), obs=ys)

    return polynomial


def vector_curve(data):
    """The same, with one site of three coefficients."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        a, b, c = vector_prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("ys", dist.Normal(a + xs * (b + xs * c), noise_sd), obs=ys)

    return polynomial


def product_curve(data):
    """The same, the means as a product of the powers of xs and the coefficients."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        means = jnp.stack([jnp.ones_like(xs), xs, xs * xs], axis=1) @ vector_prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("ys", dist.Normal(means, noise_sd), obs=ys)

    return polynomial


def curves(data, n_particles):
    """The model of all curves at once: points along the first dimension, particles along the second."""
    noise_sd = float(data["noise_sd"])

    def polynomials(xs, ys):
        with numpyro.plate("particles", n_particles, dim=-1):
            a, b, c = prior()
            with numpyro.plate("points", len(xs), dim=-2):
                means = a + xs[:, None] * (b + xs[:, None] * c)
                numpyro.sample("ys", dist.Normal(means, noise_sd), obs=ys[:, None])

    return polynomials
