"""What `to_arviz` hands to each generation of ArviZ's interface, by stand-ins with their signatures."""

import sys
import types

import jax
import numpy as np
import pytest

from genjax import chain, gen, normal, seed
from genjax.inference import MH, to_arviz


@gen
def model():
    mu = normal(0.0, 1.0) @ "mu"
    return normal.repeat(3)(mu, 1.0) @ "y"


@pytest.fixture(scope="module")
def result():
    trace, _ = seed(model.generate)(jax.random.key(0), {"y": np.arange(3.0, dtype=np.float32)})
    return seed(chain(MH("mu")))(jax.random.key(1), trace, 7, n_chains=2)


def before_one(
    posterior=None, *, posterior_predictive=None, sample_stats=None, log_likelihood=None, observed_data=None
):
    """`arviz.from_dict` up to 0.x: a keyword per group, of arrays (chains, draws, ...)."""
    groups = {"posterior": posterior, "sample_stats": sample_stats, "log_likelihood": log_likelihood}
    return {**groups, "observed_data": observed_data}


def from_one_on(data, *, name=None, sample_dims=None):
    """`arviz.from_dict` from 1.0 on: one dictionary of groups."""
    return data


@pytest.mark.parametrize(("version", "from_dict"), [("0.23.4", before_one), ("1.0.0", from_one_on)])
def test_groups_arrive(version, from_dict, result, monkeypatch):
    stand_in = types.ModuleType("arviz")
    stand_in.__version__, stand_in.from_dict = version, from_dict
    monkeypatch.setitem(sys.modules, "arviz", stand_in)
    groups = to_arviz(result)
    assert groups["posterior"]["mu"].shape == (2, 7)
    assert groups["log_likelihood"]["y"].shape == (2, 7, 3)
    np.testing.assert_array_equal(groups["observed_data"]["y"], [0, 1, 2])
    assert {"acceptance_rate", "diverging", "energy", "tree_depth", "n_steps"} <= groups["sample_stats"].keys()
    assert groups["sample_stats"]["diverging"].dtype == bool


def test_without_arviz_the_error_says_what_to_do(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ModuleNotFoundError, match="`summary\\(result\\)` work without it"):
        to_arviz(result)
