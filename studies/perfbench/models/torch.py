"""The curve model hand-coded in PyTorch."""

import math

import torch

from frameworks.base import form

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form("compiled", "the log likelihood under `torch.compile`", source="torch.compile in PyTorch's tutorials",
      mark="compiled")  # fmt: skip
def importance_sampling(framework, data, parameters):
    """Program that draws curves from their prior and weighs each by the likelihood of the points."""
    return particles(framework, data, parameters, log_likelihood(data), compiled=True)


@form("product", "eager, the curve as `torch.addmm`", source="torch.addmm in PyTorch's reference", mark="eager")
def importance_sampling__product(framework, data, parameters):
    """Program whose residuals are one matrix product."""
    return particles(framework, data, parameters, log_likelihood_by_product(data))


@form("eager", "eager, the curve by Horner's rule", mark="eager")
def importance_sampling__eager(framework, data, parameters):
    """Program of one tensor operation after the other."""
    return particles(framework, data, parameters, log_likelihood(data))


@form("compiled", "blocks of leapfrog steps under `torch.compile`, gradients by `torch.func.grad`",
      source="torch.compile and torch.func in PyTorch's tutorials", mark="compiled")  # fmt: skip
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    return chains(framework, data, parameters, compiled=True)


@form("eager", "eager, gradients by `torch.func.grad`", source="torch.func in PyTorch's tutorials", mark="eager")
def hmc__eager(framework, data, parameters):
    """Program of one tensor operation after the other."""
    return chains(framework, data, parameters)


@form("written_gradient", "eager, the gradient written out", mark="eager, gradient written out")
def hmc__written_gradient(framework, data, parameters):
    """Program without automatic differentiation."""
    return chains(framework, data, parameters, gradient=gradient(data))


@form("compiled", "blocks of leapfrog steps under `torch.compile`, gradients by `torch.func.grad`",
      source="torch.compile and torch.func in PyTorch's tutorials", mark="compiled")  # fmt: skip
def hmc_chains(framework, data, parameters):
    """The same as `hmc`, over many chains."""
    return hmc(framework, data, parameters)


@form("written_gradient", "eager, the gradient written out", mark="eager, gradient written out")
def hmc_chains__written_gradient(framework, data, parameters):
    """The same as `hmc__written_gradient`, over many chains."""
    return hmc__written_gradient(framework, data, parameters)


def particles(framework, data, parameters, log_likelihood, **options):
    """Program of importance sampling with one draw of all coefficients."""

    def draw_prior(generator, shape):
        draws = torch.randn((3, *shape), generator=generator, device=generator.device)
        return dict(zip("abc", draws, strict=True))

    given = (data["xs"], data["ys"])
    return framework.importance_sampling(
        draw_prior, log_likelihood, given, n_particles=parameters["n_particles"], **options
    )


def chains(framework, data, parameters, **options):
    """Program of Hamiltonian Monte Carlo on a, b, c, whose curve is a matrix product."""
    start = dict(zip("abc", data["start"], strict=True))
    powers = torch.stack([torch.as_tensor(data["xs"]) ** power for power in range(3)], dim=1)
    return framework.hmc(
        log_density(data), (powers.numpy(force=True), data["ys"]), start,
        **{name: parameters[name] for name in SETTINGS}, **options,
    )  # fmt: skip


def log_constant(data):
    """The part of -log p(ys | curve) that depends on no curve."""
    return len(data["xs"]) * math.log(float(data["noise_sd"]) * math.sqrt(2 * math.pi))


def log_likelihood(data):
    """sum_i log N(y_i; a + b x_i + c x_i^2, noise_sd) of a batch of curves; the points come first."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data)

    def of_curves(curves, xs, ys):
        a, b, c = (curves[name] for name in "abc")
        standard = (ys[:, None] - (a + xs[:, None] * (b + xs[:, None] * c))) / noise_sd
        return -0.5 * standard.square().sum(0) - constant

    return of_curves


def log_likelihood_by_product(data):
    """The same, the curves as a product of the powers of xs and the coefficients."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data)

    def of_curves(curves, xs, ys):
        powers = torch.stack([torch.ones_like(xs), xs, xs * xs], dim=1)
        coefficients = torch.stack([curves[name] for name in "abc"])
        residuals = torch.addmm(ys[:, None], powers, coefficients, alpha=-1)
        return residuals.square_().sum(0) * (-0.5 / noise_sd**2) - constant

    return of_curves


def log_density(data):
    """The log likelihood plus the log density of a, b, c ~ N(0, 1), of states (3, n_chains)."""
    noise_sd, constant = float(data["noise_sd"]), log_constant(data) + 1.5 * math.log(2 * math.pi)

    def of_states(state, powers, ys):
        standard = (ys[:, None] - powers @ state) / noise_sd
        return -0.5 * (standard.square().sum(0) + state.square().sum(0)) - constant

    return of_states


def gradient(data):
    """The gradient of the log density, (3, n_chains)."""
    noise_sd = float(data["noise_sd"])
    return lambda state, powers, ys: powers.T @ (ys[:, None] - powers @ state) / noise_sd**2 - state
