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


def poisson(data: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Given mu and sigma the groups are independent: a sum over a grid of z for each, at each point of a plane grid.

    All integrands fall off like normal densities, so that the trapezium rule errs by less than 1e-6 at these steps.
    """
    counts, exposures = (np.asarray(data[name], np.float64) for name in ("counts", "exposures"))
    mus, log_sigmas, zs = np.linspace(-3.0, 3.5, 131), np.linspace(-16.0, 1.6, 241), np.linspace(-8.0, 8.0, 201)
    log_weight = np.empty((mus.size, log_sigmas.size))
    first, second = (np.empty((mus.size, log_sigmas.size, counts.size)) for _ in range(2))
    for i, mu in enumerate(mus):
        log_rate = np.log(exposures) + mu + np.exp(log_sigmas)[:, None, None] * zs[:, None]
        inside = counts * log_rate - np.exp(log_rate) - 0.5 * zs[:, None] ** 2
        top = inside.max(axis=1)
        terms = np.exp(inside - top[:, None])
        whole = terms.sum(axis=1)
        log_weight[i] = (np.log(whole) + top).sum(axis=-1) - 0.5 * mu**2
        first[i] = np.einsum("szg,z->sg", terms, zs) / whole
        second[i] = np.einsum("szg,z->sg", terms, zs**2) / whole
    log_weight += log_sigmas - 0.5 * np.exp(2 * log_sigmas)
    weight = np.exp(log_weight - log_weight.max()).reshape(-1)
    weight /= weight.sum()
    check_edges(weight.reshape(log_weight.shape), "poisson")
    mu, sigma = (x.reshape(-1) for x in np.meshgrid(mus, np.exp(log_sigmas), indexing="ij"))
    means, squares = first.reshape(-1, counts.size), second.reshape(-1, counts.size)
    return {
        "mu": mixed(weight, mu, 0 * mu),
        "sigma": mixed(weight, sigma, 0 * sigma),
        "z": mixed(weight, means, squares - means**2),
    }


def gaussian_process(data: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """A sum over a grid of the logarithms of length scale, amplitude and noise.

    With the eigenvectors Q and eigenvalues e of the correlations of a length scale, and v = amplitude^2 e + noise^2,
    log N(ys; 0, C) = -sum_i (log v_i + (Q^T ys)_i^2 / v_i) / 2, up to a constant.
    """
    xs, ys = (np.asarray(data[name], np.float64) for name in ("xs", "ys"))
    log_lengths, log_amplitudes, log_noises = (
        np.linspace(-6.5, 6.5, 131), np.linspace(-14.0, 3.0, 171), np.linspace(-17.0, 2.4, 195)
    )  # fmt: skip
    log_weight = np.empty((log_lengths.size, log_amplitudes.size, log_noises.size))
    for i, log_length in enumerate(log_lengths):
        correlations = np.exp(-0.5 * ((xs[:, None] - xs) / np.exp(log_length)) ** 2)
        eigenvalues, vectors = np.linalg.eigh(correlations)
        amplitudes = np.exp(2 * log_amplitudes)[:, None, None] * eigenvalues.clip(0)
        v = amplitudes + np.exp(2 * log_noises)[:, None]
        log_weight[i] = -0.5 * (np.log(v) + (vectors.T @ ys) ** 2 / v).sum(axis=-1) - 0.5 * log_length**2
    # The determinants of the logarithms cancel the density of log-N(0, 1) and stay beside those of the half-normals.
    log_weight += (log_amplitudes - np.exp(2 * log_amplitudes) / 8)[:, None]
    log_weight += log_noises - 0.5 * np.exp(2 * log_noises)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    check_edges(weight, "gaussian_process")
    grids = {"length_scale": log_lengths, "amplitude": log_amplitudes, "noise": log_noises}
    found = {}
    for axis, (name, logs) in enumerate(grids.items()):
        marginal = weight.sum(axis=tuple({0, 1, 2} - {axis}))
        found[name] = mixed(marginal, np.exp(logs), 0 * logs)
    return found


def check_edges(weight: np.ndarray, name: str, limit: float = 1e-7) -> None:
    """Refuses a grid that is too small.

    Raises:
        ValueError: more than `limit` of the mass lies at an edge.
    """
    ends = [np.take(weight, end, axis).sum() for axis in range(weight.ndim) for end in (0, -1)]
    if max(ends) > limit:
        raise ValueError(
            f"quadrature.{name}: {max(ends):.1e} of the mass lies at an edge of the grid (limit {limit:g})."
        )


def mixed(weight: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> dict[str, np.ndarray]:
    """Moments of a mixture of laws with these means and variances, (n, ...) each; the fourth as if they were normal."""
    whole = np.tensordot(weight, mean, 1)
    squares = (mean - whole) ** 2
    sd = np.sqrt(np.tensordot(weight, variance + squares, 1))
    fourth = np.tensordot(weight, 3 * variance**2 + 6 * variance * squares + squares**2, 1)
    spread = np.sqrt(fourth / sd**4 - 1)
    return {"mean": whole, "sd": sd, "mean_error": 1e-6 * sd, "sd_error": 1e-6 * sd, "square_sd": spread}
