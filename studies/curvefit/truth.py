"""Exact posteriors of the curve models, in float64.

The basic model is linear-Gaussian: closed form. In the robust model every assignment of outlier indicators leaves a
linear-Gaussian curve and a conjugate Beta rate, so summing over all 2^n assignments is exact too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from studies.polynomial import CurvePosterior, design, squared_weight_posterior
from studies.polynomial import curve_posterior as basic_posterior

__all__ = ["CurvePosterior", "RobustPosterior", "basic_posterior", "basic_relative_variance", "robust_posterior"]

MAX_ENUMERATED_POINTS = 20


def basic_relative_variance(xs: np.ndarray, ys: np.ndarray, noise_sd: float) -> float:
    """E[w^2] / E[w]^2 - 1 of the weights w = p(ys | curve) of curves from the prior."""
    return squared_weight_posterior(xs, ys, noise_sd)[0]


@dataclass(frozen=True)
class RobustPosterior(CurvePosterior):
    """Posterior of the robust model.

    Attributes:
        outlier_probability: (n,) P(z_i = 1 | ys).
        rate_mean: E[outlier rate | ys]; the rate itself where it is fixed.
    """

    outlier_probability: np.ndarray
    rate_mean: float

    @property
    def n_outliers_mean(self) -> float:
        """E[number of outliers | ys]."""
        return float(self.outlier_probability.sum())


def robust_posterior(
    xs: np.ndarray,
    ys: np.ndarray,
    noise_sd: float,
    outlier_bound: float,
    rate: float | None = None,
    rate_prior: tuple[float, float] | None = None,
) -> RobustPosterior:
    """Posterior of the model with outliers, by enumerating every assignment of the indicators.

    a, b, c ~ N(0, 1); z_i ~ Bernoulli(rate); y_i ~ N(a + b x_i + c x_i^2, noise_sd) if z_i = 0, else
    Uniform(-outlier_bound, outlier_bound). The rate is fixed, or rate ~ Beta(alpha, beta) = `rate_prior`. For each z,

        p(z, ys) = p(z) (2 outlier_bound)^-k N(ys[z = 0]; 0, X X' + noise_sd^2 I),  k = sum z,

    with p(z) = B(alpha + k, beta + n - k) / B(alpha, beta) or rate^k (1 - rate)^(n - k).

    Raises:
        ValueError: there are more points than can be enumerated, or not exactly one of `rate` and `rate_prior`.
    """
    n = len(xs)
    if n > MAX_ENUMERATED_POINTS:
        raise ValueError(
            f"robust_posterior enumerates 2^n assignments and got n = {n} points; the limit is {MAX_ENUMERATED_POINTS}."
        )
    if (rate is None) == (rate_prior is None):
        raise ValueError(f"robust_posterior needs a rate or a rate_prior, got rate={rate}, rate_prior={rate_prior}.")
    ys = np.asarray(ys, np.float64)
    z = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(np.float64)
    k = z.sum(axis=1)
    if rate_prior is not None:
        alpha, beta = rate_prior
        log_prior = special.betaln(alpha + k, beta + n - k) - special.betaln(alpha, beta)
        rate_given_z = (alpha + k) / (alpha + beta + n)
    elif rate is not None:
        log_prior = special.xlogy(k, rate) + special.xlog1py(n - k, -rate)
        rate_given_z = np.full(len(z), float(rate))
    # An outlier outside of the bound has no density.
    log_outlier = np.where(np.abs(ys) <= outlier_bound, -np.log(2 * outlier_bound), -np.inf)
    log_evidence_given_z, means, covariances = _conjugate(design(xs), ys, noise_sd, 1 - z)
    log_joint = log_prior + np.where(z > 0, log_outlier, 0.0).sum(axis=1) + log_evidence_given_z
    log_evidence = special.logsumexp(log_joint)
    weight = np.exp(log_joint - log_evidence)
    mean = weight @ means
    second = np.einsum("z,zij->ij", weight, covariances + means[:, :, None] * means[:, None, :])
    return RobustPosterior(
        log_evidence=float(log_evidence),
        mean=mean,
        covariance=second - np.outer(mean, mean),
        outlier_probability=weight @ z,
        rate_mean=float(weight @ rate_given_z),
    )


def _conjugate(
    features: np.ndarray, ys: np.ndarray, noise_sd: float, included: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log evidence, mean and covariance of the linear-Gaussian curve for each row of `included` (rows, n) of 0 and 1.

    With precision P = I + X'X / s^2 over the included points and m = P^-1 X'y / s^2:
    log p(y) = -(n_in log(2 pi s^2) + log det P + y'y / s^2 - m' P m) / 2.
    """
    variance = noise_sd**2
    gram = np.einsum("zn,ni,nj->zij", included, features, features) / variance
    precision = np.eye(3) + gram
    linear = np.einsum("zn,ni,n->zi", included, features, ys) / variance
    covariance = np.linalg.inv(precision)
    mean = np.einsum("zij,zj->zi", covariance, linear)
    log_determinant = np.linalg.slogdet(precision)[1]
    n_included = included.sum(axis=1)
    quadratic = included @ ys**2 / variance - np.einsum("zi,zi->z", mean, linear)
    return -(n_included * np.log(2 * np.pi * variance) + log_determinant + quadratic) / 2, mean, covariance
