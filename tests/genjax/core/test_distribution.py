"""Distributions made of any sampler and any density."""

import jax.numpy as jnp

from genjax import distribution, flip


def test_samplers_may_be_any_callable_with_concrete_values():
    seen = []

    def density(value, mean):
        seen.append((type(value), type(mean)))
        return 0.0 if jnp.allclose(value, mean) else -1.0  # branches in Python: needs concrete values

    model = distribution(lambda mean: mean + 1.0, density, name="shifted")
    trace = model.simulate(2.0)
    assert trace.get_choices() == 3.0 and trace.get_score() == 1.0
    constrained, weight = model.generate(2.0, 2.0)
    assert type(constrained.get_choices()) is float and weight == 0.0
    assert set(seen) == {(float, float)}
    assert distribution(lambda: 1.0, lambda value: -0.5).simulate().get_score() == 0.5
    assert flip.generate(True, 0.25)[0].get_choices() is True
