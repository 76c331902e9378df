"""The posteriors as log densities for BlackJAX. The system moves them in unconstrained coordinates."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import cauchy, norm

from studies.posteriors import programs


def nuts(framework, data, parameters):
    """Program of the No-U-Turn Sampler on one posterior."""
    return programs.nuts(framework, MODELS, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo that adapts, on one posterior."""
    return programs.hmc(framework, MODELS, data, parameters)


def eight_schools_noncentred(data):
    """Effects around a common mean, as multiples of tau."""

    def density(unknowns, errors, effects):
        mu, tau, z = unknowns["mu"], unknowns["tau"], unknowns["z"]
        prior = norm.logpdf(mu, 0.0, 5.0) + cauchy.logpdf(tau, 0.0, 5.0) + norm.logpdf(z).sum()
        return prior + norm.logpdf(effects, mu + tau * z, errors).sum()

    return density, (data["errors"], data["effects"]), {"tau": "positive"}


def logistic(data):
    """Logistic regression."""

    def density(unknowns, features, labels):
        logits = features @ unknowns["weights"]
        return norm.logpdf(unknowns["weights"]).sum() + jnp.sum(labels * logits - jax.nn.softplus(logits))

    return density, (data["features"], data["labels"]), {}


def poisson(data):
    """Counts of groups whose log rates lie around a common mean."""

    def density(unknowns, exposures, counts):
        mu, sigma, z = unknowns["mu"], unknowns["sigma"], unknowns["z"]
        log_rates = mu + sigma * z
        prior = norm.logpdf(mu) + norm.logpdf(sigma) + norm.logpdf(z).sum()
        return prior + jnp.sum(counts * log_rates - exposures * jnp.exp(log_rates))

    return density, (data["exposures"], data["counts"]), {"sigma": "positive"}


MODELS = {
    "eight_schools_noncentred": eight_schools_noncentred,
    "logistic": logistic,
    "poisson": poisson,
}
