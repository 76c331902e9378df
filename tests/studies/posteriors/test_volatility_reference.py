"""The lattice of the stochastic volatility model against sums over all paths of three days."""

import itertools

import numpy as np
import pytest
from scipy import special, stats

from studies.posteriors.references import volatility
from studies.posteriors.targets import TARGETS

YS = np.array([0.3, -1.2, 0.1])


def of_all_paths(phi, sigma, mu):
    """log p(ys), E[z_t] and E[z_t^2] by a tensor grid over z_1, z_2, z_3."""
    z = np.stack(np.meshgrid(*[np.linspace(-7, 7, 71)] * 3, indexing="ij"))
    x = [sigma * z[0] / np.sqrt(1 - phi**2)]
    for day in (1, 2):
        x.append(phi * x[-1] + sigma * z[day])
    log_density = stats.norm.logpdf(z).sum(axis=0)
    log_density += sum(stats.norm.logpdf(y, 0, np.exp((mu + one) / 2)) for y, one in zip(YS, x, strict=True))
    mass = np.exp(log_density) * 0.2**3
    evidence = mass.sum()
    return (
        np.log(evidence),
        [(mass * one).sum() / evidence for one in z],
        [(mass * one**2).sum() / evidence for one in z],
    )


@pytest.mark.parametrize(("phi", "sigma"), [(0.5, 0.8), (0.95, 0.3), (0.99, 0.1)])
def test_sums_over_the_lattice_are_those_over_all_paths(phi, sigma):
    mus = np.array([-0.5, 0.4])
    found = volatility.Lattice(YS, phi, sigma, mus).smooth()
    for k, mu in enumerate(mus):
        log_evidence, mean, square = of_all_paths(phi, sigma, mu)
        assert found.log_evidence[k] == pytest.approx(log_evidence, abs=1e-6)
        assert found.mean[k] == pytest.approx(mean, abs=1e-6)
        assert found.square[k] == pytest.approx(square, abs=1e-6)


def test_parameters_are_weighed_by_prior_and_evidence():
    """A grid of eight points, each by itself, with SciPy's densities of the priors."""
    grid = volatility.Grid(np.array([2.0, 3.0]), np.array([-1.0, -0.2]), np.array([-0.5, 0.4]))
    weight, mean, square = volatility.combined({"ys": YS}, grid)
    weights, means, squares = [], [], []
    for logit, log_sigma, mu in itertools.product(*grid):
        w, sigma = special.expit(logit), np.exp(log_sigma)
        log_evidence, first, second = of_all_paths(2 * w - 1, sigma, mu)
        prior = stats.beta.pdf(w, 20, 1.5) * w * (1 - w) * stats.halfnorm.pdf(sigma) * sigma * stats.norm.pdf(mu)
        weights.append(prior * np.exp(log_evidence))
        means.append(first)
        squares.append(second)
    expected = np.array(weights) / np.sum(weights)
    assert weight.ravel() == pytest.approx(expected, abs=1e-6)
    assert mean == pytest.approx(expected @ np.array(means), abs=1e-6)
    assert square == pytest.approx(expected @ np.array(squares), abs=1e-6)


def test_a_finer_lattice_finds_the_same_for_all_days():
    ys = np.float64(TARGETS["stochastic_volatility"]().data["ys"])
    coarse, fine = (volatility.Lattice(ys, 0.95, 0.3, np.array([-0.5]), n).smooth() for n in (None, 201))
    for one, other in zip(coarse, fine, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_a_grid_that_is_too_small_is_refused():
    grid = volatility.Grid(np.array([2.0, 3.0]), np.array([-1.0, -0.2]), np.array([-0.5, 0.4]))
    with pytest.raises(ValueError, match="quadrature.stochastic_volatility: .* at an edge of the grid"):
        volatility.stochastic_volatility({"ys": YS}, grid)
