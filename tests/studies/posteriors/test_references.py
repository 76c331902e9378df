"""Stored references: whole, accepted, of today's data; and the routes against answers that are known."""

import numpy as np
import pytest
from scipy import stats

from studies.posteriors.problem import make_problem
from studies.posteriors.reference import FOLDER, load_reference
from studies.posteriors.references import densities, importance, quadrature
from studies.posteriors.targets import TARGETS, starts

SETTINGS = {"n_chains": 4, "n_samples": 10, "n_warmup": 10, "target_acceptance": 0.8, "n_leapfrog": 8}


def test_every_posterior_has_its_reference_and_no_other():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(TARGETS)


@pytest.mark.parametrize("posterior", TARGETS)
def test_reference_is_whole_and_was_accepted(posterior):
    reference, target = load_reference(posterior), TARGETS[posterior]()
    assert reference.moments.keys() == target.unknowns.keys()
    for name, (shape, support) in target.unknowns.items():
        moments = reference.moments[name]
        assert moments.mean.shape == moments.sd.shape == moments.mean_error.shape == shape
        assert (moments.sd > 0).all() and (moments.mean > 0).all() >= (support in ("positive", "unit"))
        assert support != "ordered" or (np.diff(moments.mean) > 0).all()
        # Small beside the standard errors of the chains that are judged.
        assert (moments.mean_error < 0.01 * moments.sd).all() and (moments.sd_error < 0.01 * moments.sd).all()
    against = reference.acceptance["against"]
    assert against["r_hat"] < 1.01 and against["effective_sample_size"] > 1000
    assert max(against["mean_in_standard_errors"], against["sd_in_standard_errors"]) < 5
    assert {"numpy", "scipy"} <= reference.acceptance["versions"].keys()


@pytest.mark.parametrize("posterior", TARGETS)
def test_chains_begin_apart_and_in_the_support(posterior):
    data, target = make_problem({"posterior": posterior, **SETTINGS}).data, TARGETS[posterior]()
    for name, (shape, support) in target.unknowns.items():
        begin = data[f"start_{name}"]
        assert begin.shape == (4, *shape) and begin.dtype == np.float32
        assert len(np.unique(begin.reshape(4, -1), axis=0)) == 4
        assert support not in ("positive", "unit") or (begin > 0).all()
        assert support != "unit" or (begin < 1).all()
        assert support != "ordered" or (np.diff(begin, axis=-1) > 0).all()
    again = starts(target, 4, 7)
    assert all((data[f"start_{name}"] == values).all() for name, values in again.items())


def test_a_reference_of_other_data_is_refused(monkeypatch):
    load_reference.cache_clear()
    monkeypatch.setitem(TARGETS, "logistic", TARGETS["eight_schools_noncentred"])
    with pytest.raises(ValueError, match="belongs to other data"):
        load_reference("logistic")
    load_reference.cache_clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posterior": "logstic"}, "Allowed: "),
        ({"n_chains": 0}, "n_chains=0"),
        ({"n_warmup": 1.5}, "n_warmup=1.5"),
        ({"target_acceptance": 1}, "target_acceptance=1"),
        ({"target_acceptance": "high"}, "target_acceptance='high'"),
    ],
)
def test_parameters_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make_problem({"posterior": "logistic", **SETTINGS, **change})


def test_quadrature_of_the_schools_against_brute_force():
    """mu and log tau on a plane grid, schools integrated out by their own normal densities."""
    data = TARGETS["eight_schools_noncentred"]().data
    mu, log_tau = np.meshgrid(np.linspace(-20, 30, 401), np.linspace(-8, 6, 401), indexing="ij")
    spread = np.sqrt(np.float64(data["errors"]) ** 2 + np.exp(2 * log_tau)[..., None])
    log_density = stats.norm.logpdf(np.float64(data["effects"]), mu[..., None], spread).sum(-1)
    log_density += stats.norm.logpdf(mu, 0, 5) + stats.cauchy.logpdf(np.exp(log_tau), 0, 5) + log_tau
    weight = np.exp(log_density - log_density.max())
    weight /= weight.sum()
    found = quadrature.eight_schools(data, centred=False)
    for name, values in (("mu", mu), ("tau", np.exp(log_tau))):
        mean = (weight * values).sum()
        sd = np.sqrt((weight * (values - mean) ** 2).sum())
        assert found[name]["mean"] == pytest.approx(mean, rel=3e-3)
        assert found[name]["sd"] == pytest.approx(sd, rel=5e-3)
    centred = quadrature.eight_schools(data, centred=True)
    assert all(centred[name]["mean"] == found[name]["mean"] for name in ("mu", "tau"))
    # Each theta given mu and tau by its own sum over an even grid of theta, at one point in 400 of the plane.
    theta = np.linspace(-40, 60, 501)
    coarse = (slice(None, None, 20), slice(None, None, 20))
    mus, taus, weights = mu[coarse].ravel(), np.exp(log_tau[coarse]).ravel(), weight[coarse].ravel()
    kept = weights > 1e-9 * weights.max()
    mus, taus, weights = mus[kept], taus[kept], weights[kept] / weights[kept].sum()
    for school in (0, 6):
        log_law = stats.norm.logpdf(theta, mus[:, None], np.maximum(taus, 0.2)[:, None])
        log_law += stats.norm.logpdf(np.float64(data["effects"][school]), theta, np.float64(data["errors"][school]))
        law = np.exp(log_law - log_law.max(axis=1, keepdims=True))
        law /= law.sum(axis=1, keepdims=True)
        mean = weights @ (law @ theta)
        assert centred["theta"]["mean"][school] == pytest.approx(mean, rel=2e-2)
        assert centred["theta"]["sd"][school] == pytest.approx(np.sqrt(weights @ (law @ (theta - mean) ** 2)), rel=2e-2)


def test_quadrature_of_the_gaussian_process_against_brute_force():
    """A grid of a few points about the mode, each covariance factored by SciPy."""
    data = TARGETS["gaussian_process"]().data
    xs, ys = np.float64(data["xs"]), np.float64(data["ys"])
    found = quadrature.gaussian_process(data)
    names = ("length_scale", "amplitude", "noise")
    # The logarithms, five of their standard deviations to each side.
    axes = [
        np.log(found[name]["mean"]) + found[name]["sd"] / found[name]["mean"] * np.linspace(-5, 5, 17) for name in names
    ]
    logs = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    log_weight = np.empty(len(logs))
    for i, (length_scale, amplitude, noise) in enumerate(np.exp(logs)):
        covariance = amplitude**2 * np.exp(-((xs[:, None] - xs) ** 2) / (2 * length_scale**2)) + noise**2 * np.eye(25)
        log_weight[i] = stats.multivariate_normal.logpdf(ys, cov=covariance) + stats.halfnorm.logpdf(noise)
        log_weight[i] += stats.halfnorm.logpdf(amplitude, scale=2) + stats.lognorm.logpdf(length_scale, 1)
    log_weight += logs.sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    for column, name in enumerate(names):
        values = np.exp(logs[:, column])
        mean = (weight * values).sum()
        assert found[name]["mean"] == pytest.approx(mean, rel=5e-3)
        assert found[name]["sd"] == pytest.approx(np.sqrt((weight * (values - mean) ** 2).sum()), rel=1e-2)


def test_importance_sampling_finds_the_moments_of_a_gaussian():
    """Six standard errors on 4 means and 4 sds: a false alarm in 10^8 seeds, and the seed is fixed."""
    sd = np.array([1.0, 0.5, 2.0, 1.0])
    mean = np.array([1.0, -1.0, 0.0, 3.0])
    log_density = lambda x: -0.5 * (((x - mean) / sd) ** 2).sum(axis=1)
    found, record = importance.moments_by_importance(log_density, lambda x: {"x": x}, 4, 40_000, 1)
    assert (np.abs(found["x"]["mean"] - mean) < 6 * found["x"]["mean_error"]).all()
    assert (np.abs(found["x"]["sd"] - sd) < 6 * found["x"]["sd_error"]).all()
    assert record["effective_sample_size"] > 0.5 * 40_000


def steps_of(vectors):
    """The coordinates of vectors in order: the first number, and the logarithms of steps."""
    return np.concatenate([vectors[..., :1], np.log(np.diff(vectors, axis=-1))], axis=-1)


def test_the_ordinal_density_is_that_of_its_distributions():
    """Up to a constant, at 20 points: probabilities of categories as differences of the logistic's, with SciPy."""
    data = TARGETS["ordinal"]().data
    density = densities.ordinal(data)
    points = np.random.default_rng(1).uniform(-1, 1, (20, density.n))
    unknowns = density.constrain(points)
    coordinates = steps_of(unknowns["cutpoints"])
    assert coordinates == pytest.approx(points[:, 5:])
    expected = stats.norm.logpdf(points).sum(axis=1)
    for i in range(20):
        ends = np.concatenate([[-np.inf], unknowns["cutpoints"][i], [np.inf]])
        predictors = data["features"].astype(np.float64) @ unknowns["weights"][i]
        below, above = (stats.logistic.cdf(ends[data["ratings"] + k] - predictors) for k in (0, 1))
        expected[i] += np.log(above - below).sum()
    assert np.ptp(density.log_density(points) - expected) < 1e-8


def test_the_mixture_density_is_that_of_its_distributions():
    """Up to a constant, at 20 points, the determinants by the densities of the coordinates themselves."""
    data = TARGETS["mixture"]().data
    density = densities.mixture(data)
    points = np.random.default_rng(1).uniform(-1, 1, (20, density.n))
    unknowns = density.constrain(points)
    weight, locations, scales = unknowns["weight"], unknowns["locations"], unknowns["scales"]
    coordinates = steps_of(locations)
    expected = stats.beta.logpdf(weight, 2, 2) + np.log(weight * (1 - weight))
    expected += stats.norm.logpdf(coordinates).sum(axis=1)
    expected += (stats.halfnorm.logpdf(scales, scale=2) + np.log(scales)).sum(axis=1)
    ys = data["ys"].astype(np.float64)
    for i in range(20):
        first, second = (stats.norm.pdf(ys, locations[i, k], scales[i, k]) for k in (0, 1))
        expected[i] += np.log(weight[i] * first + (1 - weight[i]) * second).sum()
    assert np.ptp(density.log_density(points) - expected) < 1e-8


def test_a_grid_that_is_too_small_is_refused():
    weight = np.full((3, 3), 1 / 9)
    with pytest.raises(ValueError, match="quadrature.poisson: .* at an edge of the grid"):
        quadrature.check_edges(weight, "poisson")
