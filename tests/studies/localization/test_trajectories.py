"""Energies of accepted trajectories: right ones are found again from their ends, other steps show."""

import numpy as np
import pytest

from studies.localization import moves
from studies.localization import problem as study
from studies.localization.run import Run
from studies.localization.trajectories import LEAST_SHARE, share_of_right_energies

SETTINGS = {"step_size": 0.01, "n_leapfrog": 10}
N = 300


@pytest.fixture(scope="module")
def problem(parameters):
    return study.make_problem(parameters(n_steps=6, method="smc_hmc", n_moves=1, hmc=SETTINGS))


def trajectories(problem, **changes):
    """(target, start, end, energy) of accepted ones around the true pose of a step, as float32 programs report them."""
    random, model = np.random.default_rng(3), problem.truth["model"]
    pose = np.tile(problem.truth["poses"][3], (N, 1))
    observations = np.tile(problem.data["observations"][3].astype(float), (N, 1))
    target = moves.Target(model, pose, np.tile(model.motion_sd, (N, 1)), observations)
    start = (pose + 0.2 * model.motion_sd * random.standard_normal((N, 3))).astype(np.float32).astype(float)
    made, drawn = {**SETTINGS, **changes}, random.standard_normal((N, 3))
    end, momentum = target.leapfrog(start, drawn, made["step_size"], made["n_leapfrog"])
    end = end.astype(np.float32).astype(float)
    before, after = (
        0.5 * (r**2).sum(axis=1) - target.log_density(q) for r, q in ((drawn, start), (momentum, end))
    )  # fmt: skip
    accepted = np.log(random.random(N)) < before - after
    kept = moves.Target(model, pose[accepted], target.sds[accepted], observations[accepted])
    return kept, start[accepted], end[accepted], after[accepted].astype(np.float32).astype(float)


def share(problem, **changes):
    found, n_found = share_of_right_energies(*trajectories(problem, **changes), **SETTINGS)
    assert n_found >= 30
    return found


def test_right_trajectories_are_found_again(problem):
    assert share(problem) > LEAST_SHARE + 0.2


@pytest.mark.parametrize("changes", [{"n_leapfrog": 9}, {"step_size": 0.015}])
def test_other_steps_have_other_energies(problem, changes):
    assert share(problem, **changes) < LEAST_SHARE - 0.2


def test_the_gate_names_the_steps_that_it_wants(problem, parameters, monkeypatch):
    target, start, end, energy = trajectories(problem, n_leapfrog=9)
    monkeypatch.setattr(moves, "_target", lambda run, steps, particles: target)
    monkeypatch.setattr(moves, "MOST_TRAJECTORIES", len(start))
    chosen = parameters(method="smc_hmc", hmc=SETTINGS)
    run = Run(problem, chosen, {"energy": energy[None, None]}, {})
    reason = moves._check_energies(run, start[None, None], end[None, None])
    assert "with the energy of 10 leapfrog steps of 0.01 between the same poses" in reason
