"""The curve model in Pyro."""

import pyro
import pyro.distributions as dist
import torch

from frameworks.base import form, with_outputs

SETTINGS = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")


@form("jit", "plates of points and particles, the curve as a matrix product, the likelihood by `pyro.ops.jit`",
      source="plates in Pyro's tutorial 'Tensor shapes'; jit_compile in 'Using the PyTorch JIT compiler with Pyro'",
      mark="compiled")  # fmt: skip
def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the points."""
    return particles(framework, data, parameters, jit_compile=True)


@form("plates", "the same, eager", source="plates in Pyro's tutorial 'Tensor shapes'", mark="eager")
def importance_sampling__plates(framework, data, parameters):
    """Program of the same model, not compiled."""
    return particles(framework, data, parameters, jit_compile=False)


@form("library", "Pyro's own `vectorized_importance_weights`, a site for each coefficient, eager",
      source="pyro.infer.importance in Pyro's reference", mark="eager")  # fmt: skip
def importance_sampling__library(framework, data, parameters):
    """Program that proposes curves from the prior and weighs by model density over proposal density."""
    return framework.importance_sampling(
        curve(data), (data["xs"], data["ys"]), lambda xs, ys: prior(), n_particles=parameters["n_particles"]
    )


@form("product", "one site of three coefficients, the curve as a matrix product, `jit_compile`",
      source="pyro.infer.HMC in Pyro's reference", mark="compiled potential")  # fmt: skip
def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on the coefficients."""
    program = framework.hmc(
        product_curve(data), (data["xs"], data["ys"]), {"coefficients": data["start"]},
        **{name: parameters[name] for name in SETTINGS},
    )  # fmt: skip
    return with_outputs(program, named)


@form("named", "a site for each coefficient, `jit_compile`", source="pyro.infer.HMC in Pyro's reference",
      mark="compiled potential")  # fmt: skip
def hmc__named(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    chosen = {name: parameters[name] for name in SETTINGS}
    return framework.hmc(curve(data), (data["xs"], data["ys"]), start, **chosen)


def particles(framework, data, parameters, jit_compile):
    """Program of importance sampling on the model of all curves at once."""
    n_particles, noise_sd = parameters["n_particles"], float(data["noise_sd"])

    def prior_of_all():
        with pyro.plate("particles", n_particles, dim=-1):
            return vector_prior()

    def curves(xs, ys):
        with pyro.plate("particles", n_particles, dim=-1):
            means = powers(xs) @ vector_prior().T
            with pyro.plate("points", len(xs), dim=-2):
                pyro.sample("ys", dist.Normal(means, noise_sd), obs=ys[:, None])

    program = framework.prior_importance_sampling(
        curves, (data["xs"], data["ys"]), prior_of_all, n_particles=n_particles, jit_compile=jit_compile
    )
    return with_outputs(program, named)


def named(outputs):
    """The outputs with the coefficients by name."""
    coefficients = outputs.pop("coefficients")
    return {**{name: coefficients[..., index] for index, name in enumerate("abc")}, **outputs}


def powers(xs):
    """(n_points, 3): 1, x, x^2."""
    return torch.stack([torch.ones_like(xs), xs, xs * xs], dim=1)


def prior():
    """a, b, c ~ N(0, 1)."""
    return tuple(pyro.sample(name, dist.Normal(0.0, 1.0)) for name in "abc")


def vector_prior():
    """The same, as one site with three entries."""
    return pyro.sample("coefficients", dist.Normal(torch.zeros(3), 1.0).to_event(1))


def curve(data):
    """The prior and y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        a, b, c = prior()
        with pyro.plate("points", len(xs)):
            pyro.sample("ys", dist.Normal(a + xs * (b + xs * c), noise_sd), obs=ys)

    return polynomial


def product_curve(data):
    """The same, the means as a product of the powers of xs and one site of three coefficients."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        means = powers(xs) @ vector_prior()
        with pyro.plate("points", len(xs)):
            pyro.sample("ys", dist.Normal(means, noise_sd), obs=ys)

    return polynomial
