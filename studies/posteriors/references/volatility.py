"""Moments of the stochastic volatility model: forward and backward sums over a lattice of log variances, in float64."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from studies.posteriors.reference import NORMAL_SQUARES
from studies.posteriors.references.quadrature import check_edges

HALF_WIDTH = 7.0
"""Of the lattice, in standard deviations of the stationary distribution."""

NEGLIGIBLE = 25.0
"""Nats below the highest density at which the backward sums are left out: less than 1e-10 of the mass."""


class Grid(NamedTuple):
    """Points of the parameters: the logit of the persistence, the logarithm of sigma, and mu; evenly spaced each."""

    logits: np.ndarray
    log_sigmas: np.ndarray
    mus: np.ndarray


WIDE = Grid(np.linspace(1.2, 7.7, 27), np.linspace(-2.5, 0.0, 26), np.linspace(-3.4, 2.2, 36))

AT_EDGES = 2e-5
"""Of the mass, at most: phi near 1 has a long tail, each further step of which takes a lattice as wide again."""


class Smoothed(NamedTuple):
    """Given the parameters, for k values of mu.

    Args:
        log_evidence: (k,) log p(ys).
        mean: (k, n_days) E[z_t | ys].
        square: (k, n_days) E[z_t^2 | ys].
    """

    log_evidence: np.ndarray
    mean: np.ndarray
    square: np.ndarray


def stochastic_volatility(data: dict[str, np.ndarray], grid: Grid = WIDE) -> dict[str, dict[str, Any]]:
    """Parameters are summed over a grid, the path of log variances over a lattice, both by the trapezium rule.

    All integrands fall off like normal densities, so that the rule errs by less than 1e-6 where the lattice is no wider
    than sigma and the grid no wider than half of a posterior standard deviation.

    Raises:
        ValueError: more than `AT_EDGES` of the mass lies at an edge of the grid.
    """
    weight, mean, square = combined(data, grid)
    check_edges(weight, "stochastic_volatility", AT_EDGES)
    found = {"z": moments_of(mean, square)}
    for axis, (name, values) in enumerate(
        (("persistence", special.expit(grid.logits)), ("sigma", np.exp(grid.log_sigmas)), ("mu", grid.mus))
    ):
        marginal = weight.sum(axis=tuple({0, 1, 2} - {axis}))
        centre = marginal @ values
        squares = (values - centre) ** 2
        variance = marginal @ squares
        spread = np.sqrt(marginal @ squares**2 / variance**2 - 1)
        found[name] = moments_of(centre, centre**2 + variance, spread)
    return found


def combined(data: dict[str, np.ndarray], grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Posterior weights of the grid's points, (n_logits, n_log_sigmas, n_mus), and E[z_t], E[z_t^2], (n_days,) each."""
    ys = np.asarray(data["ys"], np.float64)
    log_weight = np.empty((grid.logits.size, grid.log_sigmas.size, grid.mus.size))
    for i, logit in enumerate(grid.logits):
        for j, log_sigma in enumerate(grid.log_sigmas):
            # Beta(20, 1.5) and the determinant of the logit; half-N(1) and the determinant exp(log_sigma).
            log_prior = 20 * special.log_expit(logit) + 1.5 * special.log_expit(-logit)
            log_prior += log_sigma - 0.5 * np.exp(2 * log_sigma)
            lattice = Lattice(ys, 2 * special.expit(logit) - 1, np.exp(log_sigma), grid.mus)
            log_weight[i, j] = lattice.forward()[1] + log_prior - 0.5 * grid.mus**2
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean, square = np.zeros(ys.size), np.zeros(ys.size)
    for i, j in np.argwhere(log_weight.max(axis=-1) > log_weight.max() - NEGLIGIBLE):
        phi, sigma = 2 * special.expit(grid.logits[i]) - 1, np.exp(grid.log_sigmas[j])
        smoothed = Lattice(ys, phi, sigma, grid.mus).smooth()
        mean += weight[i, j] @ smoothed.mean
        square += weight[i, j] @ smoothed.square
    return weight, mean, square


def moments_of(mean: Any, square: Any, spread: float = NORMAL_SQUARES) -> dict[str, Any]:
    """The fields of `Moments` from first and second moments, with errors that the mass beyond the edges may cause."""
    sd = np.sqrt(square - mean**2)
    return {
        "mean": mean, "sd": sd, "mean_error": 1e-3 * sd, "sd_error": 1e-3 * sd, "square_sd": np.full(sd.shape, spread),
    }  # fmt: skip


class Lattice:
    """Sums over n evenly spaced values of x_t = h_t - mu, of all values of mu side by side.

    Args:
        ys: (n_days,) returns.
        phi, sigma: of x_t = phi x_(t-1) + sigma z_t.
        mus: (k,) values of mu.
        n: of the values; None for as many as make the spacing 0.7 sigma, and 101 at least. The sum over x_t of two
            transitions, normal with sd sigma / sqrt(2), then errs by exp(-pi^2 / 0.7^2) = 2e-9.
    """

    def __init__(self, ys: np.ndarray, phi: float, sigma: float, mus: np.ndarray, n: int | None = None) -> None:
        self.phi, self.sigma = phi, sigma
        sd = sigma / np.sqrt(1 - phi**2)
        n = n or max(101, 1 + int(np.ceil(2 * HALF_WIDTH / 0.7 * sd / sigma)))
        self.x = np.linspace(-HALF_WIDTH, HALF_WIDTH, n) * sd
        width = self.x[1] - self.x[0]
        self.first = width * np.exp(-0.5 * (self.x / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
        steps = (self.x - phi * self.x[:, None]) / sigma
        # (n, n): from a value, its row, to the next
        self.transition = width * np.exp(-0.5 * steps**2) / (sigma * np.sqrt(2 * np.pi))
        h = self.x[:, None] + mus
        self.likelihoods = np.exp(-0.5 * (h + ys[:, None, None] ** 2 * np.exp(-h))) / np.sqrt(2 * np.pi)

    def forward(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """p(x_t | ys_1 ... ys_t), (n_days, n, k); log p(ys), (k,); and p(ys_t | ys_1 ... ys_(t-1)), (n_days, k)."""
        filtered, factors = np.empty_like(self.likelihoods), np.empty_like(self.likelihoods[:, 0])
        predicted = np.broadcast_to(self.first[:, None], filtered[0].shape)
        for day, likelihood in enumerate(self.likelihoods):
            joint = predicted * likelihood
            factors[day] = joint.sum(axis=0)
            filtered[day] = joint / factors[day]
            predicted = self.transition.T @ filtered[day]
        return filtered, np.log(factors).sum(axis=0), factors

    def smooth(self) -> Smoothed:
        """Moments of z_t = (x_t - phi x_(t-1)) / sigma given all returns, from those of neighbours in time.

        With the backward sums b_t = p(ys_(t+1) ... | x_t) / p(ys_(t+1) ... | ys_1 ... ys_t), E[x_(t-1) x_t] is the sum
        of x_(t-1) p(x_(t-1) | ys_1 ... ys_(t-1)) p(x_t | x_(t-1)) p(ys_t | x_t) x_t b_t / p(ys_t | ys_1 ... ys_(t-1)).
        """
        filtered, log_evidence, factors = self.forward()
        x, (n_days, _, k) = self.x[:, None], filtered.shape
        first, second, crossed = np.empty((n_days, k)), np.empty((n_days, k)), np.zeros((n_days, k))
        backward = np.ones_like(filtered[0])
        for day in range(n_days - 1, -1, -1):
            law = filtered[day] * backward
            first[day], second[day] = (x * law).sum(axis=0), (x**2 * law).sum(axis=0)
            if day:
                ahead = self.likelihoods[day] * backward / factors[day]
                crossed[day] = (x * filtered[day - 1] * (self.transition @ (x * ahead))).sum(axis=0)
                backward = self.transition @ ahead
        mean, square = first.copy(), second.copy()
        mean[1:] -= self.phi * first[:-1]
        square[1:] += self.phi**2 * second[:-1] - 2 * self.phi * crossed[1:]
        scales = np.full((n_days, 1), self.sigma)
        scales[0] /= np.sqrt(1 - self.phi**2)
        return Smoothed(log_evidence, (mean / scales).T, (square / scales**2).T)
