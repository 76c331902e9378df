"""Wrong on purpose: each is the hand-coded program with one change, and the gate must call it invalid."""

import jax
import jax.numpy as jnp

from frameworks.base import mutant
from studies.faircoin.models import handcoded_jax as model


@mutant(task="importance_sampling", effect="a normal of the same mean and spread for the beta", cheap=True)
def normal_for_beta(framework, data, parameters):
    """Ten times as fast to draw."""
    alpha, beta = parameters["prior_alpha"], parameters["prior_beta"]
    mean, sd = alpha / (alpha + beta), (alpha * beta / (alpha + beta + 1)) ** 0.5 / (alpha + beta)
    return with_draws(framework, data, parameters, lambda key, n: mean + sd * jax.random.normal(key, (n,)))


@mutant(task="importance_sampling", effect="half drawn, half copies", cheap=True)
def half_copies(framework, data, parameters):
    """Half of the random numbers."""
    return with_draws(framework, data, parameters, lambda key, n: jnp.tile(prior(parameters)(key, n // 2), 2))


@mutant(task="importance_sampling", effect="half drawn, half jittered copies", cheap=True)
def half_jittered(framework, data, parameters):
    """Half of the random numbers, and none of them twice."""

    def draw(key, n):
        half = prior(parameters)(key, n // 2)
        return jnp.concatenate([half, half + 1e-4])

    return with_draws(framework, data, parameters, draw)


@mutant(task="importance_sampling", effect="half drawn, half mirrored", cheap=True)
def half_mirrored(framework, data, parameters):
    """Half of the random numbers: f and 1 - f."""

    def draw(key, n):
        half = prior(parameters)(key, n // 2)
        return jnp.concatenate([half, 1 - half])

    return with_draws(framework, data, parameters, draw)


@mutant(task="importance_sampling", effect="one draw for all particles", cheap=True)
def one_draw(framework, data, parameters):
    """A single random number."""
    return with_draws(framework, data, parameters, lambda key, n: jnp.tile(prior(parameters)(key, 1), n))


@mutant(task="importance_sampling", effect="prior parameters {strength:.0%} too large", strengths=(0.1, 0.05, 0.02))
def narrow_prior(framework, data, parameters):
    """A prior that is a little narrower."""
    scale = 1 + parameters["strength"]
    other = {name: scale * parameters[name] for name in ("prior_alpha", "prior_beta")}
    return with_draws(framework, data, parameters, prior({**parameters, **other}))


@mutant(task="importance_sampling", effect="one observation left out", cheap=True)
def observation_left_out(framework, data, parameters):
    """The likelihood of all but the last."""
    return model.importance_sampling(framework, {"observations": data["observations"][:-1]}, parameters)


def prior(parameters):
    """Draws of Beta(alpha, beta)."""
    return lambda key, n: jax.random.beta(key, parameters["prior_alpha"], parameters["prior_beta"], (n,))


def with_draws(framework, data, parameters, draw):
    """The model's program with other draws."""

    class Changed:
        @staticmethod
        def importance_sampling(_, *arguments, **options):
            draws = lambda key, shape: {"latent_fairness": draw(key, *shape)}
            return framework.importance_sampling(draws, *arguments, **options)

    return model.importance_sampling(Changed, data, parameters)
