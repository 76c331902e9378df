"""The data sets: published values, controls, and refusals."""

import numpy as np
import pytest
from scipy import stats

from studies.localization.problem import make_problem


def test_published_data(parameters):
    problem = make_problem(parameters())
    observations = problem.data["observations"]
    assert observations.shape == (17, 8)
    np.testing.assert_allclose(observations[0], [2.829, 8.183, 9.009, 1.626, 1.2, 1.868, 1.31, 1.658], atol=6e-4)
    residuals = observations - problem.truth["distances"]
    assert np.std(residuals[observations > 0]) == pytest.approx(0.15, rel=0.25)  # 136 draws: 4 standard errors


def test_published_log_joint_of_the_true_path(parameters):
    problem = make_problem(parameters())
    model, poses = problem.truth["model"], problem.truth["poses"]
    prior = model.log_transition(poses[:1], None).sum() + model.log_transition(poses[1:], poses[:-1]).sum()
    residuals = problem.data["observations"] - problem.truth["distances"].astype(float)
    assert prior + stats.norm.logpdf(residuals, scale=0.3).sum() == pytest.approx(-73.05, abs=0.005)


def test_matched_noise_is_the_same_draws_twice_as_large(parameters):
    published, matched = (make_problem(parameters(data_set=name)) for name in ("published", "matched_noise"))
    np.testing.assert_array_equal(published.truth["poses"], matched.truth["poses"])
    small, large = (one.data["observations"] - one.truth["distances"] for one in (published, matched))
    positive = matched.data["observations"] > 0
    np.testing.assert_allclose(2 * small[positive], large[positive], atol=1e-5)


def test_data_of_the_model_fit_it(parameters):
    """Squared standardised draws of path and sensor are chi-squared; each bound has a false-alarm rate of 1e-4."""
    problem = make_problem(parameters(data_set="model", path=[[1.5, 1.5, 0.0]] * 41, n_steps=40))
    model, poses = problem.truth["model"], problem.truth["poses"]
    steps = (poses[1:] - model.clipped(poses[:-1])) / model.motion_sd
    noise = (problem.data["observations"] - problem.truth["distances"]) / model.noise_sd
    for draws in (steps, noise):
        low, high = stats.chi2.ppf([5e-5, 1 - 5e-5], draws.size)
        assert low < np.sum(draws.astype(float) ** 2) < high


def test_n_steps_and_n_rays_act_and_keep_the_beginning(parameters):
    whole, short = make_problem(parameters()), make_problem(parameters(n_steps=8))
    assert short.data["observations"].shape == (9, 8)
    np.testing.assert_array_equal(short.data["observations"], whole.data["observations"][:9])
    assert make_problem(parameters(n_rays=5)).data["observations"].shape == (17, 5)


def test_seed_of_the_data_acts(parameters):
    observations = [make_problem(parameters(data_seed=seed)).data["observations"] for seed in (42, 43)]
    assert not np.array_equal(*observations)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_steps": 17}, "n_steps=17, but the path has 17 poses"),
        ({"n_steps": 0}, "n_steps=0. It must be a whole number, at least 1"),
        ({"n_rays": 0}, "n_rays=0. It must be a whole number, at least 1"),
        ({"noise_sd": 0.0}, "noise_sd=0.0. It must be a number above zero"),
        ({"max_range": 0.0}, "max_range=0.0 must be a number above zero"),
        ({"margin": 6.0}, "margin=6.0"),
        ({"data_set": "other"}, "data_set='other'. Allowed: published, matched_noise, model"),
        ({"path": [[1.0, 1.0]] * 17}, r"a list of \[x, y, heading\]"),
        ({"path": [[1.0, 1.0, float("nan")]] * 17}, "three numbers"),
        ({"method": "magic"}, "method='magic'. Allowed: bootstrap"),
        ({"effort": 9}, "effort=9 for bootstrap"),
        ({"particles": {"bootstrap": [0]}}, "particles.bootstrap=0"),
    ],
)
def test_bad_parameters_are_refused(parameters, changes, message):
    with pytest.raises(ValueError, match=message):
        make_problem(parameters(**changes))


def test_grid_of_one_cell_is_refused(parameters):
    grid = {**parameters()["grid"], "n_cells": 1}
    with pytest.raises(ValueError, match="n_cells=1"):
        make_problem(parameters(grid=grid))
