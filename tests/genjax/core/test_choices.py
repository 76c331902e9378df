"""Choices: strict constraints, and plain values of nested ones."""

import jax.numpy as jnp
import numpy as np
import pytest

from genjax import Cond, fixed, gen, normal, strict
from genjax.core import get_choices
from tests.genjax.core.small_models import point


def test_strict_constraints():
    model = gen(lambda: (normal(0.0, 1.0) @ "mean", point(0.0) @ "point"))
    assert model.generate({"maen": 1.0})[1] == 0.0  # ignored, as ever
    with pytest.raises(ValueError, match=r"'maen'; nearest: 'mean'[\s\S]*Addresses used: 'mean', 'point'"):
        model.generate(strict({"maen": 1.0}))
    with pytest.raises(ValueError, match=r"'z'"):
        model.generate(strict({"point": {"z": 1.0}}))
    trace, weight = model.generate(strict({"mean": 1.0, "point": {"y": 0.0}}))
    np.testing.assert_allclose(weight, -trace.get_score(), rtol=1e-6)
    with pytest.raises(ValueError, match="'zzz'"):
        model.update(trace, strict({"zzz": 1.0}))
    with pytest.raises(ValueError, match="'zzz'"):
        model.assess(strict({"mean": 1.0, "point": {"y": 0.0}, "zzz": 1.0}))
    for combinator, args in ((point.vmap(), (jnp.zeros(2),)), (Cond(point, point), (True, 0.0))):
        with pytest.raises(ValueError, match="'wrong'"):
            combinator.generate(strict({"wrong": jnp.zeros(2)}), *args)


def test_shared_and_nested_choices_are_plain():
    assert get_choices(42.0) == 42.0
    outer = gen(lambda: point(0.0) @ "inner")
    choices = get_choices({"t": outer.simulate(), "f": fixed(1.0)})
    assert choices["f"] == 1.0 and list(choices["t"]["inner"]) == ["y"]
