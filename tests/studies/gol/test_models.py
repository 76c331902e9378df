"""The GenJAX and the hand-written sampler against brute force on every cell, and against enumerated posteriors."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from studies.gol import posterior
from studies.gol.problem import check, make_problem
from studies.gol.rule import next_board

pytestmark = pytest.mark.usefixtures("unoptimised")
ROOT = Path(__file__).parents[3]
FRAMEWORKS = ("genjax", "handcoded_jax")
SHAPES = [(3, 3), (3, 8), (7, 4), (6, 9), (11, 5)]
PARAMETERS = {
    "target": "wizards", "height": 10, "width": 17, "target_seed": 0, "softness": 0.1, "softness_prior": None,
    "n_sweeps": 4, "n_frames": 2, "n_chains": 3,
}  # fmt: skip


def load(framework):
    specification = importlib.util.spec_from_file_location(
        f"gol_model_{framework}", ROOT / f"studies/gol/models/{framework}.py"
    )
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


MODELS = {framework: load(framework) for framework in FRAMEWORKS}
genjax_model, handcoded_model = MODELS["genjax"], MODELS["handcoded_jax"]


def random_boards(shape, seed=0):
    random = np.random.default_rng(seed)
    return random.random(shape) < 0.5, random.random(shape) < 0.6


def outputs_of(framework, task, problem, parameters, seed=0):
    program = getattr(MODELS[framework], task)(None, problem.data, parameters)
    return {name: np.asarray(array) for name, array in jax.jit(program.run)(program.prepare(seed)).items()}


# ---------------------------------------------------------------- conditionals


def genjax_log_odds(board, target, softness):
    """Of every cell, by the same functions that the sweep calls."""
    model, (height, width) = genjax_model, board.shape
    classes, targets, inside = (model.split(array) for array in (board, target, jnp.ones(board.shape, bool)))
    of_class = jax.vmap(jax.vmap(model.log_odds, (0, 0, None)), (0, 0, None))

    def one(index):
        around, children = model.neighbourhood(classes, targets, inside, index // 3, index % 3)
        return of_class(around, children, softness)

    return place(jax.jit(lambda: jax.lax.map(one, jnp.arange(9)))(), height, width)


def handcoded_log_odds(board, target, softness):
    classes, targets = handcoded_model._split(board), handcoded_model._signed(target)

    def one(index):
        return handcoded_model._gained_agreements(classes, targets, index // 3, index % 3)

    gained = jax.jit(lambda: jax.lax.map(one, jnp.arange(9, dtype=jnp.uint32)))()
    return place(gained, *board.shape) * np.log((1 - softness) / softness)


def place(by_class, height, width):
    odds = np.empty((height, width))
    for index, values in enumerate(np.asarray(by_class, np.float64)):
        part = odds[index // 3 :: 3, index % 3 :: 3]
        part[:] = values[: part.shape[0], : part.shape[1]]
    return odds


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("log_odds", [genjax_log_odds, handcoded_log_odds])
def test_log_odds_of_every_cell_against_brute_force(log_odds, shape):
    board, target = random_boards(shape)
    expected = posterior.log_odds_brute_force(board, target, 0.03)
    assert np.abs(expected).max() > 3  # something is at stake
    assert np.allclose(log_odds(jnp.array(board), jnp.array(target), 0.03), expected, atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_split_and_join(shape):
    board, _ = random_boards(shape)
    for model, names in ((genjax_model, ("split", "join")), (handcoded_model, ("_split", "_join"))):
        split, join = (getattr(model, name) for name in names)
        classes = np.asarray(split(jnp.array(board)))
        assert classes.sum() == board.sum()
        assert classes[1, 2, 1, 1] == (board[1, 2] if shape[1] > 2 else 0)
        assert np.array_equal(join(jnp.array(classes), *shape), board)


# ---------------------------------------------------------------- model


def test_next_state_is_the_rule():
    board, _ = random_boards((13, 9))
    assert np.array_equal(genjax_model.next_state(genjax_model.windows(jnp.array(board))), next_board(board))


def test_model_density_and_addresses():
    board, target = random_boards((5, 7))
    choices = {"init": jnp.array(board), "step": {"cells": {"bit": jnp.array(target)}}}
    log_density, _ = genjax_model.automaton(5, 7).assess(choices, 0.03)
    assert float(log_density) == pytest.approx(posterior.log_joint(board, target, 0.03), rel=1e-5)
    prior = (2.0, 7.0)
    with_prior, _ = genjax_model.automaton_of_unknown_softness(5, 7, prior).assess({**choices, "softness": 0.2}, *())
    expected = posterior.log_joint(board, target, 0.2) + stats.beta.logpdf(0.2, *prior)
    assert float(with_prior) == pytest.approx(expected, rel=1e-5)


def test_noisy_bit_is_the_flip_of_the_paper():
    for softness in (0.03, 0.5, 0.9):
        for intended in (False, True):
            for bit in (False, True):
                expected, _ = genjax_model.flip.assess(jnp.array(bit), 1 - softness if intended else softness)
                density, _ = genjax_model.noisy_bit.assess(jnp.array(bit), jnp.array(intended), softness)
                assert float(density) == pytest.approx(float(expected), rel=1e-5)
    sample = genjax_model.seed(lambda: genjax_model.noisy_bit.repeat(20000)(True, 0.03))
    alive = int(np.sum(sample(jax.random.key(0))))
    # Binomial(20000, 0.97), five standard deviations: false alarm below 1e-6.
    assert abs(alive - 19400) < 5 * np.sqrt(20000 * 0.97 * 0.03)


# ---------------------------------------------------------------- programs


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_programs_pass_the_gate(framework):
    problem = make_problem(PARAMETERS)
    for task in ("reconstruction", "sweeps", "accuracy"):
        outputs = outputs_of(framework, task, problem, PARAMETERS)
        assert check(task, problem, PARAMETERS, outputs).reason is None, task


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_equal_seeds_give_equal_boards_and_others_others(framework):
    problem = make_problem(PARAMETERS)
    program = MODELS[framework].sweeps(None, problem.data, PARAMETERS)
    run = jax.jit(program.run)
    boards = [np.asarray(run(program.prepare(seed))["final"]) for seed in (1, 1, 2)]
    assert np.array_equal(boards[0], boards[1]) and not np.array_equal(boards[0], boards[2])


@pytest.mark.usefixtures("optimised")
def test_memory_does_not_grow_with_the_number_of_sweeps():
    def temporary_bytes(n_sweeps):
        chosen = {**PARAMETERS, "height": 60, "width": 60, "n_sweeps": n_sweeps}
        program = genjax_model.reconstruction(None, make_problem(chosen).data, chosen)
        compiled = jax.jit(program.run).trace(program.prepare(0)).lower().compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # Three summaries of four bytes, twice, and a slot per sweep; a board has 3600 bytes.
    assert temporary_bytes(1000) - temporary_bytes(10) < 990 * 64


# ---------------------------------------------------------------- posterior


@pytest.mark.parametrize(("framework", "prior"), [("genjax", None), ("genjax", (2.0, 6.0)), ("handcoded_jax", None)])
def test_boards_follow_the_enumerated_posterior(framework, prior):
    """Chi-square and total variation over at most 64 groups of the 4096 boards, of about equal posterior mass.

    One draw from each of 8000 chains that begin in the prior, 60 sweeps later. A right sampler that has forgotten its
    start fails the chi-square with probability 1e-6.
    """
    n_chains, n_groups = 8000, 64
    chosen = {**PARAMETERS, "height": 3, "width": 4, "softness": 0.2, "softness_prior": prior, "n_sweeps": 60}
    problem = make_problem({**chosen, "target": "known_predecessor"})
    target = problem.data["target"]
    boards, probabilities = posterior.enumerate_posterior(target, None if prior else 0.2, prior)
    program = MODELS[framework].reconstruction(None, problem.data, chosen)
    inputs = program.prepare(0)
    run = jax.jit(lambda keys: jax.vmap(lambda key: program.run({**inputs, "key": key})["final"])(keys))
    final = np.asarray(run(jax.random.split(jax.random.key(1), n_chains)))
    codes = final.reshape(n_chains, -1) @ (1 << np.arange(12))
    assert np.array_equal(boards[codes], final)
    order = np.random.default_rng(0).permutation(len(boards))
    group_of = np.empty(len(boards), int)
    group_of[order] = np.minimum((np.cumsum(probabilities[order]) * n_groups).astype(int), n_groups - 1)
    # A board that is likelier than a group leaves groups empty.
    _, group_of = np.unique(group_of, return_inverse=True)
    n_groups = group_of.max() + 1
    expected = n_chains * np.bincount(group_of, probabilities, n_groups)
    observed = np.bincount(group_of[codes], minlength=n_groups)
    chi_square = np.sum((observed - expected) ** 2 / expected)
    assert chi_square < stats.chi2.isf(1e-6, n_groups - 1)
    # E[TV] is about half the sum of standard deviations times sqrt(2 / pi).
    total_variation = 0.5 * np.abs(observed - expected).sum() / n_chains
    assert total_variation < 2 * 0.5 * np.sqrt(2 / np.pi) * np.sqrt(expected).sum() / n_chains
    # The prior, and the posterior of another softness, are told apart by the same bound.
    for other in (np.full(4096, 1 / 4096), posterior.enumerate_posterior(target, 0.12)[1]):
        wrong = n_chains * np.bincount(group_of, other, n_groups)
        assert np.sum((observed - wrong) ** 2 / wrong) > stats.chi2.isf(1e-6, n_groups - 1)
