"""Moments by quadrature in float64: no random numbers, so their errors are rounding and the width of the grid."""

from typing import Any

import numpy as np


def eight_schools(data: dict[str, np.ndarray], centred: bool) -> dict[str, dict[str, Any]]:
    """mu, theta and z given tau are normal, so what is left is one integral over log tau, by the trapezium rule.

    With v_j = s_j^2 + tau^2: effects are N(mu, v_j); given mu, theta_j has mean mu + tau^2 / v_j (y_j - mu) and
    variance s_j^2 tau^2 / v_j, and z_j = (theta_j - mu) / tau.
    """
    y, s = (np.asarray(data[name], np.float64) for name in ("effects", "errors"))
    log_tau = np.linspace(-25.0, 12.0, 40_001)
    tau = np.exp(log_tau)[:, None]
    v = s**2 + tau**2
    precision = 1 / 25 + (1 / v).sum(axis=1)
    mu_mean, mu_variance = (y / v).sum(axis=1) / precision, 1 / precision
    log_weight = -0.5 * (np.log(v) + y**2 / v).sum(axis=1) + 0.5 * mu_mean**2 * precision - 0.5 * np.log(precision)
    log_weight += log_tau - np.log1p((tau[:, 0] / 5) ** 2)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    pull = tau**2 / v
    theta = mu_mean[:, None] + pull * (y - mu_mean[:, None]), s**2 * pull + (1 - pull) ** 2 * mu_variance[:, None]
    z = tau / v * (y - mu_mean[:, None]), s**2 / v + (tau / v) ** 2 * mu_variance[:, None]
    found = {"mu": mixed(weight, mu_mean, mu_variance), "tau": mixed(weight, tau[:, 0], 0 * log_tau)}
    return {**found, **({"theta": mixed(weight, *theta)} if centred else {"z": mixed(weight, *z)})}


def mixed(weight: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and sd of a mixture of laws with these means and variances, (n, ...) each."""
    whole = np.tensordot(weight, mean, 1)
    sd = np.sqrt(np.tensordot(weight, variance + (mean - whole) ** 2, 1))
    return {"mean": whole, "sd": sd, "mean_error": 1e-6 * sd, "sd_error": 1e-6 * sd}
