"""The gate finds every kind of wrong answer. A filter in NumPy makes right ones, so no framework takes part."""

import re

import numpy as np
import pytest
from scipy import special

from studies.localization import draws
from studies.localization import problem as study

N_PARTICLES = 60


@pytest.fixture(scope="module")
def cell(parameters):
    # So much noise that step 1 leaves most of the particles alive, and is not resampled.
    return parameters(n_steps=6, particles={"bootstrap": [N_PARTICLES]}, data_set="matched_noise", noise_sd=2.0)


@pytest.fixture
def right(cell):
    """(problem, outputs) of a bootstrap filter."""
    problem = study.make_problem(cell)
    return problem, bootstrap(problem, np.random.default_rng(0))


def bootstrap(problem, random, motion_scale=1.0, resamples=True, by_weight=True):
    model, observations = problem.truth["model"], problem.data["observations"].astype(float)
    n_steps, log_weights, put_aside, pose = len(observations), np.zeros(N_PARTICLES), 0.0, None
    stored = {
        name: [] for name in ("pose", "log_weights", "diagnostic", "ancestors", "estimate", "evidence", "proposed")
    }
    for t in range(n_steps):
        mean, sd = (model.initial, model.initial_sd) if t == 0 else (model.clipped(pose), model.motion_sd)
        pose = mean + motion_scale * sd * random.standard_normal((N_PARTICLES, 3))
        stored["proposed"].append(pose)
        log_weights = log_weights + model.log_likelihood(pose, observations[t])
        total = special.logsumexp(log_weights)
        stored["diagnostic"].append(log_weights - total)
        stored["evidence"].append(put_aside + total - np.log(N_PARTICLES))
        ancestors = np.arange(N_PARTICLES)
        if resamples and 1 / np.exp(2 * (log_weights - total)).sum() < N_PARTICLES // 2:
            weights = np.exp(log_weights - total) if by_weight else None
            ancestors = np.sort(random.choice(N_PARTICLES, N_PARTICLES, p=weights))
            put_aside, log_weights, pose = stored["evidence"][-1], np.zeros(N_PARTICLES), pose[ancestors]
        for name, value in (
            ("pose", pose),
            ("log_weights", log_weights),
            ("ancestors", ancestors),
            ("estimate", put_aside),
        ):
            stored[name].append(value)
    found = {name: np.array(values) for name, values in stored.items()}
    weights = special.softmax(found["log_weights"], axis=1)
    effective = np.exp(-special.logsumexp(2 * found["diagnostic"], axis=1))
    return {
        **{name: found["pose"][..., i] for i, name in enumerate(("x", "y", "heading"))},
        "mean": np.einsum("tn,tnd->td", weights, found["pose"])[None],
        "effective_sample_size": effective[None],
        "log_marginal": found["evidence"][None],
        "acceptance_rate": np.array([np.nan]),
        "log_weights": found["log_weights"],
        "diagnostic_weights": found["diagnostic"],
        "ancestors": found["ancestors"],
        "log_marginal_estimate": found["estimate"],
        "proposed": found["proposed"],
    }


def judge(cell, problem, outputs):
    return study.check("comparison", problem, cell, outputs)


def test_a_right_filter_passes(cell, right):
    verdict = judge(cell, *right)
    assert verdict.reason is None
    assert verdict.diagnostics["log_weight_error"] < 1e-9
    assert verdict.diagnostics["weights_checked"] == 7 * N_PARTICLES


def drop(outputs):
    del outputs["ancestors"]


def poison(outputs):
    outputs["y"][3, 4] = np.nan


def shorten(outputs):
    outputs["x"] = outputs["x"][:-1]


def point_outside(outputs):
    outputs["ancestors"][2, 0] = N_PARTICLES


def move_particle(outputs):
    outputs["proposed"][5, 7, 0] += 0.05


def lose_particle(outputs):
    outputs["x"][-1, 7] += 0.05


def forget_likelihood(outputs):
    outputs["diagnostic_weights"][4] = -np.log(N_PARTICLES)
    outputs["effective_sample_size"][0, 4] = N_PARTICLES


def scale_weights(outputs):
    flat = 0.9 * outputs["diagnostic_weights"][1]
    outputs["diagnostic_weights"][1] = flat - special.logsumexp(flat)


def shift_evidence(outputs):
    outputs["log_marginal"][0, 4:] += 0.5
    outputs["log_marginal_estimate"][4:] += 0.5


def denormalise(outputs):
    outputs["diagnostic_weights"][1] += 0.1


def copy_silently(outputs):
    outputs["ancestors"][1] = np.roll(outputs["ancestors"][1], 1)


def keep_weights(outputs):
    outputs["log_weights"][4, 0] = 1.0


def misstate_mean(outputs):
    outputs["mean"][-1, 2, 0] += 0.01


def misstate_effective_size(outputs):
    outputs["effective_sample_size"][-1, 2] *= 1.01


def misstate_estimate(outputs):
    outputs["log_marginal_estimate"][2] += 1.0


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (drop, "outputs lack 'ancestors'"),
        (poison, "y has 1 NaN"),
        (shorten, r"x has shape \(6, 60\), expected \(7, 60\)"),
        (point_outside, "ancestors must be indices of 60 particles"),
        (lose_particle, "particles are not where their ancestors"),
        (move_particle, "the weight of particle .* at step"),
        (forget_likelihood, "the weight of particle .* at step"),
        (scale_weights, "the weight of particle .* at step 1"),
        (shift_evidence, "the weight of particle .* at step 4"),
        (denormalise, "not normalised"),
        (copy_silently, "copied at step 1 without a resampling"),
        (keep_weights, "not made equal by resampling"),
        (misstate_mean, "mean differs from the weighted mean"),
        (misstate_effective_size, "effective_sample_size differs"),
        (misstate_estimate, "log_marginal_estimate is not the evidence"),
    ],
)
def test_wrong_filters_are_refused(cell, right, spoil, message):
    problem, outputs = right
    spoil(outputs)
    reason = judge(cell, problem, outputs).reason
    assert reason is not None
    assert re.search(message, reason)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"motion_scale": 0.5}, "poses drawn from the motion do not follow it: x spreads 0."),
        ({"motion_scale": 1.3}, "poses drawn from the motion do not follow it: x spreads 1."),
        ({"resamples": False}, "step 0 was not resampled; its effective sample size is"),
        ({"by_weight": False}, "ancestors are not drawn by weight"),
    ],
)
def test_filters_that_draw_from_another_law_are_refused(cell, fault, message):
    problem = study.make_problem(cell)
    assert message in judge(cell, problem, bootstrap(problem, np.random.default_rng(1), **fault)).reason


def test_tests_of_normal_numbers_are_uniform_where_they_should_be():
    """Each p-value of 300 right samples below 0.01 as often as chance says: Binomial(n, 0.01), at most 5 sd above."""
    random = np.random.default_rng(0)
    small: dict[str, int] = {}
    for _ in range(300):
        for what, p_value in draws.normal_tests(random.standard_normal((5, 8, 3))):
            name = what if "spreads" not in what else what.split()[0] + " spread"
            small[name] = small.get(name, 0) + (p_value < 0.01)
    assert max(small.values()) <= 3 + 5 * np.sqrt(3)
    shared = np.repeat(random.standard_normal((40, 1, 3)), 8, axis=1)
    assert min(p for what, p in draws.normal_tests(shared) if "neighbouring particles" in what) < 1e-9
    still = np.repeat(random.standard_normal((1, 80, 3)), 6, axis=0)
    assert min(p for what, p in draws.normal_tests(still) if "neighbouring steps" in what) < 1e-9


def test_bias_against_the_exact_filter_is_refused_on_data_of_the_model(cell, right):
    own = {
        **cell,
        "data_set": "model",
        "n_runs": 12,
        "n_steps": 2,
        "reference": {"coarse": [0.2, 0.1], "fine": [0.06, 0.03]},
    }
    problem = study.make_problem(own)
    runs = [bootstrap(problem, np.random.default_rng(seed)) for seed in range(12)]
    last = dict(runs[-1])
    for name in ("mean", "effective_sample_size", "log_marginal", "acceptance_rate"):
        last[name] = np.concatenate([one[name] for one in runs])
    assert judge(own, problem, last).reason is None
    biased = {**last, "mean": last["mean"].copy()}
    biased["mean"][:-1, 1, 0] += 0.5
    assert "the mean x at step 1 is" in judge(own, problem, biased).reason


def test_an_outcome_other_than_the_published_one_is_refused(parameters):
    """Twenty runs of a bootstrap filter that follows the robot cannot be the published program's."""
    own = parameters(n_runs=20)
    problem = study.make_problem(own)
    poses = problem.truth["poses"]
    run = study.gate.Run(problem, own, {}, {"position_rmse_median": 0.3, "lost_fraction": 0.0})
    assert "the published program's runs have 3.78 to 4.79 m and 100%" in study.gate.check_published_outcome(run)
    run.diagnostics |= {"position_rmse_median": 4.3, "lost_fraction": 1.0}
    assert study.gate.check_published_outcome(run) is None
    assert len(poses) == 17
