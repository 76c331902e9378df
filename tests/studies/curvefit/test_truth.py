"""Exact posteriors against quadrature, against each other, and against the published reference numbers."""

import numpy as np
import pytest
from scipy import integrate, special, stats

from studies.curvefit import data
from studies.curvefit.truth import basic_posterior, basic_relative_variance, robust_posterior

# Printed for the published artifact's own data.
PUBLISHED_REFERENCE = [
    -0.1807, -0.1900, -0.2906, -0.2884, -0.3255, -0.3100, -0.2923, -0.3277, -0.2668, -0.2496,
    -0.2531, -0.2338, -0.1264, -0.1554, -0.1161, -0.1179, -0.1146, -0.0032, -0.0032, 0.0206,
]  # fmt: skip
PUBLISHED_OUTLIERS = [
    -0.150, -0.152, -0.339, 1.158, -0.389, -0.352, 0.927, -0.385, -0.266, 1.191, -0.252, -0.224, -0.023, 0.969, -0.039,
    -0.065, 1.583, 0.112,
]  # fmt: skip


def test_data_are_the_published_ones():
    np.testing.assert_allclose(data.reference()[1], PUBLISHED_REFERENCE, atol=5.1e-5)
    np.testing.assert_allclose(data.with_outliers()[1], PUBLISHED_OUTLIERS, atol=5.1e-4)


def test_basic_posterior_is_the_published_one():
    posterior = basic_posterior(*data.reference(), 0.05)
    assert posterior.log_evidence == pytest.approx(26.6858, abs=5e-5)
    np.testing.assert_allclose(posterior.mean, [-0.22573, -0.39055, 0.67176], atol=5e-6)
    np.testing.assert_allclose(posterior.sd, [0.03009, 0.13852, 0.13373], atol=1.1e-5)


def test_basic_posterior_is_the_joint_normal_conditioned():
    xs, ys = data.reference(6)
    features = np.stack([np.ones(6), xs, np.square(xs, dtype=np.float64)], axis=-1)
    marginal = features @ features.T + 0.05**2 * np.eye(6)
    posterior = basic_posterior(xs, ys, 0.05)
    assert posterior.log_evidence == pytest.approx(stats.multivariate_normal(cov=marginal).logpdf(ys), abs=1e-8)
    np.testing.assert_allclose(posterior.mean, features.T @ np.linalg.solve(marginal, ys), rtol=1e-7)
    expected = np.eye(3) - features.T @ np.linalg.solve(marginal, features)
    np.testing.assert_allclose(posterior.covariance, expected, atol=1e-9)


def test_relative_variance_is_that_of_the_weights():
    # One point at x = 0 depends on `a` alone, so that moments of the weight are integrals over one normal.
    xs, ys, noise_sd = np.array([0.0]), np.array([0.4]), 0.5

    def moment(power):
        def integrand(a):
            return stats.norm.pdf(a) * stats.norm.pdf(ys[0], a, noise_sd) ** power

        return integrate.quad(integrand, -10, 10, epsabs=1e-13)[0]

    assert basic_relative_variance(xs, ys, noise_sd) == pytest.approx(moment(2) / moment(1) ** 2 - 1, rel=1e-8)


def quadrature(xs, ys, noise_sd, bound, alpha, beta):
    """(log evidence, mean of a, P(outlier), mean rate) of the robust model with the slopes gone: all x are 0."""
    curve, rate = np.linspace(-6, 6, 4001), (np.arange(2000) + 0.5) / 2000
    inlier = stats.norm.pdf(ys[:, None], curve, noise_sd)[:, :, None] * (1 - rate)
    outlier = np.broadcast_to(rate / (2 * bound), inlier.shape)
    prior = stats.norm.pdf(curve)[:, None] * stats.beta.pdf(rate, alpha, beta)
    density = prior * (inlier + outlier).prod(axis=0)
    total = density.sum()
    cell = (curve[1] - curve[0]) / len(rate)
    probability = ((outlier / (inlier + outlier)) * density).sum(axis=(1, 2)) / total
    mean = (density.sum(axis=1) @ curve) / total
    return np.log(total * cell), mean, probability, (density.sum(axis=0) @ rate) / total


def test_robust_posterior_is_that_of_quadrature():
    xs, ys = np.zeros(3), np.array([0.1, 0.3, 1.4])
    log_evidence, mean, probability, rate_mean = quadrature(xs, ys, 0.2, 2.0, 1.0, 3.0)
    posterior = robust_posterior(xs, ys, 0.2, 2.0, rate_prior=(1.0, 3.0))
    assert posterior.log_evidence == pytest.approx(log_evidence, abs=1e-5)
    assert posterior.mean[0] == pytest.approx(mean, abs=1e-5)
    np.testing.assert_allclose(posterior.outlier_probability, probability, atol=1e-5)
    assert posterior.rate_mean == pytest.approx(rate_mean, abs=1e-5)


def test_robust_posterior_is_the_published_chains():
    posterior = robust_posterior(*data.with_outliers(), 0.1, 2.0, rate_prior=(1.0, 3.0))
    # The published reference is 16 chains of 20,000 dependent draws, printed to three digits.
    np.testing.assert_allclose(posterior.mean, [-0.220, -0.588, 0.933], atol=0.005)
    np.testing.assert_allclose(posterior.sd, [0.071, 0.317, 0.312], atol=0.006)
    assert posterior.rate_mean == pytest.approx(0.300, abs=0.002)
    assert posterior.n_outliers_mean == pytest.approx(5.59, abs=0.02)
    assert posterior.outlier_probability[list(data.OUTLIER_POSITIONS)].min() > 0.999
    inliers = np.delete(posterior.outlier_probability, data.OUTLIER_POSITIONS)
    assert 0.025 < inliers.min() < inliers.max() < 0.095


def test_a_fixed_rate_is_the_limit_of_a_sharp_prior():
    xs, ys = data.with_outliers(6)
    sharp = robust_posterior(xs, ys, 0.1, 2.0, rate_prior=(1e7, 4e7))
    fixed = robust_posterior(xs, ys, 0.1, 2.0, rate=0.2)
    assert sharp.log_evidence == pytest.approx(fixed.log_evidence, abs=1e-5)
    np.testing.assert_allclose(sharp.outlier_probability, fixed.outlier_probability, atol=1e-5)
    assert fixed.rate_mean == pytest.approx(0.2, rel=1e-12)


def test_without_outliers_the_models_agree():
    xs, ys = data.reference(8)
    robust, basic = robust_posterior(xs, ys, 0.05, 2.0, rate=0.0), basic_posterior(xs, ys, 0.05)
    assert robust.log_evidence == pytest.approx(basic.log_evidence, abs=1e-9)
    np.testing.assert_allclose(robust.mean, basic.mean, rtol=1e-9)
    assert robust.outlier_probability.max() == 0.0


def test_a_point_outside_of_the_bound_is_no_outlier():
    posterior = robust_posterior(np.array([0.0, 0.5]), np.array([0.1, 2.5]), 0.5, 2.0, rate_prior=(1.0, 3.0))
    assert posterior.outlier_probability[1] == 0.0
    assert np.isfinite(special.logit(posterior.outlier_probability[0]))


def test_enumeration_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="limit is 20"):
        robust_posterior(np.zeros(21), np.zeros(21), 0.1, 2.0, rate=0.1)
    with pytest.raises(ValueError, match="a rate or a rate_prior"):
        robust_posterior(np.zeros(2), np.zeros(2), 0.1, 2.0)
