"""Scan: every method works on sequences."""

import jax
import numpy as np

from genjax import Scan, seed, sel
from tests.genjax.core.small_models import step

KEY = jax.random.key(0)


def test_scan_regenerate():
    scan = Scan(step, 3)
    trace = seed(scan.simulate)(KEY, 0.0, None)
    new, weight, discard = seed(scan.regenerate)(KEY, trace, sel("m"), 0.0, None)
    old_choices, choices = trace.get_choices(), new.get_choices()
    np.testing.assert_array_equal(choices["n"], old_choices["n"])
    assert np.all(choices["m"] != old_choices["m"])
    np.testing.assert_allclose(weight, 0.0, atol=1e-5)
    np.testing.assert_array_equal(discard["m"], old_choices["m"])
