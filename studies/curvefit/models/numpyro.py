"""The basic curve model in NumPyro."""

import numpy as np
import numpyro
import numpyro.distributions as dist


def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the observations."""
    return framework.prior_importance_sampling(
        basic_curve(parameters), (data["xs"], data["ys"]), prior, n_particles=parameters["n_particles"]
    )


def basic_hmc(framework, data, parameters):
    """Program of chains of Hamiltonian Monte Carlo, all from the prior's mean."""
    start = dict.fromkeys("abc", np.float32(0.0))
    names = ("step_size", "n_leapfrog", "n_chains")
    return framework.hmc(
        basic_curve(parameters), (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names},
        n_samples=parameters["n_steps"], n_warmup=0,
    )  # fmt: skip


def prior():
    """a, b, c ~ N(0, 1)."""
    return tuple(numpyro.sample(name, dist.Normal(0.0, 1.0)) for name in ("a", "b", "c"))


def basic_curve(parameters):
    """The prior and y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""

    def model(xs, ys):
        a, b, c = prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("obs", dist.Normal(a + xs * (b + xs * c), parameters["noise_sd"]), obs=ys)

    return model
