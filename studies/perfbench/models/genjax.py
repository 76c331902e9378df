"""The curve model in GenJAX."""

from genjax import gen, normal


def importance_sampling(framework, data, parameters):
    """Program that generates traces of the model with the observations constrained."""
    n_particles = parameters["n_particles"]
    return framework.importance_sampling(curve(data), (data["xs"],), {"ys": data["ys"]}, n_particles=n_particles)


def importance_sweep(framework, data, parameters):
    """The same, over many sizes."""
    return importance_sampling(framework, data, parameters)


def hmc(framework, data, parameters):
    """Program of Hamiltonian Monte Carlo on a, b, c."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(
        curve(data), (data["xs"],), {"ys": data["ys"]}, start, **{name: parameters[name] for name in names}
    )


def hmc_chains(framework, data, parameters):
    """The same, over many chains."""
    return hmc(framework, data, parameters)


def curve(data):
    """a, b, c ~ N(0, 1); y_i ~ N(a + b x_i + c x_i^2, noise_sd)."""
    noise_sd = float(data["noise_sd"])

    @gen
    def polynomial(xs):
        a, b, c = (normal(0.0, 1.0) @ name for name in "abc")
        return normal.vmap(in_axes=(0, None))(a + xs * (b + xs * c), noise_sd) @ "ys"

    return polynomial
