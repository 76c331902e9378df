"""Loops that end at random, in lanes: each lane's law is that of the loop alone, whatever the other lanes do.

A lane that has stopped stays stopped while others go on. Laws are exact; each comparison allows five standard errors,
so that a false alarm has probability below 1e-6 for each of a few hundred numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import (
    distribution,
    expectation,
    flip,
    flip_reinforce,
    gen,
    modular_vmap,
    normal,
    save,
    seed,
    state,
    uniform,
)

KEYS = jax.random.split(jax.random.key(26), 4000)


def trips(p):
    """Successes of a coin before its first failure: P(k) = p^k (1 - p), mean 1 for p = 0.5."""
    return jax.lax.while_loop(lambda count: flip.sample(p), lambda count: count + 1, 0)


def check_law(draws, probabilities, where):
    """Every lane's frequencies of 0, 1, 2, ... are `probabilities`, and no two lanes are alike."""
    draws = np.asarray(draws).reshape(len(draws), -1)
    for value, p in enumerate(probabilities):
        frequency = (draws == value).mean(0)
        np.testing.assert_array_less(np.abs(frequency - p), 5 * np.sqrt(p * (1 - p) / len(draws)), err_msg=where)
    for lane in range(1, draws.shape[1]):
        assert np.any(draws[:, lane] != draws[:, 0]), where


GEOMETRIC = [0.5 ** (k + 1) for k in range(7)]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 12])
def test_condition_that_draws_has_the_same_law_in_any_number_of_lanes(n):
    lanes = seed(modular_vmap(trips, in_axes=None, axis_size=n))
    draws = np.asarray(jax.jit(jax.vmap(lambda key: lanes(key, 0.5)))(KEYS))
    check_law(draws, GEOMETRIC, f"{n} lanes")
    # Mean 1, variance 2; the standard error of a variance follows from the fourth central moment, 38.
    np.testing.assert_array_less(np.abs(draws.mean(0) - 1), 5 * np.sqrt(2 / len(draws)))
    np.testing.assert_array_less(np.abs(draws.var(0) - 2), 5 * np.sqrt(34 / len(draws)))


def in_scan():
    return jax.lax.scan(lambda total, _: (total, trips(0.5)), 0, None, length=2)[1]


def scan_with_early_exit():
    def step(carry, _):
        count, goes_on = carry
        goes_on = jax.lax.cond(goes_on, lambda: flip.sample(0.5), lambda: False)
        return (count + goes_on, goes_on), None

    return jax.lax.scan(step, (0, True), None, length=8)[0][0]


def in_cond():
    return jax.lax.cond(flip.sample(0.5), lambda: trips(0.5), lambda: trips(0.5))


def in_loop():
    """A loop that draws in its condition, once per iteration of a loop of random length that stops after the first."""

    def body(loop):
        return loop[0] + 1, jax.jit(trips)(0.5)

    return jax.lax.while_loop(lambda loop: (loop[0] < 1) & (uniform.sample(0.0, 1.0) < 2.0), body, (0, 99))[1]


def condition_and_body():
    """The last of the values of a coin that are drawn while another coin shows heads, plus 1; 0 where there is none."""
    return jax.lax.while_loop(lambda last: flip.sample(0.5), lambda last: 1 + flip.sample(0.25).astype(int), 0)


def dynamic_bounds():
    """A sum of as many coins as another loop counts: geometric with success probability 2/3."""
    return jax.lax.fori_loop(0, trips(0.5), lambda _, total: total + flip.sample(0.5), 0)


@pytest.mark.parametrize(
    ("loop", "law"),
    [
        (in_scan, GEOMETRIC),
        (scan_with_early_exit, GEOMETRIC),
        (in_cond, GEOMETRIC),
        (in_loop, GEOMETRIC),
        (condition_and_body, [0.5, 0.375, 0.125]),
        (dynamic_bounds, [2 / 3 * (1 / 3) ** k for k in range(6)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_loops_that_end_at_random_keep_their_law_in_lanes_of_lanes(loop, law):
    lanes = modular_vmap(lambda: modular_vmap(loop, in_axes=(), axis_size=3)(), in_axes=(), axis_size=4)
    check_law(jax.jit(jax.vmap(seed(lanes)))(KEYS), law, loop.__name__)


def test_lanes_with_chances_of_their_own():
    chances = jnp.array([0.0, 0.2, 0.5, 0.8])
    draws = np.asarray(jax.jit(jax.vmap(lambda key: seed(modular_vmap(trips))(key, chances)))(KEYS))
    exact, sd = chances / (1 - chances), jnp.sqrt(chances) / (1 - chances)
    np.testing.assert_array_less(np.abs(draws.mean(0) - exact), 5 * sd / np.sqrt(len(draws)) + 1e-9)


def rejection():
    """A sampler by rejection: the smaller of 0, 1 is twice as likely as 1."""
    draw = lambda: (2 * uniform.sample(0.0, 1.0)).astype(int)
    return jax.lax.while_loop(lambda value: (value == 1) & flip.sample(0.5) | (value < 0), lambda _: draw(), -1)


by_rejection = distribution(rejection, lambda value: jnp.log(jnp.where(value == 1, 1 / 3, 2 / 3)), name="by_rejection")


def test_rejection_sampler_in_a_mapped_model():
    model = gen(lambda: by_rejection.repeat(5)() @ "x").repeat(2)
    draws = jax.jit(jax.vmap(seed(lambda: model.simulate().get_choices()["x"])))(KEYS)
    check_law(draws, [2 / 3, 1 / 3], "rejection")


def test_saves_and_expectations_see_the_same_law():
    counted = lambda: jax.lax.while_loop(lambda c: flip.sample(0.5), lambda c: save(count=c + 1)["count"], 0)
    lanes = lambda: modular_vmap(counted, in_axes=(), axis_size=5)()
    draws, saved = jax.jit(jax.vmap(seed(state(lanes))))(KEYS)
    check_law(draws, GEOMETRIC, "state")
    np.testing.assert_array_equal(saved["count"], draws)  # zeros where the loop never ran
    # An expectation runs loops by an interpreter of its own.
    estimated = lambda p: jax.lax.while_loop(lambda c: flip_reinforce(p), lambda c: c + 1, 0)
    value = expectation(lambda p: jnp.mean(modular_vmap(estimated, in_axes=None, axis_size=5)(p) * 1.0))
    estimates = np.asarray(jax.jit(jax.vmap(lambda key: seed(value.estimate)(key, 0.5)))(KEYS))
    assert abs(estimates.mean() - 1) < 5 * np.sqrt(2 / 5 / len(KEYS))


def test_continuous_lanes_that_finish_keep_their_values():
    """A walk stopped at random: the value of a lane is the sum of as many steps of 10 +- 0.01 as it counts."""

    def walk():
        step = lambda loop: (loop[0] + 1, loop[1] + normal.sample(10.0, 0.01))
        return jax.lax.while_loop(lambda loop: flip.sample(0.5), step, (0, 0.0))

    counts, sums = jax.jit(jax.vmap(seed(modular_vmap(walk, in_axes=(), axis_size=6))))(KEYS[:500])
    np.testing.assert_allclose(sums, 10 * counts, atol=1.0)
