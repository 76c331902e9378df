"""The curve model in Pyro."""

import pyro
import pyro.distributions as dist


def importance_sampling(framework, data, parameters):
    """Program that proposes curves from the prior and weighs by model density over proposal density."""
    return framework.importance_sampling(
        curve(data), (data["xs"], data["ys"]), lambda xs, ys: prior(), n_particles=parameters["n_particles"]
    )


def importance_sweep(framework, data, parameters):
    """The same, over many sizes."""
    return importance_sampling(framework, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(curve(data), (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names})


def prior():
    """a, b, c ~ N(0, 1)."""
    return tuple(pyro.sample(name, dist.Normal(0.0, 1.0)) for name in "abc")


def curve(data):
    """The prior and y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""
    noise_sd = float(data["noise_sd"])

    def polynomial(xs, ys):
        a, b, c = prior()
        with pyro.plate("points", len(xs)):
            pyro.sample("ys", dist.Normal(a + xs * (b + xs * c), noise_sd), obs=ys)

    return polynomial
