"""The curve model written by hand in JAX."""

import jax
from jax.scipy.stats import norm


def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the points."""

    def draw_prior(key, shape):
        keys = jax.random.split(key, 3)
        return {name: jax.random.normal(key, shape) for name, key in zip("abc", keys, strict=True)}

    return framework.importance_sampling(
        draw_prior, log_likelihood(data), (data["xs"], data["ys"]), n_particles=parameters["n_particles"]
    )


def importance_sweep(framework, data, parameters):
    """The same, over many sizes."""
    return importance_sampling(framework, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(
        log_density(data), (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names}
    )


def hmc_chains(framework, data, parameters):
    """The same, over many chains."""
    return hmc(framework, data, parameters)


def log_likelihood(data):
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of one curve."""
    noise_sd = float(data["noise_sd"])

    def of_curve(curve, xs, ys):
        means = curve["a"] + xs * (curve["b"] + xs * curve["c"])
        return norm.logpdf(ys, means, noise_sd).sum()

    return of_curve


def log_density(data):
    """The log likelihood plus the log density of a, b, c ~ N(0, 1)."""
    likelihood = log_likelihood(data)
    return lambda curve, xs, ys: sum(norm.logpdf(value) for value in curve.values()) + likelihood(curve, xs, ys)
