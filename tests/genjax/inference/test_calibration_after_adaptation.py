"""Draws after a warm-up are calibrated: what it found is kept fixed, and its parts agree with each other.

Ranks of four functions, each at the level 1e-5: a false alarm has probability 4e-5 per test, and seeds are fixed. Any
step size and any length of trajectories leave the posterior where it is, so that only adaptation which goes on, or a
mass matrix whose parts disagree, can be noticed.
"""

import importlib

import jax
import jax.numpy as jnp
import pytest

from genjax import chain, get_choices, sel
from genjax.inference import chees
from genjax.inference.kernels import HMC, NUTS
from tests.genjax.inference import calibration
from tests.genjax.inference.calibration import LEVEL, N_DRAWS, NORMAL_GAMMA

BOTH = sel("mean", "precision")
THINNING = 4
N_STEPS = N_DRAWS * THINNING


def after_warmup(trace):
    """A chain of NUTS after sixty steps in which step size and mass matrix adapt."""
    run = chain(NUTS(BOTH, 0.3, max_depth=4), collect=get_choices)
    return run(trace, N_STEPS, autocorrelation_resampling=THINNING, n_warmup=60).traces


def after_chees(trace):
    """One of eight chains of HMC whose trajectory length adapted before."""
    found = chees(HMC(BOTH, 0.3, 2))(trace, 50, n_chains=8)
    first = jax.tree.map(lambda leaf: leaf[0], found.traces)
    return chain(found.kernel, collect=get_choices)(first, N_STEPS, autocorrelation_resampling=THINNING).traces


@pytest.mark.parametrize("draw", [after_warmup, after_chees])
def test_ranks_of_the_truth_are_uniform(draw):
    assert calibration.least_p_value(calibration.rank_counts(NORMAL_GAMMA, draw)) > LEVEL


def test_momenta_of_another_mass_matrix_are_noticed(monkeypatch):
    """The factor of the mass matrix stays what it was at the start, while the matrix adapts."""
    warmup = importlib.import_module("genjax.inference.adaptation.warmup")  # the package has a function of that name
    monkeypatch.setattr(warmup, "factor_of", jnp.ones_like)
    assert calibration.least_p_value(calibration.rank_counts(NORMAL_GAMMA, after_warmup)) < LEVEL
