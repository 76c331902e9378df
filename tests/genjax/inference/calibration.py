"""Simulation-based calibration of kernels on conjugate models.

Parameters and data are drawn together from a model, then a chain is run on the parameters given the data, from an
independent start. If the kernel has the posterior as its invariant distribution and the draws are nearly independent,
the rank of any function of the true parameters and data among those of the draws is uniform. Distances from the data
and from the prior mean matter: a kernel that returns draws from the prior has uniform ranks in all functions of the
parameters alone, and one that leaves out the prior of a location has them in all functions of its distance from the
data.

Sources: Talts et al., *Validating Bayesian inference algorithms with simulation-based calibration* (2018); Modrak et
al., *Simulation-based calibration checking for Bayesian computation: the choice of test quantities* (2023).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from genjax import Scan, categorical, chain, flip, gamma, gen, get_choices, normal, seed

N_REPLICATES = 800
N_DRAWS = 19

#: A chi-square test of one function's ranks fails below this p-value: the probability of a false alarm.
LEVEL = 1e-5


class Case(NamedTuple):
    """A model; which of its choices are data, as constraints; and functions of all choices, (k,), that are ranked."""

    model: Any
    data: Callable[[Any], Any]
    functions: Callable[[Any], jax.Array]


@gen
def normal_gamma():
    """precision ~ Gamma(3, 2), mean ~ N(1, 1 / sqrt(2 precision)), three ys ~ N(mean, 1 / sqrt(precision))."""
    precision = gamma(3.0, 2.0) @ "precision"
    mean = normal(1.0, 1 / jnp.sqrt(2 * precision)) @ "mean"
    normal.repeat(3)(mean, 1 / jnp.sqrt(precision)) @ "y"


def of_normal_gamma(choices):
    mean, precision = choices["mean"], choices["precision"]
    from_data, from_prior = jnp.sum(jnp.square(choices["y"] - mean)), jnp.square(mean - 1)
    return jnp.stack([mean, precision, precision * from_data, precision * from_prior])


@gen
def walk_step(state, _):
    state = normal(0.8 * state, 1.0) @ "state"
    normal(state, 0.7) @ "seen"
    return state, state


@gen
def walk():
    """Four steps of a walk, each seen with noise, and the last state seen once more behind the steps."""
    last, _ = Scan(walk_step, length=4)(0.5, None) @ "path"
    normal(last, 1.0) @ "y"


def of_walk(choices):
    states, seen = choices["path"]["state"], choices["path"]["seen"]
    return jnp.stack([states[0], states[-1], jnp.sum(states), jnp.sum(jnp.square(seen - states))])


@gen
def item(share):
    label = flip(share) @ "label"
    normal(label * 1.0, 0.8) @ "y"


@gen
def labels():
    """One of three groups decides how likely each of four labels is; what is seen is each label with noise."""
    group = categorical(jnp.log(jnp.array([0.5, 0.3, 0.2]))) @ "group"
    item.repeat(4)(jnp.array([0.2, 0.5, 0.8])[group]) @ "items"


def of_labels(choices):
    label = choices["items"]["label"] * 1.0
    return jnp.stack([choices["group"] * 1.0, label.sum(), jnp.sum(jnp.square(choices["items"]["y"] - label))])


NORMAL_GAMMA = Case(normal_gamma, lambda choices: {"y": choices["y"]}, of_normal_gamma)
WALK = Case(walk, lambda choices: {"path": {"seen": choices["path"]["seen"]}, "y": choices["y"]}, of_walk)
LABELS = Case(labels, lambda choices: {"items": {"y": choices["items"]["y"]}}, of_labels)


def draws_of(kernel, burn_in=40, thinning=4):
    """A function from a trace to `N_DRAWS` thinned draws of a chain that starts there."""
    n_steps = burn_in + N_DRAWS * thinning

    def run(trace):
        result = chain(kernel, collect=get_choices)(
            trace, n_steps, burn_in=burn_in, autocorrelation_resampling=thinning
        )
        return result.traces

    return run


def rank_counts(case, draw, n_replicates=N_REPLICATES, key=0):
    """How often each rank occurs, for each function of the case; equal values are ordered at random.

    Args:
        case: the model.
        draw: from a trace with the data and with parameters independent of the true ones, to `N_DRAWS` draws of all
            choices.

    Returns:
        (k, N_DRAWS + 1) counts.
    """

    def replicate():
        truth = case.model.simulate().get_choices()
        start, _ = case.model.generate(case.data(truth))
        drawn = jax.vmap(case.functions)(draw(start))
        true = case.functions(truth)
        ties = jnp.sum(drawn == true, axis=0)
        return jnp.sum(drawn < true, axis=0), ties

    below, ties = jax.jit(jax.vmap(seed(replicate)))(jax.random.split(jax.random.key(key), n_replicates))
    ranks = np.asarray(below) + np.random.default_rng(0).integers(0, np.asarray(ties) + 1)
    return np.stack([np.bincount(column, minlength=N_DRAWS + 1) for column in ranks.T])


def least_p_value(counts):
    """The smallest over functions of the p-value of a chi-square test that all ranks are equally likely."""
    return stats.chisquare(counts, axis=1).pvalue.min()
