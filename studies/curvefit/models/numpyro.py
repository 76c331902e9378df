"""The basic curve model in NumPyro."""

import numpyro
import numpyro.distributions as dist


def importance_sampling(framework, data, parameters):
    """Program that proposes curves from the prior and weighs by model density over proposal density."""

    def prior():
        return tuple(numpyro.sample(name, dist.Normal(0.0, 1.0)) for name in ("a", "b", "c"))

    def basic_curve(xs, ys):
        a, b, c = prior()
        with numpyro.plate("points", len(xs)):
            numpyro.sample("obs", dist.Normal(a + xs * (b + xs * c), parameters["noise_sd"]), obs=ys)

    return framework.importance_sampling(
        basic_curve, (data["xs"], data["ys"]), prior, n_particles=parameters["n_particles"]
    )
