"""Wrong on purpose: each is the hand-coded program with one change, and the gate must call it invalid."""

import jax

from frameworks.base import mutant
from studies.perfbench.models import handcoded_jax as model


@mutant(task="hmc", effect="noise sd {strength:.1%} too large", cheap=True, strengths=(0.02, 0.01, 0.005, 0.001))
def noise_sd(framework, data, parameters):
    """The likelihood of another noise."""
    return model.hmc(framework, {**data, "noise_sd": data["noise_sd"] * (1 + parameters["strength"])}, parameters)


@mutant(task="hmc", effect="prior sd {strength:.0%} too large", cheap=True, strengths=(0.5, 0.1, 0.02, 0.01))
def prior_sd(framework, data, parameters):
    """The prior of another width."""

    def log_density(of_curve):
        def scaled(curve, xs, ys):
            scale = 1 + parameters["strength"]
            change = sum(
                jax.scipy.stats.norm.logpdf(x, 0.0, scale) - jax.scipy.stats.norm.logpdf(x) for x in curve.values()
            )
            return of_curve(curve, xs, ys) + change

        return scaled

    return with_density(framework, data, parameters, log_density)


@mutant(task="hmc", effect="{strength:+g} leapfrog steps", cheap=True, strengths=(1,))
def leapfrog_steps(framework, data, parameters):
    """One step more than asked for."""
    return model.hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] + parameters["strength"]})


@mutant(task="hmc", effect="one leapfrog step fewer", cheap=True)
def fewer_leapfrog_steps(framework, data, parameters):
    """One step fewer than asked for."""
    return model.hmc(framework, data, {**parameters, "n_leapfrog": parameters["n_leapfrog"] - 1})


@mutant(task="hmc", effect="without warm-up", cheap=True)
def no_warmup(framework, data, parameters):
    """The first states are kept."""
    return model.hmc(framework, data, {**parameters, "n_warmup": 0})


@mutant(task="hmc", effect="gradient in bfloat16", cheap=True)
def bfloat16_gradient(framework, data, parameters):
    """The density is exact, its gradient has eight bits."""

    def rounded(of_curve):
        @jax.custom_vjp
        def density(curve, xs, ys):
            return of_curve(curve, xs, ys)

        def forward(curve, xs, ys):
            value, gradient = jax.value_and_grad(of_curve)(curve, xs, ys)
            return value, jax.tree.map(lambda x: jax.lax.reduce_precision(x, 8, 7), gradient)

        def backward(gradient, cotangent):
            return jax.tree.map(lambda x: x * cotangent, gradient), None, None

        density.defvjp(forward, backward)
        return density

    return with_density(framework, data, parameters, rounded)


def with_density(framework, data, parameters, change):
    """The model's program of Hamiltonian Monte Carlo on a changed density."""
    start = dict(zip("abc", data["start"], strict=True))
    names = ("step_size", "n_leapfrog", "n_samples", "n_warmup", "n_chains")
    return framework.hmc(
        change(model.log_density(data)), (data["xs"], data["ys"]), start, **{name: parameters[name] for name in names}
    )
