"""Draws that are not independent standard normals are told from those that are; each saving of draws is a case."""

import numpy as np
import pytest
from scipy import stats

from studies.standard_normals import check_standard_normals, kolmogorov_smirnov

RANDOM = np.random.default_rng(0)


def normals(n=10_000, k=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32).astype(np.float64)


def judge(draws):
    return check_standard_normals(draws, tuple("abc"[: draws.shape[1]]), {})


@pytest.mark.parametrize("shape", [(10, 3), (100, 3), (1_000, 3), (10_000, 3), (64_000, 1), (300_000, 3)])
def test_right_draws_pass_at_every_size(shape):
    assert judge(normals(*shape)) is None


def test_right_draws_of_many_seeds_pass():
    # Each of about forty tests refuses one in ten million, so that none of these can.
    refused = [seed for seed in range(100) if judge(normals(1_000, seed=seed)) is not None]
    assert refused == []


@pytest.mark.parametrize("n", [1, 7, 5_000])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_distance_of_a_distribution_is_that_of_scipy(n, shift):
    x = np.random.default_rng(n).standard_normal(n) + shift
    assert kolmogorov_smirnov(x) == pytest.approx(stats.kstest(x, "norm", method="asymp").pvalue, rel=1e-12)


def rolled(draws):
    return np.stack([draws[:, 0], np.roll(draws[:, 0], 1), np.roll(draws[:, 0], 777)], axis=-1)


def half_jittered(draws, jitter):
    half = draws[: len(draws) // 2]
    return np.concatenate([half, half + jitter * RANDOM.standard_normal(half.shape)])


def shuffled(draws):
    return RANDOM.permutation(draws)


def lattice(n):
    """Quasi-random points of the unit cube: a Kronecker sequence."""
    return (np.outer(np.arange(1, n + 1), np.sqrt([2, 3, 5])) + 0.1234) % 1


WRONG = {
    "one draw rolled into all coordinates": (rolled, "distinct"),
    "rolled, and moved a little": (lambda z: rolled(z) + 1e-3 * normals(seed=1), "correlation of values of a and b"),
    "a coordinate reversed": (lambda z: np.c_[z[:, :2], z[::-1, 0] + 1e-4 * z[:, 1]], "reversed"),
    "mirrored halves": (lambda z: np.concatenate([z[:5000], -z[:5000]]), "distinct"),
    "mirrored halves, moved": (lambda z: np.concatenate([z[:5000], -half_jittered(z, 1e-3)[5000:]]), "correlation"),
    "signs drawn for one magnitude": (lambda z: np.c_[z[:, :2], np.abs(z[:, 0]) * np.sign(z[:, 2]) + 1e-5], "absolute"),
    "copies of half": (lambda z: np.concatenate([z[:5000], z[:5000]]), "distinct"),
    "copies of half, shuffled": (lambda z: shuffled(np.concatenate([z[:5000], z[:5000]])), "distinct"),
    "half jittered copies": (lambda z: half_jittered(z, 1e-3), "at lag 5000"),
    "half jittered copies, shuffled": (lambda z: shuffled(half_jittered(z, 1e-3)), "pairs of draws next to each other"),
    "one particle for all": (lambda z: np.tile(z[:1], (10_000, 1)), "distinct"),
    "another width, 5%": (lambda z: 1.05 * z, "mean square of all coordinates"),
    "one coordinate wider, 8%": (lambda z: z * [1, 1.08, 1], "mean square"),
    "shifted": (lambda z: z + [0, 0, 0.08], "moment 1 of c"),
    "uniform of the same moments": (lambda z: np.sqrt(12) * (stats.norm.cdf(z) - 0.5), "mean square|moment 4|Kolm"),
    "a lattice instead of draws": (lambda z: stats.norm.ppf(lattice(len(z))), "pairs|correlation"),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG)
def test_saved_draws_are_told(fault):
    spoil, message = WRONG[fault]
    reason = judge(spoil(normals()))
    assert reason is not None
    assert any(part in reason for part in message.split("|")), reason


def test_rolled_draws_are_told_among_a_million():
    draws = normals(400_000)
    wrong = np.c_[draws[:, :2], np.roll(draws[:, 0], 123_456) + 1e-3 * draws[:, 2]]
    assert "all coordinates" in judge(wrong)
