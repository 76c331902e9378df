"""The curve model written by hand in PyTorch."""

import math

import torch


def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the points."""

    def draw_prior(generator, shape):
        draws = torch.randn((3, *shape), generator=generator, device=generator.device)
        return dict(zip("abc", draws, strict=True))

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
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of a batch of curves."""
    noise_sd = float(data["noise_sd"])
    constant = len(data["xs"]) * math.log(noise_sd * math.sqrt(2 * math.pi))

    def of_curves(curves, xs, ys):
        a, b, c = (curves[name][..., None] for name in "abc")
        standard = (ys - (a + xs * (b + xs * c))) / noise_sd
        return -0.5 * standard.square().sum(-1) - constant

    return of_curves


def log_density(data):
    """The log likelihood plus the log density of a, b, c ~ N(0, 1)."""
    likelihood, constant = log_likelihood(data), 1.5 * math.log(2 * math.pi)

    def of_curves(curves, xs, ys):
        squares = sum(value.square() for value in curves.values())
        return likelihood(curves, xs, ys) - 0.5 * squares - constant

    return of_curves
