"""Log densities and gradients in float32 against 50 digits, over parameters from 1e-6 to 1e9.

Bounds: a log density is right to 1e-5 of its size or to 1e-4; a derivative to 2e-5 of its size, or to 1e-4 over the
parameter (a relative change of the parameter by one part in a thousand changes the log density by 1e-7 less or more).
Where a parameter is a logarithm or logits, a derivative by it is right to 1e-4, and all are right to 1e-5 of their
largest size on the grid: they are of a count minus its mean, an exponential. Those of cut normals are right to 5e-5, or
to 3e-4 / scale.
"""

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from genjax import distributions

SIZES = [1e-6, 1e-3, 0.5, 3.0, 10.0, 25.0, 1e3, 1e5, 1e7, 1e9]
LARGE_ENOUGH = [s for s in SIZES if s >= 0.5]
Z = (-4.0, -1.0, 0.0, 0.5, 3.0)


def log_gamma(x):
    return mp.loggamma(x)


def log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def log_choose(n, k):
    return log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1)


def gamma_density(x, a, r):
    return a * mp.log(r) - log_gamma(a) + (a - 1) * mp.log(x) - r * x


EXACT = {
    ("poisson", "rate"): lambda k, m: k * mp.log(m) - m - log_gamma(k + 1),
    ("gamma", "concentration rate"): gamma_density,
    ("chi2", "df"): lambda x, n: gamma_density(x, n / 2, mp.mpf(0.5)),
    ("inverse_gamma", "concentration scale"): lambda x, a, s: (
        a * mp.log(s) - log_gamma(a) - (a + 1) * mp.log(x) - s / x
    ),
    ("beta", "concentration1 concentration0"): lambda x, a, b: (
        (a - 1) * mp.log(x) + (b - 1) * mp.log(1 - x) - log_beta(a, b)
    ),
    ("binomial", "total_count probs"): lambda k, n, p: log_choose(n, k) + k * mp.log(p) + (n - k) * mp.log(1 - p),
    ("negative_binomial", "total_count probs"): lambda k, n, p: (
        log_gamma(n + k) - log_gamma(n) - log_gamma(k + 1) + n * mp.log(1 - p) + k * mp.log(p)
    ),
    ("poisson", "log_rate"): lambda k, m: k * m - mp.exp(m) - log_gamma(k + 1),
    ("gamma", "concentration log_rate"): lambda x, a, r: gamma_density(x, a, mp.exp(r)),
    ("binomial", "total_count logits"): lambda k, n, z: (
        log_choose(n, k) - k * mp.log(1 + mp.exp(-z)) - (n - k) * mp.log(1 + mp.exp(z))
    ),
    ("negative_binomial", "total_count logits"): lambda k, n, z: (
        log_choose(n + k - 1, k) - k * mp.log(1 + mp.exp(-z)) - n * mp.log(1 + mp.exp(z))
    ),
    ("geometric", "logits"): lambda k, z: -k * mp.log(1 + mp.exp(z)) - mp.log(1 + mp.exp(-z)),
    ("geometric", "probs"): lambda k, p: k * mp.log(1 - p) + mp.log(p),
    ("student_t", "df loc scale"): lambda x, n, m, s: (
        -(n + 1) / 2 * mp.log(1 + ((x - m) / s) ** 2 / n) - mp.log(s) - mp.log(n) / 2 - log_beta(mp.mpf(0.5), n / 2)
    ),
    ("weibull", "concentration scale"): lambda x, k, s: (
        mp.log(k / s) + (k - 1) * mp.log(x / s) - mp.exp(k * mp.log(x / s))
    ),
    ("normal", "loc scale"): lambda x, m, s: -(((x - m) / s) ** 2) / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2,
    ("laplace", "loc scale"): lambda x, m, s: -abs(x - m) / s - mp.log(2 * s),
    ("cauchy", "loc scale"): lambda x, m, s: -mp.log(1 + ((x - m) / s) ** 2) - mp.log(mp.pi * s),
    ("half_normal", "scale"): lambda x, s: -((x / s) ** 2) / 2 - mp.log(s) + mp.log(2 / mp.pi) / 2,
    ("exponential", "rate"): lambda x, r: mp.log(r) - r * x,
    ("log_normal", "loc scale"): lambda x, m, s: (
        -(((mp.log(x) - m) / s) ** 2) / 2 - mp.log(s) - mp.log(2 * mp.pi) / 2 - mp.log(x)
    ),
    ("half_cauchy", "scale"): lambda x, s: mp.log(2 / (mp.pi * s)) - mp.log(1 + (x / s) ** 2),
    ("pareto", "concentration scale"): lambda x, a, s: mp.log(a) + a * mp.log(s) - (a + 1) * mp.log(x),
    ("logistic", "loc scale"): lambda x, m, s: -(x - m) / s - 2 * mp.log(1 + mp.exp(-(x - m) / s)) - mp.log(s),
    ("gumbel", "loc scale"): lambda x, m, s: -(x - m) / s - mp.exp(-(x - m) / s) - mp.log(s),
    ("zipf", "power"): lambda k, s: -s * mp.log(k) - mp.log(mp.zeta(s)),
    ("von_mises", "loc concentration"): lambda x, m, k: (
        k * mp.cos(x - m) - mp.log(2 * mp.pi) - mp.log(mp.besseli(0, k))
    ),
    ("truncated_normal", "loc scale low high"): lambda x, m, s, a, b: (
        -(((x - m) / s) ** 2) / 2
        - mp.log(s)
        - mp.log(mp.sqrt(mp.pi / 2))
        - mp.log(mp.erfc((a - m) / s / mp.sqrt(2)) - mp.erfc((b - m) / s / mp.sqrt(2)))
    ),
    ("beta_binomial", "total_count concentration1 concentration0"): lambda k, n, a, b: (
        log_choose(n, k) + log_beta(a + k, b + n - k) - log_beta(a, b)
    ),
}


def around(mean, deviation, low=0.0, high=np.inf, whole=False):
    """Values at some standard deviations from the mean, inside of the support."""
    values = mean + np.array(Z) * deviation
    values = np.round(values) if whole else values
    values = values[(values >= low if whole else values > low) & (values <= high if whole else values < high)]
    return values if len(values) else np.array([max(round(mean), low)] if whole else [mean])


def grid(name):
    """Pairs of values and parameters."""
    match name:
        case "poisson":
            return [(v, (m,)) for m in SIZES for v in around(m, m**0.5, whole=True)]
        case "gamma":
            return [(v, (a, r)) for a in SIZES for r in (1e-6, 0.7, 1e5, 1e9) for v in around(a / r, a**0.5 / r, 1e-30)]
        case "chi2":
            return [(v, (n,)) for n in SIZES for v in around(n, (2 * n) ** 0.5, 1e-30)]
        case "inverse_gamma":
            return [(s / v, (a, s)) for a in SIZES for s in (1e-6, 0.7, 1e5, 1e9) for v in around(a, a**0.5, 1e-20)]
        case "beta":
            pairs = [(a, b) for a in SIZES for b in SIZES]
            moments = [(a / (a + b), (a * b / (a + b + 1)) ** 0.5 / (a + b)) for a, b in pairs]
            return [(v, pair) for pair, m in zip(pairs, moments, strict=True) for v in around(*m, 1e-30, 0.9999999)]
        case "binomial":
            pairs = [(n, p) for n in (1.0, 12.0, 1e3, 1e5, 1e7, 1e9) for p in (1e-6, 1e-3, 0.3, 0.5, 0.99)]
            return [(v, (n, p)) for n, p in pairs for v in around(n * p, (n * p * (1 - p)) ** 0.5, 0, n, True)]
        case "negative_binomial":
            pairs = [(n, p) for n in SIZES for p in (1e-6, 1e-3, 0.3, 0.5, 0.99)]
            moments = [(n * p / (1 - p), (n * p) ** 0.5 / (1 - p)) for n, p in pairs]
            return [(v, pair) for pair, m in zip(pairs, moments, strict=True) for v in around(*m, whole=True)]
        case "geometric":
            return [(v, (p,)) for p in (1e-6, 1e-3, 0.3, 0.99) for v in around(1 / p, 1 / p, whole=True)]
        case "student_t":
            return [(0.3 + z * s, (n, 0.3, s)) for n in SIZES for s in (1e-6, 2.0, 1e9) for z in (*Z, 1e4)]
        case "weibull":
            return [
                (s * np.exp(z / max(k, 0.1)), (k, s))
                for k in (1e-3, 0.3, 1.0, 30.0, 1e4, 1e6)
                for s in (1e-6, 2.0, 1e9)
                for z in (-3.0, -0.3, 0.0, 1.0)
            ]
        case "zipf":
            return [(v, (s,)) for s in (1.001, 1.5, 3.0, 30.0) for v in (1.0, 2.0, 7.0, 1e4, 1e9)]
        case "pareto":
            return [
                (s * (1 + z / a), (a, s))
                for a in (1e-3, 0.5, 3.0, 1e6)
                for s in (1e-6, 2.0, 1e9)
                for z in (0.1, 1.0, 5.0)
            ]
        case "gumbel":
            return [(m + z * s, (m, s)) for m in (0.0, 3.0) for s in (1e-6, 2.0, 1e9) for z in Z]
        case "von_mises":
            scales = [(k, min(3.0, max(k, 0.01) ** -0.5)) for k in (1e-6, 1e-3, 0.5, 3.0, 25.0, 1e3, 1e6)]
            return [(0.3 + z * scale / 4, (0.3, k)) for k, scale in scales for z in Z]
        case "truncated_normal":
            bounds = [(-1.0, 2.0), (-30.0, 5.0), (5.0, 9.0), (-8.0, -7.5), (20.0, 25.0), (0.5, 0.501)]
            return [
                (1.0 + s * (a + u * (b - a)), (1.0, s, 1.0 + s * a, 1.0 + s * b))
                for s in (1e-3, 1.0, 1e6)
                for a, b in bounds
                for u in (0.25, 0.5, 0.75)
            ]
        case "beta_binomial":
            sizes = (1e-6, 1e-3, 0.5, 3.0, 25.0, 1e3, 1e9)
            return [
                (v, (n, a, b)) for n in (1.0, 12.0, 1e3) for a in sizes for b in sizes for v in (0.0, round(n / 3), n)
            ]
        case "half_normal" | "exponential" | "half_cauchy":
            scales = (1e-20, 1e-6, 0.7, 1e9, 1e20)
            return [(x * (1 / s if name == "exponential" else s), (s,)) for s in scales for x in (0.01, 1.0, 5.0)]
        case "log_normal":
            return [(np.exp(m + z * s), (m, s)) for m in (-30.0, 0.0, 10.0) for s in (0.5, 3.0) for z in Z]
        case _:
            return [(m + z * s, (m, s)) for m in (0.0, 3.0) for s in (1e-20, 1e-6, 2.0, 1e9, 1e20) for z in Z]


def with_logarithms(pairs, labels):
    """The pairs of a grid, with the logarithm of the rate, or the logit of the probability, in its place."""
    change = {"log_rate": np.log, "logits": lambda p: np.log(p / (1 - p))}.get(labels[-1], lambda p: p)
    return [(value, (*point[:-1], change(point[-1]))) for value, point in pairs]


def exact_with_gradient(function, value, parameters):
    value, parameters = mp.mpf(float(value)), [mp.mpf(float(p)) for p in parameters]

    def derivative(i):
        step = mp.mpf(1e-30) * (abs(parameters[i]) or 1)
        shifted = lambda p: function(value, *parameters[:i], p, *parameters[i + 1 :])
        return mp.diff(shifted, parameters[i], h=step)

    return function(value, *parameters), [derivative(i) for i in range(len(parameters))]


def accuracy(name, labels, pairs, is_strict=False):
    """Errors over their bounds, of log densities and of derivatives by parameter, at pairs of values and parameters.

    Where it is strict, bounds do not grow with derivatives at other values.
    """
    points = [(np.float32(v), np.float32(p)) for v, p in with_logarithms(pairs, labels)]
    values = jnp.asarray([v for v, _ in points])
    parameters = [jnp.asarray([p[i] for _, p in points]) for i in range(len(labels))]
    logpdf = getattr(distributions, name).logpdf
    one = lambda v, *p: logpdf(v, **dict(zip(labels, p, strict=True)))
    with_gradient = jax.jit(jax.vmap(jax.value_and_grad(one, tuple(range(1, 1 + len(labels))))))
    got, got_gradient = with_gradient(values, *parameters)
    errors, gradient_errors = [], []
    with mp.workdps(50):
        exact = [exact_with_gradient(EXACT[(name, " ".join(labels))], *point) for point in points]
        sizes: dict = {}  # the largest derivatives at the same parameters
        for (_, point), (_, gradient) in zip(points, exact, strict=True):
            before = sizes.get(tuple(point), np.zeros(len(labels)))
            sizes[tuple(point)] = np.maximum(before, np.abs(np.array(gradient, float)))
        for i, ((value, point), (want, want_gradient)) in enumerate(zip(points, exact, strict=True)):
            want = float(want)
            if abs(want) > 1e37 or not np.isfinite(want):
                continue
            errors.append((abs(float(got[i]) - want) / max(1e-5 * abs(want), 1e-4), value, point, got[i], want))
            for j, derivative in enumerate(want_gradient):
                derivative = float(derivative)
                is_kink = name == "laplace" and labels[j] == "loc" and value == point[j]
                is_count = (name, labels[j]) == ("beta_binomial", "total_count")
                if abs(derivative) > 1e37 or is_kink or is_count:
                    continue
                bound = max(2e-5 * abs(derivative), 1e-4 / max(abs(float(point[j])), 1e-30))
                if labels[-1] in ("log_rate", "logits") and not is_strict:
                    bound = max(bound, 1e-5 * sizes[tuple(point)][j])
                if labels[-1] == "high":
                    bound = max(bound, 3e-4 / float(point[1]), 5e-5 * abs(derivative))
                if labels[j] in ("log_rate", "logits"):
                    bound = max(bound, 1e-4)
                error = abs(float(got_gradient[j][i]) - derivative) / bound
                gradient_errors.append((error, value, point, got_gradient[j][i], derivative, labels[j]))
    return errors, gradient_errors


@pytest.mark.parametrize(("name", "labels"), EXACT, ids=[" ".join(names) for names in EXACT])
def test_log_density_and_gradient(name, labels):
    errors, gradient_errors = accuracy(name, labels.split(), grid(name))
    for kind in (errors, gradient_errors):
        worst = max(kind, key=lambda e: e[0] if np.isfinite(e[0]) else np.inf)
        assert worst[0] <= 1, f"{name}: {worst}"


# Multinomial and Dirichlet densities take their probabilities as they are, whose sum is 1 up to rounding.


@pytest.mark.parametrize("size", [1.0, 7.0, 30.0, 1e3, 1e5, 1e7])
def test_vectors(size):
    share = np.array([0.2, 0.05, 0.5, 0.25], np.float32)
    counts = np.round(size * share + np.array([0.5, -0.5, 1.0, -1.0]) * np.sqrt(size * share * (1 - share))).clip(0)
    total, concentration = np.float32(counts.sum()), np.float32(size * share + 0.3)
    with mp.workdps(50):
        n, c, p, a = (
            [mp.mpf(float(v)) for v in np.atleast_1d(array)] for array in (total, counts, share, concentration)
        )
        multinomial = log_gamma(n[0] + 1) + sum(k * mp.log(q) - log_gamma(k + 1) for k, q in zip(c, p, strict=True))
        dirichlet = log_gamma(sum(a)) + sum((b - 1) * mp.log(q) - log_gamma(b) for b, q in zip(a, p, strict=True))
    for got, want in (
        (distributions.multinomial.logpdf(np.float32(counts), total, probs=share), float(multinomial)),
        (distributions.dirichlet.logpdf(share, concentration), float(dirichlet)),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "value", "parameters", "want"),
    [
        ("poisson", 1e6, (1e6,), -7.826694),
        ("gamma", 1.0, (1e7, 1e7), 7.140109),
        ("binomial", 5e6, (1e7, None, 0.5), -8.284839),
        ("binomial", 5e6, (1e7, 0.0), -8.284839),
        ("beta", 0.5, (1e6, 1e6), 7.028537),
        ("binomial", 2.0**39, (2.0**40, None, 0.5), -14.088735),  # by mpmath; SciPy's terms cancel to -14.0878
        ("normal", 0.0, (0.0, 1e-20), 45.132763),
        ("poisson", 20.0, (1e-9,), -456.800933),  # a mean far below the count, which rounding must not lose
        ("poisson", 20.0, (1e-12,), -594.956039),
        ("gamma", 0.2, (1e9, 1e-6), -3.5148214e10),
    ],
)
def test_large_parameters(name, value, parameters, want):
    np.testing.assert_allclose(getattr(distributions, name).logpdf(value, *parameters), want, rtol=1e-6)


def test_multinomial_of_logits_keeps_its_digits_and_takes_impossible_categories():
    """The logarithm of probabilities that are not written without rounding, and of one that is 0, with its gradient."""
    logits, total = np.array([0.3, -1.7, 1.1, -np.inf], np.float32), 1e7
    shares = np.exp(np.float64(logits)) / np.exp(np.float64(logits)).sum()
    counts = np.round(total * shares + np.array([2.0, -1.0, -1.0, 0.0]) * np.sqrt(total * shares))
    counts[0] += total - counts.sum()
    with mp.workdps(50):
        weights = [mp.exp(mp.mpf(float(z))) for z in logits[:3]]
        terms = [k * mp.log(w / sum(weights)) - log_gamma(k + 1) for k, w in zip(counts, weights, strict=False)]
        want = float(log_gamma(mp.mpf(total) + 1) + sum(terms))
    density = jax.jit(jax.value_and_grad(lambda z: distributions.multinomial.logpdf(np.float32(counts), total, z)))
    got, gradient = density(logits)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(gradient, counts - total * shares, atol=3.0)
