"""The exact model, the targets, and the gate: right samplers pass, wrong ones do not.

The gate fails a right sampler with probability below 6e-6; the seeds are fixed.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from studies.gol import posterior
from studies.gol.problem import check, kept_sweeps, make_problem
from studies.gol.residuals import bound
from studies.gol.rule import next_board

_specification = importlib.util.spec_from_file_location("gol_sampler", Path(__file__).with_name("sampler.py"))
sampler = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(sampler)

PARAMETERS = {
    "target": "wizards", "height": 48, "width": 64, "target_seed": 0, "softness": 0.03, "softness_prior": None,
    "n_sweeps": 12, "n_frames": 4, "n_chains": 2,
}  # fmt: skip


def parameters(**changes):
    return {**PARAMETERS, **changes}


# ---------------------------------------------------------------- exact model


def test_log_joint_is_the_sum_over_cells():
    random = np.random.default_rng(1)
    board, target = random.random((5, 8)) < 0.5, random.random((5, 8)) < 0.5
    total = 0.0
    for index in np.ndindex(board.shape):
        probability = 0.97 if next_board(board)[index] else 0.03
        total += stats.bernoulli.logpmf(int(board[index]), 0.5)
        total += stats.bernoulli.logpmf(int(target[index]), probability)
    assert posterior.log_joint(board, target, 0.03) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (7, 4), (6, 9), (8, 11)])
def test_gained_agreements_give_the_brute_force_log_odds(shape):
    random = np.random.default_rng(2)
    board, target = random.random(shape) < 0.5, random.random(shape) < 0.6
    expected = posterior.log_odds_brute_force(board, target, 0.1)
    for row in range(3):
        for column in range(3):
            gained = posterior.gained_agreements(board, target, row, column)
            assert np.allclose(gained * np.log(0.9 / 0.1), expected[row::3, column::3], atol=1e-9)


def test_cells_of_a_class_are_conditionally_independent():
    # The joint log odds of two cells of one class is the sum of the two, whatever else the board is.
    random = np.random.default_rng(3)
    board, target = random.random((7, 8)) < 0.5, random.random((7, 8)) < 0.5

    def log_joint(values, cells):
        changed = board.copy()
        for value, cell in zip(values, cells, strict=True):
            changed[cell] = value
        return posterior.log_joint(changed, target, 0.03)

    def interaction(*cells):
        return sum(sign * log_joint(values, cells) for sign, values in
                   ((1, (1, 1)), (-1, (1, 0)), (-1, (0, 1)), (1, (0, 0))))  # fmt: skip

    for first in [(0, 0), (1, 2), (3, 1)]:
        for rows, columns in [(3, 0), (0, 3), (3, 3)]:
            assert abs(interaction(first, (first[0] + rows, first[1] + columns))) < 1e-9
    # Cells two apart are not.
    assert max(abs(interaction((i, j), (i, j + 2))) for i in range(7) for j in range(6)) > 1


def test_enumeration_sums_to_one_and_orders_by_errors():
    target = np.random.default_rng(4).random((3, 4)) < 0.5
    boards, probabilities = posterior.enumerate_posterior(target, softness=0.1)
    assert boards.shape == (4096, 3, 4) and probabilities.sum() == pytest.approx(1)
    errors = np.array([posterior.n_errors(board, target) for board in boards])
    assert probabilities[0] / probabilities[100] == pytest.approx((0.1 / 0.9) ** (errors[0] - errors[100]))
    _, integrated = posterior.enumerate_posterior(target, prior=(1.0, 9.0))
    grid = (np.arange(4000) + 0.5) / 4000
    by_quadrature = [
        np.sum(stats.beta.pdf(grid, 1, 9) * grid**e * (1 - grid) ** (12 - e)) for e in range(int(errors.max()) + 1)
    ]
    weights = np.array(by_quadrature)[errors]
    assert np.allclose(integrated, weights / weights.sum(), rtol=1e-4)


def test_enumeration_refuses_large_boards_and_both_or_no_softness():
    with pytest.raises(ValueError, match="at most 16"):
        posterior.enumerate_posterior(np.zeros((5, 5), bool), softness=0.1)
    with pytest.raises(ValueError, match="either the softness or its prior"):
        posterior.enumerate_posterior(np.zeros((3, 3), bool))


# ---------------------------------------------------------------- targets and parameters


@pytest.mark.parametrize("name", ["blinker", "glider", "gosper_gun"])
def test_patterns_have_their_predecessor(name):
    problem = make_problem(parameters(target=name))
    assert np.array_equal(next_board(problem.truth["predecessor"]), problem.data["target"])
    assert problem.truth["predecessor_errors"] == 0


def test_known_predecessor_is_drawn_from_the_model():
    problem = make_problem(parameters(target="known_predecessor", height=200, width=300))
    errors, n_cells = problem.truth["predecessor_errors"], 60000
    # Binomial(n_cells, 0.03) and Bernoulli(1/2) within 5 standard deviations: false alarm below 2e-6.
    assert abs(errors - 0.03 * n_cells) < 5 * np.sqrt(0.03 * 0.97 * n_cells)
    assert abs(problem.truth["predecessor"].mean() - 0.5) < 5 * 0.5 / np.sqrt(n_cells)
    again = make_problem(parameters(target="known_predecessor", height=200, width=300))
    assert np.array_equal(again.data["target"], problem.data["target"])
    other = make_problem(parameters(target="known_predecessor", height=200, width=300, target_seed=1))
    assert not np.array_equal(other.data["target"], problem.data["target"])


def test_width_none_is_a_square():
    assert make_problem(parameters(height=40, width=None)).data["target"].shape == (40, 40)


def test_kept_sweeps_hold_the_thirds():
    kept = kept_sweeps(150, 24)
    assert {0, 50, 100, 150} <= set(kept.tolist()) and len(kept) <= 28
    assert np.array_equal(kept, np.unique(kept))
    assert kept_sweeps(1, 10).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 2}, "height=2. It must be a whole number of at least 3"),
        ({"width": 2}, "width=2"),
        ({"height": 32.5}, "height=32.5"),
        ({"n_sweeps": 0}, "n_sweeps=0. It must be a whole number of at least 1"),
        ({"n_chains": 0}, "n_chains=0"),
        ({"softness": 0}, "strictly between 0 and 1"),
        ({"softness": 1.0}, "strictly between 0 and 1"),
        ({"softness": -0.1}, "strictly between 0 and 1"),
        ({"softness": 1.5}, "strictly between 0 and 1"),
        ({"softness": float("nan")}, "strictly between 0 and 1"),
        ({"softness_prior": [1.0]}, "two positive numbers"),
        ({"softness_prior": [0.0, 1.0]}, "two positive numbers"),
        ({"target": "wizard"}, "Allowed: wizards, blinker, glider, gosper_gun, known_predecessor, or a path"),
        ({"target": "nowhere.png"}, "there is no such file"),
        ({"target": "gosper_gun", "height": 8}, "needs a rim"),
    ],
)
def test_bad_parameters(changes, message):
    with pytest.raises(ValueError, match=message):
        make_problem(parameters(**changes))


# ---------------------------------------------------------------- gate


def test_gate_accepts_a_right_sampler():
    for seed in range(4):
        for changes in (
            {},
            {"softness_prior": (1.0, 9.0)},
            {"target": "known_predecessor"},
            {"softness": 0.5},
            {"n_sweeps": 1},
        ):
            chosen = parameters(**changes)
            problem = make_problem(chosen)
            verdict = check("reconstruction", problem, chosen, sampler.run(problem, chosen, seed))
            assert verdict.reason is None, (seed, changes)
            assert verdict.diagnostics["largest_deviation_of_last_sweep"] < 1


@pytest.mark.parametrize("fault", sampler.FAULTS)
def test_gate_refuses_a_wrong_sampler(fault):
    chosen = parameters(height=96, width=150, n_sweeps=6)
    problem = make_problem(chosen)
    outputs = sampler.run(problem, chosen, 5, fault)
    reason = check("reconstruction", problem, chosen, outputs).reason
    assert reason is not None and reason.startswith("last sweep"), reason
    bare = {name: outputs[name] for name in ("previous", "final", "corner")}
    assert check("sweeps", problem, chosen, bare).reason == reason


def tampered(name, change):
    problem = make_problem(PARAMETERS)
    outputs = sampler.run(problem, PARAMETERS, 6)
    outputs[name] = change(outputs[name].copy())
    return check("reconstruction", problem, PARAMETERS, outputs).reason


def plus_one_at_the_end(array):
    array[-1] += 1
    return array


def test_gate_refuses_summaries_that_are_not_of_the_boards():
    assert "errors[12] is" in tampered("errors", plus_one_at_the_end)
    assert "log_likelihoods differ" in tampered("log_likelihoods", lambda array: array * 1.01)
    # The published artifact's score is the negative.
    assert "log_likelihoods differ" in tampered("log_likelihoods", lambda array: -array)
    assert "errors[0] is" in tampered("frames", lambda array: np.concatenate([np.zeros_like(array[:1]), array[1:]]))


def test_gate_refuses_a_chain_at_another_softness():
    problem = make_problem(PARAMETERS)
    outputs = sampler.run(problem, parameters(softness=0.05), 12)
    assert "softness should be 0.03" in check("reconstruction", problem, PARAMETERS, outputs).reason


def test_gate_refuses_a_start_that_is_not_from_the_prior():
    problem = make_problem(PARAMETERS)
    outputs = sampler.run(problem, PARAMETERS, 7)
    outputs["frames"][0] = np.random.default_rng(0).random((48, 64)) < 0.4
    outputs["errors"][0] = posterior.n_errors(outputs["frames"][0], problem.data["target"])
    outputs["log_likelihoods"][0] = posterior.log_likelihood(outputs["errors"][0], 48 * 64, 0.03)
    assert "density of the initial board" in check("reconstruction", problem, PARAMETERS, outputs).reason


def test_gate_refuses_a_softness_that_is_not_drawn_from_its_conditional():
    chosen = parameters(softness_prior=(1.0, 9.0), n_sweeps=60)
    problem = make_problem(chosen)
    outputs = sampler.run(problem, chosen, 8)
    errors = outputs["errors"]
    outputs["softness"] = ((1 + errors) / (10 + 48 * 64)).astype(np.float32)  # its mean, not a draw
    outputs["log_likelihoods"] = posterior.log_likelihood(errors, 48 * 64, outputs["softness"])
    assert "does not follow its conditional Beta" in check("reconstruction", problem, chosen, outputs).reason


def test_gate_refuses_wrong_forms():
    problem = make_problem(PARAMETERS)
    outputs = sampler.run(problem, PARAMETERS, 9)
    without = {name: array for name, array in outputs.items() if name != "frames"}
    assert "outputs lack 'frames'" in check("reconstruction", problem, PARAMETERS, without).reason
    assert "final has shape" in check("sweeps", problem, PARAMETERS, {**outputs, "final": outputs["final"].T}).reason
    assert "dtype" in check("sweeps", problem, PARAMETERS, {**outputs, "final": outputs["final"].astype(float)}).reason
    with pytest.raises(ValueError, match="tasks are"):
        check("sweep", problem, PARAMETERS, outputs)


def test_gate_of_several_chains():
    problem = make_problem(PARAMETERS)
    chains = [sampler.run(problem, PARAMETERS, seed) for seed in (10, 11)]
    outputs = {name: np.array([chain[name] for chain in chains]) for name in chains[0]}
    verdict = check("accuracy", problem, PARAMETERS, outputs)
    assert verdict.reason is None
    assert verdict.diagnostics["lowest_accuracy"] < verdict.diagnostics["highest_accuracy"]
    assert verdict.diagnostics["accuracy"] == pytest.approx(1 - outputs["errors"][:, -1].mean() / (48 * 64))
    twice = {name: np.array([chains[0][name]] * 2) for name in chains[0]}
    assert check("accuracy", problem, PARAMETERS, twice).reason == "two chains end in the same board"
    chains[1] = sampler.run(problem, PARAMETERS, 11, "tempered")
    wrong = {name: np.array([chain[name] for chain in chains]) for name in chains[0]}
    assert check("accuracy", problem, PARAMETERS, wrong).reason.startswith("chain 1: last sweep")


def test_bound_solves_bernsteins_inequality():
    for variance, largest in ((0.0, 1.0), (3.0, 1.0), (1e4, 1.0), (50.0, 0.5)):
        t = bound(variance, largest)
        assert t**2 / (2 * (variance + largest * t / 3)) == pytest.approx(18)
