"""The posteriors in Pyro have the densities that they have in BlackJAX, where they are written out."""

import jax.numpy as jnp
import numpy as np
import pytest

pyro = pytest.importorskip("pyro")

import torch  # noqa: E402
from pyro import poutine  # noqa: E402

from studies.posteriors.models import blackjax as written_out  # noqa: E402
from studies.posteriors.models import pyro as models  # noqa: E402
from studies.posteriors.targets import TARGETS, starts  # noqa: E402

N_POINTS = 6


def tensors(arrays):
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


def log_densities(posterior):
    """(N_POINTS,) of Pyro, and of BlackJAX, at the same points."""
    target = TARGETS[posterior]()
    points = starts(target, N_POINTS, 11)
    model, args = models.MODELS[posterior](target.data)
    density, given, _ = written_out.MODELS[posterior](target.data)
    args, given = [torch.as_tensor(array) for array in args], [jnp.asarray(array) for array in given]
    found = []
    for index in range(N_POINTS):
        point = {name: values[index] for name, values in points.items()}
        trace = poutine.trace(poutine.condition(model, tensors(point))).get_trace(*args)
        ours = density({name: jnp.asarray(value) for name, value in point.items()}, *given)
        found.append((float(trace.log_prob_sum()), float(ours)))
    return np.array(found).T


def test_every_posterior_is_there():
    assert models.MODELS.keys() == TARGETS.keys()


@pytest.mark.parametrize("posterior", TARGETS)
def test_densities_differ_by_a_constant(posterior):
    """Sums in float32 are right to some 10^-6 of their size; the points differ by much more than that."""
    pyros, blackjaxs = log_densities(posterior)
    rounding = 1e-5 * np.abs(pyros).max()
    assert np.ptp(pyros) > 100 * rounding
    assert np.ptp(pyros - blackjaxs) < rounding


@pytest.mark.parametrize("phi", [0.95, -0.5])
@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_the_autoregression_is_the_loop(phi, n):
    shocks = np.random.default_rng(n).normal(size=n)
    expected, state = np.empty(n), 0.0
    for day, shock in enumerate(shocks):
        state = phi * state + shock
        expected[day] = state
    found = models.autoregression(torch.tensor(phi, dtype=torch.float64), torch.as_tensor(shocks))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
