"""The posteriors: their data, and the names, shapes and supports of their unknowns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
EFFECT_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
"""Rubin, *Estimation in parallel randomized experiments* (1981)."""

N_ROWS, N_FEATURES = 1000, 24
"""The shape of the numeric German credit data of the UCI repository. The numbers are drawn here."""

N_GROUPS = 20
"""Of the counts."""

N_RATED, N_RATED_FEATURES, N_RATINGS = 400, 5, 5
"""Rows and features of the ratings, and how many different ratings there are."""

N_MIXED = 300
"""Points of the mixture."""

N_PLACES = 25
"""Points of the curve whose prior is a Gaussian process."""

N_DAYS = 500
"""Returns of the stochastic volatility model."""


@dataclass(frozen=True)
class Target:
    """One posterior.

    Args:
        data: what every system gets, by name.
        unknowns: shape and support of every unknown: "real", "positive", "unit" (0 < x < 1), or "ordered" (a vector,
            x_1 < x_2 < ...).
    """

    data: dict[str, np.ndarray]
    unknowns: Mapping[str, tuple[tuple[int, ...], str]]


def eight_schools_noncentred() -> Target:
    """mu ~ N(0, 5), tau ~ half-Cauchy(5), z_j ~ N(0, 1), effect_j ~ N(mu + tau z_j, error_j)."""
    unknowns = {"mu": ((), "real"), "tau": ((), "positive"), "z": ((8,), "real")}
    data = {"effects": np.array(EFFECTS, np.float32), "errors": np.array(EFFECT_ERRORS, np.float32)}
    return Target(data, unknowns)


def eight_schools_centred() -> Target:
    """The same posterior of mu and tau with theta_j ~ N(mu, tau) as unknowns: a funnel where tau is small."""
    unknowns = {"mu": ((), "real"), "tau": ((), "positive"), "theta": ((8,), "real")}
    return Target(eight_schools_noncentred().data, unknowns)


def logistic() -> Target:
    """weights ~ N(0, 1), label_i ~ Bernoulli(logits = features_i . weights): 1,000 rows, an intercept and 24 features.

    As in the credit data, some features are numbers, others take few values, and they are correlated; all are
    standardised. Three labels in ten are 1.
    """
    generator = np.random.default_rng(24)
    common = generator.standard_normal((N_ROWS, 3)) @ generator.standard_normal((3, N_FEATURES))
    columns = 0.5 * common + generator.standard_normal((N_ROWS, N_FEATURES))
    columns[:, 8:16] = np.round(columns[:, 8:16])
    columns[:, 16:] = columns[:, 16:] > 0.8
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    features = np.concatenate([np.ones((N_ROWS, 1)), columns], axis=1).astype(np.float32)
    weights = np.concatenate([[-1.2], 0.4 * generator.standard_normal(N_FEATURES)])
    labels = generator.random(N_ROWS) < 1 / (1 + np.exp(-features @ weights))
    return Target({"features": features, "labels": labels.astype(np.int32)}, {"weights": ((N_FEATURES + 1,), "real")})


def poisson() -> Target:
    """mu ~ N(0, 1), sigma ~ half-N(1), z_g ~ N(0, 1), count_g ~ Poisson(exposure_g exp(mu + sigma z_g)): 20 groups."""
    generator = np.random.default_rng(20)
    exposures = np.exp(generator.uniform(0.0, 2.5, N_GROUPS)).astype(np.float32)
    rates = exposures * np.exp(0.3 + 0.6 * generator.standard_normal(N_GROUPS))
    unknowns = {"mu": ((), "real"), "sigma": ((), "positive"), "z": ((N_GROUPS,), "real")}
    return Target({"exposures": exposures, "counts": generator.poisson(rates).astype(np.int32)}, unknowns)


def ordinal() -> Target:
    """Ordered logistic regression: rating_i = k where features_i . weights + logistic noise is between c_k and c_(k+1).

    weights ~ N(0, 1); of the four cutpoints, c_1 ~ N(0, 1) and log(c_(k+1) - c_k) ~ N(0, 1).
    """
    generator = np.random.default_rng(5)
    features = np.round(generator.standard_normal((N_RATED, N_RATED_FEATURES)), 3).astype(np.float32)
    weights = np.array([1.2, -0.8, 0.5, 0.0, 0.3])
    uniforms = generator.random(N_RATED)
    latent = (features * weights).sum(axis=1) + np.log(uniforms) - np.log1p(-uniforms)
    ratings = np.searchsorted([-1.8, -0.6, 0.4, 2.0], latent).astype(np.int32)
    unknowns = {"weights": ((N_RATED_FEATURES,), "real"), "cutpoints": ((N_RATINGS - 1,), "ordered")}
    return Target({"features": features, "ratings": ratings}, unknowns)


def mixture() -> Target:
    """ys_i ~ weight N(m_1, s_1) + (1 - weight) N(m_2, s_2), the component summed out: 300 points of two that overlap.

    weight ~ Beta(2, 2); scales ~ half-N(2). Locations in order tell the components apart: m_1 ~ N(0, 1),
    log(m_2 - m_1) ~ N(0, 1).
    """
    generator = np.random.default_rng(2)
    is_first = generator.random(N_MIXED) < 0.4
    normals = generator.standard_normal(N_MIXED)
    ys = np.where(is_first, -1.0 + 0.6 * normals, 1.5 + 1.0 * normals)
    unknowns = {"weight": ((), "unit"), "locations": ((2,), "ordered"), "scales": ((2,), "positive")}
    return Target({"ys": np.round(ys, 3).astype(np.float32)}, unknowns)


def gaussian_process() -> Target:
    """ys ~ N(0, amplitude^2 exp(-(x_i - x_j)^2 / (2 length_scale^2)) + noise^2 I), the curve summed out: 25 points.

    length_scale ~ log-N(0, 1), amplitude ~ half-N(2), noise ~ half-N(1).
    """
    generator = np.random.default_rng(25)
    xs = np.round(np.linspace(-3.0, 3.0, N_PLACES), 3).astype(np.float32)
    ys = np.sin(1.5 * xs) + 0.3 * generator.standard_normal(N_PLACES)
    unknowns = dict.fromkeys(("length_scale", "amplitude", "noise"), ((), "positive"))
    return Target({"xs": xs, "ys": np.round(ys, 3).astype(np.float32)}, unknowns)


def stochastic_volatility() -> Target:
    """ys_t ~ N(0, exp(h_t / 2)), h_t - mu = phi (h_(t-1) - mu) + sigma z_t, z_t ~ N(0, 1): 500 returns.

    The first h has the stationary distribution, h_1 - mu = sigma z_1 / sqrt(1 - phi^2). mu ~ N(0, 1),
    sigma ~ half-N(1), phi = 2 persistence - 1, persistence ~ Beta(20, 1.5).
    Source: Kim, Shephard and Chib, *Stochastic volatility* (1998), section 2.2, for phi and its prior.
    """
    generator = np.random.default_rng(500)
    phi, sigma, mu = 0.95, 0.3, -0.5
    shocks = sigma * generator.standard_normal(N_DAYS)
    shocks[0] /= np.sqrt(1 - phi**2)
    log_variance, ys = 0.0, np.empty(N_DAYS)
    for day, noise in enumerate(generator.standard_normal(N_DAYS)):
        log_variance = phi * log_variance + shocks[day]
        ys[day] = np.exp((mu + log_variance) / 2) * noise
    unknowns = {
        "mu": ((), "real"), "sigma": ((), "positive"), "persistence": ((), "unit"), "z": ((N_DAYS,), "real"),
    }  # fmt: skip
    return Target({"ys": np.round(ys, 3).astype(np.float32)}, unknowns)


TARGETS: dict[str, Callable[[], Target]] = {
    "eight_schools_noncentred": eight_schools_noncentred,
    "eight_schools_centred": eight_schools_centred,
    "logistic": logistic,
    "poisson": poisson,
    "ordinal": ordinal,
    "mixture": mixture,
    "gaussian_process": gaussian_process,
    "stochastic_volatility": stochastic_volatility,
}


def starts(target: Target, n_chains: int, seed: int) -> dict[str, np.ndarray]:
    """Where chains begin: by unknown, (n_chains, ...) float32, uniform on [-1, 1] in unconstrained coordinates."""
    generator = np.random.default_rng(seed)
    found: dict[str, np.ndarray] = {}
    for name, (shape, support) in target.unknowns.items():
        values = generator.uniform(-1, 1, (n_chains, *shape))
        found[name] = INVERSES[support](values).astype(np.float32)
    return found


def ascending(x: np.ndarray) -> np.ndarray:
    """x_1, then steps of exp(x_k) upwards, along the last axis."""
    return np.cumsum(np.concatenate([x[..., :1], np.exp(x[..., 1:])], axis=-1), axis=-1)


INVERSES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "real": lambda x: x,
    "positive": np.exp,
    "unit": lambda x: 1 / (1 + np.exp(-x)),
    "ordered": ascending,
}
"""From a real number to each support; how systems get there is their own matter."""
