"""The curve model in TensorFlow Probability."""

import tensorflow_probability.substrates.jax.distributions as tfd


def importance_sampling(framework, data, parameters):
    """Program that draws curves from the prior and weighs each by the likelihood of the points."""
    return framework.importance_sampling(
        prior, likelihood(data), (data["xs"],), data["ys"], n_particles=parameters["n_particles"]
    )


def importance_sweep(framework, data, parameters):
    """The same, over many sizes."""
    return importance_sampling(framework, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(
        prior, likelihood(data), (data["xs"],), data["ys"], start, **{name: parameters[name] for name in names}
    )


def hmc_chains(framework, data, parameters):
    """The same, over many chains."""
    return hmc(framework, data, parameters)


def prior():
    """a, b, c ~ N(0, 1)."""
    return tfd.JointDistributionNamed({name: tfd.Normal(0.0, 1.0) for name in "abc"})


def likelihood(data):
    """The points y_i ~ N(a + b x_i + c x_i^2, noise_sd) of a batch of curves."""
    noise_sd = float(data["noise_sd"])

    def of_curves(curves, xs):
        a, b, c = (curves[name][..., None] for name in "abc")
        return tfd.Independent(tfd.Normal(a + xs * (b + xs * c), noise_sd), reinterpreted_batch_ndims=1)

    return of_curves
