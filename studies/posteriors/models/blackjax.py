"""The posteriors as log densities for BlackJAX. The system moves them in unconstrained coordinates."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import beta, cauchy, multivariate_normal, norm

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


def eight_schools_centred(data):
    """Effects around a common mean, themselves the unknowns."""

    def density(unknowns, errors, effects):
        mu, tau, theta = unknowns["mu"], unknowns["tau"], unknowns["theta"]
        prior = norm.logpdf(mu, 0.0, 5.0) + cauchy.logpdf(tau, 0.0, 5.0) + norm.logpdf(theta, mu, tau).sum()
        return prior + norm.logpdf(effects, theta, errors).sum()

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


def ordinal(data):
    """Ordered logistic regression."""

    def density(unknowns, features, ratings):
        weights, cutpoints = unknowns["weights"], unknowns["cutpoints"]
        below = jax.nn.sigmoid(cutpoints - (features @ weights)[:, None])
        probabilities = jnp.diff(below, prepend=0.0, append=1.0)
        log_likelihood = jnp.log(jnp.take_along_axis(probabilities, ratings[:, None], axis=1)).sum()
        return norm.logpdf(weights).sum() + log_ascending(cutpoints) + log_likelihood

    return density, (data["features"], data["ratings"]), {"cutpoints": "ordered"}


def mixture(data):
    """Two normal components, told apart by the order of their locations."""

    def density(unknowns, ys):
        weight, locations, scales = unknowns["weight"], unknowns["locations"], unknowns["scales"]
        prior = beta.logpdf(weight, 2.0, 2.0) + log_ascending(locations) + norm.logpdf(scales, 0.0, 2.0).sum()
        log_weights = jnp.log(jnp.stack([weight, 1 - weight]))
        return prior + jax.nn.logsumexp(log_weights + norm.logpdf(ys[:, None], locations, scales), axis=1).sum()

    return density, (data["ys"],), {"weight": "unit", "locations": "ordered", "scales": "positive"}


def gaussian_process(data):
    """A Gaussian process with squared exponential covariance, its curve summed out."""

    def density(unknowns, xs, ys):
        length_scale, amplitude, noise = (unknowns[name] for name in ("length_scale", "amplitude", "noise"))
        log_length = jnp.log(length_scale)
        prior = norm.logpdf(log_length) - log_length + norm.logpdf(amplitude, 0.0, 2.0) + norm.logpdf(noise)
        covariance = amplitude**2 * jnp.exp(-0.5 * ((xs[:, None] - xs) / length_scale) ** 2)
        covariance += noise**2 * jnp.eye(xs.shape[0])
        return prior + multivariate_normal.logpdf(ys, jnp.zeros(xs.shape[0]), covariance)

    supports = dict.fromkeys(("length_scale", "amplitude", "noise"), "positive")
    return density, (data["xs"], data["ys"]), supports


def autoregression(phi, shocks):
    """x_t = phi x_(t-1) + shock_t along the last axis, by a parallel scan; the first shock is x_1."""

    def joined(earlier, later):
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    factors = jnp.broadcast_to(phi, shocks.shape)
    return jax.lax.associative_scan(joined, (factors, shocks), axis=-1)[1]


def stochastic_volatility(data):
    """Returns whose log variances are autoregressive, as functions of standard normals."""

    def density(unknowns, ys):
        mu, sigma, z = unknowns["mu"], unknowns["sigma"], unknowns["z"]
        prior = norm.logpdf(mu) + norm.logpdf(sigma) + beta.logpdf(unknowns["persistence"], 20.0, 1.5)
        phi = 2 * unknowns["persistence"] - 1
        shocks = (sigma * z).at[0].divide(jnp.sqrt(1 - phi**2))
        scales = jnp.exp((mu + autoregression(phi, shocks)) / 2)
        return prior + norm.logpdf(z).sum() + norm.logpdf(ys, 0.0, scales).sum()

    return density, (data["ys"],), {"sigma": "positive", "persistence": "unit"}


def log_ascending(x):
    """Log density, up to a constant, of a vector whose first number and whose logarithms of steps are N(0, 1)."""
    log_steps = jnp.log(jnp.diff(x))
    return norm.logpdf(x[0]) + norm.logpdf(log_steps).sum() - log_steps.sum()


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
