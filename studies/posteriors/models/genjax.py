"""The posteriors in GenJAX."""

import jax.numpy as jnp

from genjax import (
    bernoulli,
    gen,
    half_cauchy,
    half_normal,
    normal,
)
from genjax import poisson as poisson_counts
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


MODELS = {
    "eight_schools_noncentred": eight_schools_noncentred,
    "logistic": logistic,
    "poisson": poisson,
}
