"""R-hat and effective sample size against ArviZ, exact cases, and what they must notice.

Seeds are fixed. The comparison with a known effective size allows 5 standard errors: false alarm below 1e-5.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import compute_ess, compute_rhat


def autoregressive(rng, chains, steps, rho, shift):
    x, noise = np.zeros((chains, steps)), rng.normal(size=(chains, steps))
    for t in range(1, steps):
        x[:, t] = rho * x[:, t - 1] + noise[:, t]
    return x + shift * np.arange(chains)[:, None]


def reference_samples():
    rng = np.random.default_rng(0)
    samples = {
        "iid": autoregressive(rng, 4, 200, 0.0, 0.0),
        "correlated": autoregressive(rng, 4, 251, 0.9, 0.0),
        "antithetic": autoregressive(rng, 3, 300, -0.7, 0.0),
        "shifted": autoregressive(rng, 4, 100, 0.3, 1.0),
        "short": autoregressive(rng, 2, 9, 0.2, 0.0),
    }
    x = autoregressive(rng, 4, 200, 0.8, 0.0)
    samples |= {"bool": x > 0.3, "integer": np.floor(x).astype(int), "heavy": np.exp(2 * x)}
    samples["scale"] = autoregressive(rng, 4, 200, 0.5, 0.0) * np.array([1, 1, 1, 4.0])[:, None]
    return samples


# From ArviZ 0.23.4 on `reference_samples()`: az.rhat(method="rank"), az.ess(method="bulk"), az.ess(method="tail").
ARVIZ = {
    "iid": (0.9985133742753958, 835.9582325689099, 816.4853697256942),
    "correlated": (1.1418397199983086, 24.67102799893242, 100.1798553062588),
    "antithetic": (0.9974061702720143, 2658.8182584953925, 573.0287715964819),
    "shifted": (1.5584250203910281, 7.660993462864812, 41.9445208039263),
    "short": (1.0090645651873347, 19.265919722494797, 16.0),
    "bool": (1.0416437024181813, 112.08074821709431, 112.08074821709434),
    "integer": (1.0595983157005864, 88.00788594795088, 192.29766515430273),
    "heavy": (1.0615888783658614, 79.95300106471005, 205.65559029567143),
    "scale": (1.215877677041307, 336.2600340781115, 32.91381047885153),
}


@pytest.mark.parametrize("name", ARVIZ)
def test_against_arviz(name):
    samples = reference_samples()[name]
    got = [compute_rhat(samples), compute_ess(samples), compute_ess(samples, kind="tail")]
    np.testing.assert_allclose(got, ARVIZ[name], rtol=2e-4)  # float32 against float64


def test_trailing_axes_are_separate_quantities():
    samples = reference_samples()
    both = np.stack([samples["iid"], samples["heavy"]], axis=-1)[..., None]
    for function in (compute_rhat, compute_ess, lambda x: compute_ess(x, "tail")):
        got = function(both)
        assert got.shape == (2, 1)
        np.testing.assert_allclose(got[:, 0], [function(samples["iid"]), function(samples["heavy"])], rtol=1e-5)


def test_effective_size_of_an_autoregression():
    """ESS of the mean of AR(1) is N (1 - rho)/(1 + rho). Normal scores of normal draws are nearly the draws."""
    rng = np.random.default_rng(1)
    for rho in (0.0, 0.6):
        sizes = np.array([compute_ess(autoregressive(rng, 4, 1000, rho, 0.0)) for _ in range(20)])
        exact = 4000 * (1 - rho) / (1 + rho)
        assert abs(sizes.mean() - exact) < 5 * sizes.std(ddof=1) / np.sqrt(len(sizes)) + 0.03 * exact


def test_rank_normalised_rhat_does_not_depend_on_a_monotone_transform():
    x = reference_samples()["shifted"]
    np.testing.assert_allclose(compute_ess(x), compute_ess(np.exp(x)), rtol=1e-4)


def test_rhat_notices_location_scale_and_drift():
    rng = np.random.default_rng(2)
    good = rng.normal(size=(4, 500))
    assert 0.99 < compute_rhat(good) < 1.02
    assert compute_rhat(good + np.array([0, 0, 0, 1.0])[:, None]) > 1.1
    assert compute_rhat(good * np.array([1, 1, 1, 5.0])[:, None]) > 1.1
    assert compute_rhat(good + np.linspace(0, 3, 500)) > 1.1  # all chains alike: only split chains see it


@pytest.mark.parametrize(
    "samples",
    [
        np.ones((4, 50)),
        np.ones((4, 50), bool),
        np.zeros((4, 50), int),
        np.random.default_rng(0).normal(size=(4, 3)),
        np.zeros((4, 0)),
        np.where(np.arange(200).reshape(4, 50) == 7, np.nan, np.random.default_rng(0).normal(size=(4, 50))),
        np.where(np.arange(200).reshape(4, 50) == 7, np.inf, np.random.default_rng(0).normal(size=(4, 50))),
    ],
    ids=["constant", "constant bool", "constant int", "three steps", "no steps", "NaN", "infinite"],
)
def test_what_has_no_diagnostic_is_nan(samples):
    for value in (compute_rhat(samples), compute_ess(samples), compute_ess(samples, kind="tail")):
        assert value.shape == ()
        assert jnp.isnan(value)


def test_one_chain_has_an_effective_size_but_no_rhat():
    samples = np.random.default_rng(0).normal(size=(1, 400))
    assert jnp.isnan(compute_rhat(samples))
    np.testing.assert_allclose(compute_ess(samples[0]), compute_ess(samples))
    assert 200 < compute_ess(samples) < 800


def test_fair_coins():
    coins = np.random.default_rng(0).integers(2, size=(4, 400))
    assert 0.99 < compute_rhat(coins) < 1.02
    assert 800 < compute_ess(coins) < 3000
    assert jnp.isfinite(compute_ess(coins, kind="tail"))


def test_under_jit_and_bad_input():
    x = reference_samples()["iid"]
    np.testing.assert_allclose(jax.jit(compute_ess)(x), compute_ess(x), rtol=1e-5)
    with pytest.raises(ValueError, match="kind='other'"):
        compute_ess(x, kind="other")
    with pytest.raises(ValueError, match="scalar"):
        compute_rhat(1.0)
