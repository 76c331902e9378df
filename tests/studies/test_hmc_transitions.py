"""The one-step test of Hamiltonian Monte Carlo: exact maps, right chains that pass, and what it sees of wrong ones.

Seeds are fixed. With fresh ones each check of a right chain refuses it 6e-7 of the time.
"""

import numpy as np
import pytest

from studies.hmc_transitions import check_transitions, oscillators

MEAN = np.array([1.0, -2.0, 0.5])
ROTATION = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
PRECISION = ROTATION @ np.diag([60.0, 900.0, 14000.0]) @ ROTATION.T
STEP_SIZE, N_LEAPFROG = 0.01, 20
TARGET = oscillators(MEAN, PRECISION, STEP_SIZE, N_LEAPFROG)


def leapfrog(position, momentum, step_size=STEP_SIZE, n_leapfrog=N_LEAPFROG, precision=PRECISION):
    for _ in range(n_leapfrog):
        momentum = momentum - 0.5 * step_size * (position - MEAN) @ precision
        position = position + step_size * momentum
        momentum = momentum - 0.5 * step_size * (position - MEAN) @ precision
    return position, momentum


def energy(position, momentum, precision=PRECISION):
    away = position - MEAN
    return 0.5 * (np.einsum("ci,ij,cj->c", away, precision, away) + (momentum**2).sum(axis=-1))


def chain(n=1500, seed=1, rule=None, gradient_precision=PRECISION, **trajectory):
    """States before and after n steps of independent chains, and their acceptance probabilities."""
    random = np.random.default_rng(seed)
    before = random.multivariate_normal(MEAN, np.linalg.inv(PRECISION), n)
    momentum = random.standard_normal((n, 3))
    end, end_momentum = leapfrog(before, momentum, precision=gradient_precision, **trajectory)
    probability = np.exp(np.minimum(0, energy(before, momentum) - energy(end, end_momentum)))
    accept = random.random(n) < (probability if rule is None else rule(probability))
    return before, np.where(accept[:, None], end, before), probability


def judge(before, after, probability=None):
    return check_transitions(TARGET, before, after, {}, probability)


def test_oscillators_are_leapfrog_on_the_density():
    random = np.random.default_rng(2)
    position, momentum = random.standard_normal((5, 3)) * 0.1 + MEAN, random.standard_normal((5, 3))
    end, end_momentum = leapfrog(position, momentum)
    x, r = TARGET.coordinates(position), momentum @ TARGET.basis
    mapped, mapped_momentum = TARGET.end(x, r)
    np.testing.assert_allclose(mapped, TARGET.coordinates(end), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(mapped_momentum, end_momentum @ TARGET.basis, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(TARGET.momentum(x, mapped), r, rtol=1e-7, atol=1e-9)
    exact = np.exp(np.minimum(0, energy(position, momentum) - energy(end, end_momentum)))
    np.testing.assert_allclose(TARGET.acceptance(x, r), exact, rtol=1e-7)


@pytest.mark.parametrize("seed", range(20))
def test_right_steps_pass_wherever_they_begin(seed):
    before, after, probability = chain(seed=seed)
    assert judge(before, after, probability) is None
    # Of any start: only the steps are judged.
    momentum = np.random.default_rng(seed).standard_normal((1500, 3))
    started = np.tile(MEAN + 0.02, (1500, 1))
    end, end_momentum = leapfrog(started, momentum)
    probability = np.exp(np.minimum(0, energy(started, momentum) - energy(end, end_momentum)))
    accept = np.random.default_rng(seed + 100).random(1500) < probability
    assert judge(started, np.where(accept[:, None], end, started), probability) is None


WRONG = {
    "one step more": (lambda: chain(n_leapfrog=21)[:2], "squared momentum|position times momentum|acceptance rate"),
    "one step fewer": (lambda: chain(n_leapfrog=19)[:2], "acceptance rate"),
    "half the steps": (lambda: chain(n_leapfrog=10)[:2], "squared momentum|acceptance rate"),
    "step size 2% off": (lambda: chain(step_size=0.0102)[:2], "momentum|acceptance rate"),
    "precision 5% off": (lambda: chain(gradient_precision=1.05 * PRECISION)[:2], "momentum|acceptance rate"),
    "always accepted": (lambda: chain(rule=np.ones_like)[:2], "acceptance rate is 1"),
    "a coin of 90%": (lambda: chain(rule=lambda p: np.full_like(p, 0.9))[:2], "acceptance rate is 0.9"),
    "a coin of the right rate": (
        lambda: chain(rule=lambda p: np.full_like(p, p.mean())), "steps with acceptance probability 1 did not move",
    ),
    "a gradient 0.1% off": (lambda: chain(gradient_precision=1.001 * PRECISION), "acceptance_probability differs"),
    "probabilities of nothing": (
        lambda: (*chain()[:2], np.full(1500, 0.7)), "acceptance_probability differs from that of exact trajectories",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_wrong_steps_are_told(fault):
    make, message = WRONG[fault]
    reason = judge(*make())
    assert reason is not None
    assert any(part in reason for part in message.split("|")), reason


def test_targets_may_differ_from_step_to_step():
    """As where indicators are drawn between steps: each transition has its own precision and mean."""
    random = np.random.default_rng(3)
    scale = random.uniform(0.5, 2.0, 1500)
    precision = scale[:, None, None] * PRECISION
    target = oscillators(np.tile(MEAN, (1500, 1)), precision, STEP_SIZE, N_LEAPFROG)
    x, r = random.standard_normal((1500, 3)) / np.sqrt(target.precision), random.standard_normal((1500, 3))
    accept = random.random(1500) < target.acceptance(x, r)
    before, end = (np.einsum("ij,ikj->ik", c, target.basis) + MEAN for c in (x, target.end(x, r)[0]))
    after = np.where(accept[:, None], end, before)
    assert check_transitions(target, before, after, {}) is None
    assert check_transitions(TARGET, before, after, {}) is not None
