"""Log densities and gradients in float32 at values from a millionth of the mean to a million times the mean.

There, a log density is a large number, of which six digits are to be right: a form that is exact near the mean only
loses them. Bounds as in `test_accuracy`; those of derivatives do not grow with derivatives at other values.
"""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from genjax import distributions
from tests.genjax.distributions.test_accuracy import EXACT, SIZES, accuracy, log_gamma

RATIOS = (1e-6, 1e-3, 0.3, 0.6, 0.7, 0.8, 1.2, 1.3, 1.5, 2.2, 4.0, 1e3, 1e6)
SCALES = (1e-6, 2.0, 1e9)
CONCENTRATIONS = (1e-3, 0.5, 3.0, 30.0)


def by_odds(first, second):
    """Shares whose odds are these ratios times `first / second`, as far as float32 can write them."""
    odds = np.array(RATIOS) * first / second
    shares = odds / (1 + odds)
    return shares[(shares > 1e-30) & (shares < 0.9999999)]


def counts(values, highest=np.inf):
    values = np.unique(np.float32(np.round(values)))
    return values[values <= highest]


def far_grid(name):
    """Pairs of values and parameters."""
    match name:
        case "poisson":
            return [(v, (m,)) for m in SIZES for v in counts(m * np.array(RATIOS))]
        case "gamma":
            return [(a / r * t, (a, r)) for a in SIZES for r in (1e-6, 0.7, 1e9) for t in RATIOS]
        case "chi2":
            return [(n * t, (n,)) for n in SIZES for t in RATIOS]
        case "inverse_gamma":
            return [(s / a * t, (a, s)) for a in SIZES for s in (1e-6, 0.7, 1e9) for t in RATIOS]
        case "beta":
            return [(x, (a, b)) for a in SIZES for b in SIZES for x in by_odds(a, b)]
        case "binomial":
            pairs = [(n, p) for n in (12.0, 1e3, 1e5, 1e7, 1e9) for p in (1e-6, 1e-3, 0.3, 0.5, 0.99)]
            return [(v, (n, p)) for n, p in pairs for v in counts(n * by_odds(p, 1 - p), n)]
        case "negative_binomial":
            pairs = [(n, p) for n in SIZES for p in (1e-6, 1e-3, 0.3, 0.5, 0.99)]
            return [(v, (n, p)) for n, p in pairs for v in counts(n * p / (1 - p) * np.array(RATIOS))]
        case "geometric":
            return [(v, (p,)) for p in (1e-6, 1e-3, 0.3, 0.99) for v in counts(np.array(RATIOS) / p)]
        case "beta_binomial":
            sizes = (1e-3, 0.5, 25.0, 1e3, 1e5, 1e9)
            pairs = [(n, a, b) for n in (12.0, 1e3) for a in sizes for b in sizes]
            return [(v, (n, a, b)) for n, a, b in pairs for v in counts(n * by_odds(a, b), n)]
        case "student_t":
            return [(s * t, (n, 0.0, s)) for n in SIZES for s in SCALES for t in RATIOS]
        case "weibull" | "pareto":
            shift = 1.0 if name == "pareto" else 0.0
            return [(s * (t + shift), (k, s)) for k in CONCENTRATIONS for s in SCALES for t in RATIOS]
        case "half_normal" | "half_cauchy" | "exponential":
            return [(t / s if name == "exponential" else t * s, (s,)) for s in SCALES for t in RATIOS]
        case "normal" | "laplace" | "cauchy" | "logistic":
            return [(sign * t * s, (0.0, s)) for s in SCALES for t in RATIOS for sign in (-1, 1)]
        case "log_normal":
            return [(np.exp(s * t), (0.0, s)) for s in (0.5, 3.0) for t in RATIOS if s * t < 80]
        case "gumbel":
            return [(t * s, (0.0, s)) for s in SCALES for t in RATIOS]


#: Those whose values have no mean to be far from: bounded, or of a law of powers.
ELSEWHERE = {"truncated_normal", "von_mises", "zipf"}
FAR = [(name, labels) for name, labels in EXACT if name not in ELSEWHERE]


@pytest.mark.parametrize(("name", "labels"), FAR, ids=[" ".join(names) for names in FAR])
def test_log_density_and_gradient(name, labels):
    errors, gradient_errors = accuracy(name, labels.split(), far_grid(name), is_strict=True)
    assert len(errors) > 10
    for kind in (errors, gradient_errors):
        worst = max(kind, key=lambda e: e[0] if np.isfinite(e[0]) else np.inf)
        assert worst[0] <= 1, f"{name}: {worst}"


SHARES = np.array([0.2, 0.05, 0.5, 0.25], np.float32)
TILTS = {
    "ten deviations": lambda n: 1 + np.array([10.0, -10.0, 10.0, -10.0]) / np.sqrt(n),
    "hundred deviations": lambda n: 1 + np.array([90.0, -90.0, 90.0, -90.0]) / np.sqrt(n),
    "a third": lambda n: np.array([1.3, 0.7, 1.0, 1.2]),
    "one a thousandth": lambda n: np.array([1e-3, 1.0, 1.0, 1.0]),
    "one alone": lambda n: np.array([1e-6, 1e-6, 1e-4, 1.0]),
}


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("size", [30.0, 1e4, 1e7, 1e9])
def test_vectors(size, tilt):
    """Multinomial and Dirichlet, whose shares are taken as they are: their sum is 1 up to rounding, and that counts."""
    tilted = np.maximum(SHARES * TILTS[tilt](size), 1e-7)
    tilted = np.float32(tilted / tilted.sum())
    unit = max(1.0, size * 2.0**-23)
    unit = 2.0 ** np.ceil(np.log2(unit))  # so that float32 holds the counts and their sum
    values = np.float32(np.round(size * tilted / unit) * unit)
    total, concentration = values.sum(), np.float32(size * SHARES + 0.3)
    with mp.workdps(50):
        n, c, p, a, x = (
            [mp.mpf(float(v)) for v in np.atleast_1d(array)] for array in (total, values, SHARES, concentration, tilted)
        )
        multinomial = log_gamma(n[0] + 1) + sum(k * mp.log(q) - log_gamma(k + 1) for k, q in zip(c, p, strict=True))
        dirichlet = log_gamma(sum(a)) + sum((b - 1) * mp.log(q) - log_gamma(b) for b, q in zip(a, x, strict=True))
        slopes = [float(mp.log(q) - mp.digamma(b) + mp.digamma(sum(a))) for b, q in zip(a, x, strict=True)]
    assert np.float64(values).sum() == total
    got = distributions.multinomial.logpdf(values, total, probs=SHARES)
    np.testing.assert_allclose(got, float(multinomial), rtol=1e-5, atol=1e-4)
    by_probs = jax.grad(lambda p: distributions.multinomial.logpdf(values, total, probs=p))(jnp.asarray(SHARES))
    np.testing.assert_allclose(by_probs, np.float64(values) / SHARES, rtol=2e-5, atol=1e-5 * size)
    got, by_concentration = jax.value_and_grad(lambda a: distributions.dirichlet.logpdf(tilted, a))(concentration)
    np.testing.assert_allclose(got, float(dirichlet), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(by_concentration, slopes, rtol=2e-5, atol=1e-4 / size + 1e-6)
