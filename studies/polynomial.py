"""The exact posterior of a curve with normal noise, in float64: what the polynomial studies share.

a, b, c ~ N(0, 1) and y_i ~ N(a + b x_i + c x_i^2, noise_sd) is linear and Gaussian, so everything has a closed form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CurvePosterior:
    """Posterior of the coefficients (a, b, c).

    Attributes:
        log_evidence: log p(ys).
        mean: (3,) posterior mean.
        covariance: (3, 3) posterior covariance.
    """

    log_evidence: float
    mean: np.ndarray
    covariance: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """(3,) posterior standard deviations."""
        return np.sqrt(np.diag(self.covariance))


def design(xs: np.ndarray) -> np.ndarray:
    """(n, 3) monomials 1, x, x^2 of the locations."""
    xs = np.asarray(xs, np.float64)
    return np.stack([np.ones_like(xs), xs, xs**2], axis=-1)


def curve_posterior(xs: np.ndarray, ys: np.ndarray, noise_sd: float) -> CurvePosterior:
    """Posterior under a, b, c ~ N(0, 1) and y_i ~ N(a + b x_i + c x_i^2, noise_sd).

    With precision P = I + X'X / s^2 and mean m = P^-1 X'y / s^2:
    log p(y) = -(n log(2 pi s^2) + log det P + y'y / s^2 - m' P m) / 2.
    """
    features, ys = design(xs), np.asarray(ys, np.float64)
    variance = noise_sd**2
    precision = np.eye(3) + features.T @ features / variance
    linear = features.T @ ys / variance
    covariance = np.linalg.inv(precision)
    mean = covariance @ linear
    log_determinant = np.linalg.slogdet(precision)[1]
    log_evidence = -(
        len(ys) * np.log(2 * np.pi * variance) + log_determinant + ys @ ys / variance - mean @ linear
    ) / 2  # fmt: skip
    return CurvePosterior(float(log_evidence), mean, covariance)


def squared_weight_posterior(xs: np.ndarray, ys: np.ndarray, noise_sd: float) -> tuple[float, CurvePosterior]:
    """How the weights w = p(ys | curve) of curves from the prior scatter.

    The square of a normal density is one of half the variance: N(y; m, s^2)^2 = N(y; m, s^2 / 2) / (2 s sqrt(pi)). So
    prior times squared likelihood is a posterior too, with noise s / sqrt(2).

    Returns:
        The relative variance E[w^2] / E[w]^2 - 1, so that about n_particles / (1 + relative variance) particles are
        effective, and the normalised density proportional to prior times w^2.
    """
    squared = curve_posterior(xs, ys, noise_sd / np.sqrt(2))
    log_second_moment = squared.log_evidence - len(xs) * np.log(2 * noise_sd * np.sqrt(np.pi))
    exponent = log_second_moment - 2 * curve_posterior(xs, ys, noise_sd).log_evidence
    with np.errstate(over="ignore"):  # infinite where no number of particles would do
        return float(np.expm1(exponent)), squared
