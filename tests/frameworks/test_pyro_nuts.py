"""Pyro's No-U-Turn Sampler as the study `posteriors` calls it: where its draws are, and what it tells of each step."""

import numpy as np
import pytest

pyro = pytest.importorskip("pyro")

import pyro.distributions as dist  # noqa: E402
import pyro.infer.mcmc.nuts as pyro_nuts  # noqa: E402

from frameworks.adaptive_base import AdaptiveChains  # noqa: E402
from pipelines.plan.tree import Tree, load_framework  # noqa: E402
from studies.chain_diagnostics import effective_sample_size  # noqa: E402

CHAINS = AdaptiveChains(n_samples=150, n_warmup=100, n_chains=2, target_acceptance=0.8)
SHORT_CHAINS = AdaptiveChains(n_samples=15, n_warmup=20, n_chains=2, target_acceptance=0.8)
STARTS = {"location": np.float32([[0.0, 1.0], [1.0, 0.0]]), "scale": np.float32([1.0, 2.0])}


def two_sites(offset):
    """location ~ N(offset, 1), scale ~ Gamma(4, 2): independent, so that both marginals are known."""
    pyro.sample("location", dist.Normal(offset, 1.0).to_event(1))
    pyro.sample("scale", dist.Gamma(4.0, 2.0))


@pytest.fixture(scope="module")
def framework():
    found = load_framework(Tree().root, "pyro")
    found.start("cpu", "float32")
    return found


def outputs(framework, seed, chains=CHAINS):
    program = framework.nuts(two_sites, (np.float32([3.0, -3.0]),), STARTS, chains)
    return framework.to_numpy(program.run(program.prepare(seed)))


def test_draws_are_in_the_support_and_where_the_posterior_is(framework):
    """Five standard errors of three means: a false alarm in 10^6 seeds, and the seed is fixed."""
    found = outputs(framework, 3)
    assert found["location"].shape == (2, 150, 2) and found["scale"].shape == (2, 150)
    assert (found["scale"] > 0).all()
    chains = np.concatenate([found["location"], found["scale"][..., None]], axis=-1).astype(np.float64)
    standard = (chains - [3.0, -3.0, 2.0]) / [1.0, 1.0, 1.0]
    assert (np.abs(standard.mean(axis=(0, 1))) < 5 / np.sqrt(effective_sample_size(standard))).all()


def test_gradients_of_a_step_are_its_leapfrog_steps(framework, monkeypatch):
    """Counted a second time where the integrator is called; 100 warm-up steps come before the 150 that are kept."""
    calls = {"n": 0}
    integrate = pyro_nuts.velocity_verlet

    def counted(*args, **options):
        calls["n"] += 1
        return integrate(*args, **options)

    monkeypatch.setattr(pyro_nuts, "velocity_verlet", counted)
    at_step = []
    sample = pyro_nuts.NUTS.sample

    def noted(self, params):
        before = calls["n"]
        result = sample(self, params)
        at_step.append(calls["n"] - before)
        return result

    monkeypatch.setattr(pyro_nuts.NUTS, "sample", noted)
    found = outputs(framework, 3)
    expected = np.array(at_step).reshape(2, 250)[:, 100:]
    np.testing.assert_array_equal(found["n_gradients"], expected)
    assert found["diverging"].shape == (2, 150) and found["diverging"].dtype == bool


def test_seeds_decide_the_draws(framework):
    first, again, other = (outputs(framework, seed, SHORT_CHAINS)["scale"] for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
