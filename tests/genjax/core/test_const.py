"""Sizes: plain integers and `const` alike."""

import jax
import numpy as np
import pytest

from genjax import Const, Scan, const, normal, seed
from tests.genjax.core.small_models import step

KEY = jax.random.key(0)


def test_plain_ints_where_const_was_required():
    assert seed(Scan(step, 2).simulate)(KEY, 0.0, None).get_choices()["n"].shape == (2,)
    assert Scan(step, 2) == Scan(step, const(2)) == Scan(step, length=Const(2))
    assert normal.repeat(const(3)).simulate(0.0, 1.0).get_choices().shape == (3,)
    assert normal.repeat(np.int64(3)) == normal.repeat(3)
    for build in (normal.repeat, lambda n: Scan(step, n)):
        with pytest.raises(TypeError, match=r"traced value.*`const\(n\)`"):
            jax.jit(lambda n, build=build: build(n).simulate(0.0, 1.0).get_score())(3)
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            build(-1)
        with pytest.raises(TypeError, match=r"must be a Python int or `const\(int\)`, got float 2.5"):
            build(2.5)
