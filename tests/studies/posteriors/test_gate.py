"""The gate of the posteriors on made-up draws, where right and wrong are known."""

import dataclasses

import numpy as np
import pytest

from studies.base import Problem
from studies.posteriors import gate
from studies.posteriors.reference import NORMAL_SQUARES, Moments, Reference

PARAMETERS = {"n_chains": 4, "n_samples": 600, "n_leapfrog": 8}
UNKNOWNS = {"location": ((3,), "real"), "scale": ((), "positive")}


def exact(mean, sd, square_sd=NORMAL_SQUARES):
    zero = np.zeros(np.shape(mean))
    return Moments(np.asarray(mean, float), np.asarray(sd, float), zero, zero, np.full(np.shape(mean), square_sd))


def log_normal(s):
    """Moments of log-normal(0, s): with w = exp(s^2), the kurtosis is w^4 + 2 w^3 + 3 w^2 - 3."""
    w = np.exp(s**2)
    return exact(np.sqrt(w), np.sqrt(w * (w - 1)), np.sqrt(w**4 + 2 * w**3 + 3 * w**2 - 4))


SCALE = log_normal(0.5)
REFERENCE = Reference("made up", {"location": exact([0.0, 1.0, 2.0], [1.0, 1.0, 1.0]), "scale": SCALE}, {})
PROBLEM = Problem({}, {"reference": REFERENCE, "unknowns": UNKNOWNS})


def right(seed=0, n_calls=None, correlation=0.0):
    """Outputs of a right sampler whose draws have this autocorrelation."""
    generator = np.random.default_rng(seed)
    lead = (4, 600) if n_calls is None else (n_calls, 4, 600)
    normals = generator.standard_normal((*lead, 4))
    for step in range(1, 600):
        normals[..., step, :] = (
            correlation * normals[..., step - 1, :] + np.sqrt(1 - correlation**2) * (normals[..., step, :])
        )
    return {
        "location": normals[..., :3] + np.arange(3.0),
        "scale": np.exp(0.5 * normals[..., 3]),
        "n_gradients": np.full(lead, 8, np.int32),
        "diverging": generator.random(lead) < 0.01,
    }


def reason_of(outputs, task="toy"):
    diagnostics = {}
    return gate.check_chains(task, PROBLEM, PARAMETERS, outputs, diagnostics), diagnostics


@pytest.mark.parametrize("options", [{}, {"n_calls": 3}, {"correlation": 0.7}])
def test_right_draws_pass(options):
    reason, diagnostics = reason_of(right(**options))
    assert reason is None
    assert 10 < diagnostics["divergences"] < 45 and diagnostics["gradients"] == 4 * 600 * 8
    assert diagnostics["error_at_1"] < diagnostics["error_at_0.05"]


def test_right_draws_are_seldom_refused():
    """Of 60 right runs none is refused; at the stated rate of 6.4e-5 a run, one in 250 such tests would be."""
    assert [reason_of(right(seed))[0] for seed in range(60)] == [None] * 60


def test_right_draws_of_a_long_tail_are_seldom_refused():
    """Few draws of a long tail often lack it, and then tell too small a sd with too small an error.

    Of 300 runs of 200 draws in each chain none is refused; by their own errors alone, some are.
    """

    def problem_of(moments):
        return Problem(
            {}, {"reference": Reference("made up", {"scale": moments}, {}), "unknowns": {"scale": ((), "positive")}}
        )

    aware = problem_of(log_normal(0.8))
    unaware = problem_of(exact(log_normal(0.8).mean, log_normal(0.8).sd))
    refused = {"with the tail": 0, "without": 0}
    for seed in range(300):
        draws = np.exp(0.8 * np.random.default_rng(seed).standard_normal((4, 200)))
        outputs = {"scale": draws, "n_gradients": np.ones((4, 200), int), "diverging": np.zeros((4, 200))}
        for which, one in (("with the tail", aware), ("without", unaware)):
            refused[which] += gate.check_chains("toy", one, {**PARAMETERS, "n_samples": 200}, outputs, {}) is not None
    assert refused["with the tail"] == 0 < refused["without"]


def changed(**changes):
    outputs = right()
    return {**outputs, **{name: change(outputs[name]) for name, change in changes.items()}}


def sticky(x):
    x = x.copy()
    x[2] = x[2, :1]
    return x


def first_chain(x):
    return np.broadcast_to(x[:1], x.shape)


WRONG = {
    "mean of location": changed(location=lambda x: x + [0.0, 0.15, 0.0]),
    "standard deviation of location": changed(location=lambda x: x * 1.15 - 0.15 * np.arange(3.0)),
    "mean of scale": changed(scale=lambda x: x * 1.2),
    "not finite": changed(location=lambda x: np.where(x > 3, np.nan, x)),
    "should be positive": changed(scale=lambda x: x - 1),
    "has shape": changed(location=lambda x: x[:, :-1]),
    "copies": changed(location=first_chain, scale=first_chain),
    "moves in": changed(location=sticky, scale=sticky),
    "R-hat": changed(location=lambda x: x + 0.2 * np.arange(4)[:, None, None]),
    "effective draws": right(correlation=0.98),
    "n_gradients is 0": changed(n_gradients=lambda x: 0 * x),
}  # fmt: skip


@pytest.mark.parametrize("told", WRONG)
def test_wrong_draws_are_refused_with_what_is_wrong(told):
    assert told in reason_of(WRONG[told])[0]


SUPPORTS = {
    "be positive": ("unit", [0.2, 0.0]),
    "be below 1": ("unit", [0.2, 1.0]),
    "increase along": ("ordered", [0.3, 0.3]),
}


@pytest.mark.parametrize("told", SUPPORTS)
def test_draws_outside_of_the_support_are_refused(told):
    support, bad = SUPPORTS[told]
    unknowns, good = {"x": ((2,), support)}, np.broadcast_to([0.2, 0.3], (4, 600, 2))
    problem = Problem({}, {"reference": None, "unknowns": unknowns})
    steps = {name: right()[name] for name in ("n_gradients", "diverging")}
    outputs = {"x": good.copy(), **steps}
    assert "moves in" in gate.check_chains("toy", problem, PARAMETERS, outputs, {})
    outputs["x"][2, 7] = bad
    assert told in gate.check_chains("toy", problem, PARAMETERS, outputs, {})


def test_a_missing_unknown_is_named():
    outputs = right()
    del outputs["scale"]
    assert reason_of(outputs)[0] == "scale is missing from the outputs"


def test_hmc_takes_as_many_gradients_as_it_was_told():
    assert reason_of(right(), "toy_hmc")[0] is None
    assert "n_leapfrog = 8" in reason_of(changed(n_gradients=lambda x: x + 1), "toy_hmc")[0]


def test_errors_of_the_reference_count():
    """A reference that is itself uncertain refuses less."""
    shifted = changed(location=lambda x: x + 0.15)
    wide = Reference(
        "",
        {
            **REFERENCE.moments,
            "location": dataclasses.replace(REFERENCE.moments["location"], mean_error=np.full(3, 0.1)),
        },
        {},
    )
    problem = Problem({}, {"reference": wide, "unknowns": UNKNOWNS})
    assert gate.check_chains("toy", problem, PARAMETERS, shifted, {}) is None
    assert reason_of(shifted)[0] is not None


def test_limits_share_the_rate_of_four_standard_errors():
    assert gate.limit_of(1) == pytest.approx(4.0)
    assert gate.limit_of(50) == pytest.approx(4.84, abs=0.02)
    assert gate.r_hat_limit(4, np.array([1e6, 400.0])) == pytest.approx([1.01, 1.058], abs=0.01)
