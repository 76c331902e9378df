"""Gibbs sampling by enumeration against exact posteriors; means within 5 standard errors (see `exact`)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from genjax import Cond, categorical, flip, gen, normal, poisson, seed, sel, uniform
from genjax.inference import chain
from genjax.inference.kernels import Gibbs, gibbs
from tests.genjax.inference import exact

KEY = jax.random.key(0)
outlier = gen(lambda: uniform(-8.0, 8.0) @ "y")
inlier = gen(lambda: normal(0.5, 0.6) @ "y")


@gen
def point(rate):
    is_outlier = flip(rate) @ "is_outlier"
    Cond(outlier, inlier)(is_outlier) @ "seen"
    kind = categorical(jnp.log(jnp.array([0.2, 0.3, 0.5]))) @ "kind"
    normal(jnp.where(kind == 0, -1.0, kind * 1.0), 0.8) @ "z"


@gen
def model():
    point.vmap()(jnp.array([0.1, 0.3, 0.5])) @ "points"


YS, ZS = np.array([0.4, 2.0, -1.2]), np.array([-0.1, 0.8, 1.0])


def test_lanes_are_drawn_from_their_own_posteriors():
    data = {"points": {"seen": {"y": jnp.asarray(YS)}, "z": jnp.asarray(ZS)}}
    trace, _ = seed(model.generate)(KEY, data)
    kernel = Gibbs(sel(("points", "is_outlier"), ("points", "kind")))
    found = seed(chain(kernel))(KEY, trace, 3000).traces["points"]
    rates = np.array([0.1, 0.3, 0.5])
    weights = np.stack([(1 - rates) * stats.norm.pdf(YS, 0.5, 0.6), rates / 16])
    kinds = np.array([0.2, 0.3, 0.5])[:, None] * stats.norm.pdf(ZS, np.array([-1.0, 1.0, 2.0])[:, None], 0.8)
    for lane in range(3):
        exact.assert_mean(found["is_outlier"][:, lane], weights[1, lane] / weights[:, lane].sum())
        for kind in range(3):
            exact.assert_mean(found["kind"][:, lane] == kind, kinds[kind, lane] / kinds[:, lane].sum())


@gen
def joined():
    flags = flip.repeat(3)(0.4) @ "flags"
    normal(jnp.sum(flags) * 1.0, 1.0) @ "total"
    counts = poisson(2.0) @ "counts"
    bare = flip(jnp.full(2, 0.5)) @ "bare"
    return counts + bare[0]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("flags", "'flags', whose lanes are not independent"),
        ("counts", "'counts', of the support integers >= 0"),
        ("bare", "'bare', an array whose elements are not declared to be independent"),
        ("total", "'total', of the support real numbers"),
    ],
)
def test_what_cannot_be_enumerated_is_an_error(address, message):
    with pytest.raises(ValueError, match=message):
        gibbs(joined.simulate(), address)
