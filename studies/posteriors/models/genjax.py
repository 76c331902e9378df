"""The posteriors in GenJAX."""

import jax
import jax.numpy as jnp

from genjax import (
    bernoulli,
    beta,
    distribution,
    gen,
    half_cauchy,
    half_normal,
    log_normal,
    multivariate_normal,
    normal,
    ordered_logistic,
)
from genjax import mixture as mixture_of
from genjax import poisson as poisson_counts
from genjax.distributions import supports
from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo that adapts, on one posterior."""
    return programs.hmc(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    @gen
    def schools(errors):
        mu = normal(0.0, 5.0) @ "mu"
        tau = half_cauchy(5.0) @ "tau"
        z = normal.repeat(8)(0.0, 1.0) @ "z"
        return normal.vmap()(mu + tau * z, errors) @ "effects"

    return schools, (data["errors"],), {"effects": data["effects"]}


def eight_schools_centred(data):
    """Effects around a common mean, themselves the unknowns."""

    @gen
    def schools(errors):
        mu = normal(0.0, 5.0) @ "mu"
        tau = half_cauchy(5.0) @ "tau"
        theta = normal.repeat(8)(mu, tau) @ "theta"
        return normal.vmap()(theta, errors) @ "effects"

    return schools, (data["errors"],), {"effects": data["effects"]}


def logistic(data):
    """Logistic regression."""

    @gen
    def regression(features):
        weights = normal.repeat(features.shape[1])(0.0, 1.0) @ "weights"
        return bernoulli.vmap()(features @ weights) @ "labels"

    return regression, (data["features"],), {"labels": data["labels"] == 1}


def poisson(data):
    """Counts of groups whose log rates lie around a common mean."""

    @gen
    def groups(exposures):
        mu = normal(0.0, 1.0) @ "mu"
        sigma = half_normal(1.0) @ "sigma"
        z = normal.repeat(exposures.shape[0])(0.0, 1.0) @ "z"
        return poisson_counts.vmap()(exposures * jnp.exp(mu + sigma * z)) @ "counts"

    return groups, (data["exposures"],), {"counts": data["counts"]}


def draw_ascending(loc, scale):
    """A first number and the logarithms of steps upwards, all normal."""
    z = normal.sample(loc, scale)
    return jnp.cumsum(jnp.concatenate([z[..., :1], jnp.exp(z[..., 1:])], axis=-1), axis=-1)


def log_ascending(x, loc, scale):
    """Their density as one of the vector."""
    log_steps = jnp.log(jnp.diff(x, axis=-1))
    z = jnp.concatenate([x[..., :1], log_steps], axis=-1)
    return normal.logpdf(z, loc, scale).sum(-1) - log_steps.sum(-1)


ascending = distribution(draw_ascending, log_ascending, "ascending", supports.ordered)


def ordinal(data):
    """Ordered logistic regression."""

    @gen
    def regression(features):
        weights = normal.repeat(features.shape[1])(0.0, 1.0) @ "weights"
        cutpoints = ascending(jnp.zeros(4), 1.0) @ "cutpoints"
        return ordered_logistic.vmap(in_axes=(0, None))(features @ weights, cutpoints) @ "ratings"

    return regression, (data["features"],), {"ratings": data["ratings"]}


def mixture(data):
    """Two normal components, told apart by the order of their locations."""

    @gen
    def components():
        weight = beta(2.0, 2.0) @ "weight"
        locations = ascending(jnp.zeros(2), 1.0) @ "locations"
        scales = half_normal.repeat(2)(2.0) @ "scales"
        weights = jnp.stack([weight, 1 - weight])
        return mixture_of(normal).repeat(len(data["ys"]))(weights, locations, scales) @ "ys"

    return components, (), {"ys": data["ys"]}


def gaussian_process(data):
    """A Gaussian process with squared exponential covariance, its curve summed out."""

    @gen
    def curve(xs):
        length_scale = log_normal(0.0, 1.0) @ "length_scale"
        amplitude = half_normal(2.0) @ "amplitude"
        noise = half_normal(1.0) @ "noise"
        covariance = amplitude**2 * jnp.exp(-0.5 * ((xs[:, None] - xs) / length_scale) ** 2)
        return multivariate_normal(jnp.zeros(len(xs)), covariance + noise**2 * jnp.eye(len(xs))) @ "ys"

    return curve, (data["xs"],), {"ys": data["ys"]}


def autoregression(phi, shocks):
    """x_t = phi x_(t-1) + shock_t along the last axis, by a parallel scan; the first shock is x_1."""

    def joined(earlier, later):
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    factors = jnp.broadcast_to(phi, shocks.shape)
    return jax.lax.associative_scan(joined, (factors, shocks), axis=-1)[1]


def stochastic_volatility(data):
    """Returns whose log variances are autoregressive, as functions of standard normals."""

    @gen
    def returns():
        mu = normal(0.0, 1.0) @ "mu"
        sigma = half_normal(1.0) @ "sigma"
        phi = 2 * (beta(20.0, 1.5) @ "persistence") - 1
        z = normal.repeat(len(data["ys"]))(0.0, 1.0) @ "z"
        shocks = (sigma * z).at[0].divide(jnp.sqrt(1 - phi**2))
        return normal.vmap(in_axes=(None, 0))(0.0, jnp.exp((mu + autoregression(phi, shocks)) / 2)) @ "ys"

    return returns, (), {"ys": data["ys"]}


MODELS = {
    "eight_schools_noncentred": eight_schools_noncentred,
    "eight_schools_centred": eight_schools_centred,
    "logistic": logistic,
    "poisson": poisson,
    "ordinal": ordinal,
    "mixture": mixture,
    "gaussian_process": gaussian_process,
    "stochastic_volatility": stochastic_volatility,
}
