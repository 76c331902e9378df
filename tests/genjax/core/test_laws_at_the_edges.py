"""The laws at the edges: models made inside models, empty axes, odd shapes, far parameters, partial constraints.

Each model gets the laws of `simulate` and `generate`, and one group of the others. Models are the same at every run: a
few of them in the whole suite, and as many as one likes by `GENJAX_N_MODELS=500 ./run test tests/genjax/core -k laws`.
Even seeds run in float64, odd ones in float32. Nothing here is a statistical test.
"""

import copy
import os
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import modular_vmap, seed, sel
from genjax.core.observed import observed_paths
from genjax.core.partial import Filled, Masked
from tests.genjax.core.random_edges import (
    Lanes,
    Times,
    indexed_lanes,
    lanes_of,
    partial_constraints,
    random_edge_model,
)
from tests.genjax.core.random_models import at, paths_of, restrict
from tests.genjax.core.test_laws import FAST_TO_COMPILE, avals, selection_of, subset

N_MODELS = int(os.environ.get("GENJAX_N_MODELS", "6"))
GROUPS = ("update", "regenerate", "lanes")


class Edges:
    """One random model, what its methods are asked, and the program that asks them."""

    def __init__(self, model_seed):
        self.rng = rng = np.random.default_rng(model_seed)
        self.group = GROUPS[model_seed // 2 % 3]
        self.node, self.args, self.new_args = random_edge_model(rng)
        self.model = model = self.node.build()
        shapes = jax.eval_shape(lambda: model.simulate(*self.args).get_choices())
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        self.paths = paths_of(shapes)
        densities = self.node.reference(zeros, *self.args)[1]
        assert set(densities) == set(self.paths)
        self.ranks = lanes_of(zeros, densities)
        self.chosen = subset(rng, self.paths)
        self.rest = [path for path in self.paths if path not in self.chosen]
        self.selection = selection_of(rng, self.chosen, self.paths)
        # Closed over by both the program and the reference: what is constrained, by shapes alone.
        self.partial_seed, self.by_index = int(rng.integers(2**31)), rng.random() < 0.5

    def constraints(self, values):
        """Partial constraints that take their values from these choices, and `{path: elements that they hold}`."""
        rng = np.random.default_rng(self.partial_seed)
        if isinstance(self.node, (Lanes, Times)) and self.by_index:
            constraints, mask = indexed_lanes(rng, self.node.n, values)
            return constraints, dict.fromkeys(self.paths, mask)
        return partial_constraints(rng, self.paths, values, self.ranks)

    def run(self):
        model, args, new_args = self.model, self.args, self.new_args
        trace = model.simulate(*args)
        x, other = trace.get_choices(), model.simulate(*new_args).get_choices()
        constraints, _ = self.constraints(other)

        def result(new, weight, discard=None):
            assert weight.shape == () and new.get_score().shape == ()
            assert avals(new.observe(None)) == avals(trace)
            return {"x": new.get_choices(), "score": new.get_score(), "weight": weight, "discard": discard}

        generated, weight = model.generate(constraints, *args)
        self.observed = observed_paths(generated)
        out = {
            "simulate": result(trace, jnp.array(0.0)),
            "retval": trace.get_retval(),
            "other": other,
            "generate": result(generated, weight),
        }
        if self.group == "update":
            new, weight, discard = model.update(trace, constraints, *new_args)
            out["update"] = result(new, weight, discard)
            out["back"] = result(*model.update(new, discard, *args))
            out["assess"] = model.assess(x, *args)
        elif self.group == "regenerate":
            out["regenerate"] = result(*model.regenerate(trace, self.selection, *new_args))
            out["project"] = [model.project(trace, s) for s in (self.selection, sel(()), sel())]
            out["filter"] = model.filter(x, self.selection)
            out["merge"] = model.merge(x, other)[0]
        else:
            batch = modular_vmap(lambda _: model.generate(constraints, *args))(jnp.arange(2))
            out["lanes"] = [(lane.get_choices(), lane.get_score()) for lane in batch[0]], batch[1]
            out["trace"] = trace
        return out


def check(model_seed, tolerance):
    edges = Edges(model_seed)
    # The generator's draws are not the subject, and its programs compile faster than threefry's.
    key = jax.random.key(model_seed, impl="unsafe_rbg")
    out = jax.jit(seed(edges.run), compiler_options=FAST_TO_COMPILE)(key)
    args, new_args, reference = edges.args, edges.new_args, edges.node.reference

    def densities(x, args):
        return {path: np.asarray(value, np.float64) for path, value in reference(x, *args)[1].items()}

    def held(densities, marks):
        """The sum of the densities of the elements that constraints hold."""
        total = 0.0
        for path, mask in marks.items():
            value = densities[path]
            mask = mask.reshape(mask.shape + (1,) * (value.ndim - mask.ndim))
            total += np.sum(np.where(mask, value, 0.0))
        return total

    def total(densities, paths=None):
        return sum(np.sum(v) for path, v in densities.items() if paths is None or path in paths)

    x, other = out["simulate"]["x"], out["other"]
    p = densities(x, args)
    size = max(1.0, sum(np.sum(np.abs(v[np.isfinite(v)])) for v in p.values()))

    def same(left, right, message):
        assert jax.tree.structure(left) == jax.tree.structure(right), message
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size, err_msg=message)

    def takes(new, old, marks, message):
        """Held elements are those of `other`; the rest, if `old` is given, those of `old`."""
        for path in edges.paths:
            got, value = np.asarray(at(new, path)), np.asarray(at(other, path))
            mask = marks.get(path, np.zeros((), bool))
            mask = np.broadcast_to(mask.reshape(mask.shape + (1,) * (got.ndim - mask.ndim)), got.shape)
            same(np.where(mask, got, 0), np.where(mask, value, 0), f"{message}: {path}")
            if old is not None:
                same(np.where(mask, 0, got), np.where(mask, 0, np.asarray(at(old, path))), f"{message}: {path} kept")

    constraints, marks = edges.constraints(other)
    # `filled` gives the first element to all.
    other = taken_from(constraints, other) if isinstance(constraints, dict) else other
    same(out["simulate"]["score"], -total(p), "score = -log p")
    same(out["retval"], reference(x, *args)[0], "return value")
    assert set(edges.observed) == (set() if is_start(constraints, edges.paths) else set(marks)), "what was observed"
    made = out["generate"]
    p_made = densities(made["x"], args)
    same(made["weight"], held(p_made, marks), "generate: the density of the constrained elements")
    same(made["score"], -total(p_made), "generate: score")
    takes(made["x"], None, marks, "generate")

    if edges.group == "update":
        new = out["update"]
        p_new = densities(new["x"], new_args)
        same(new["score"], -total(p_new), "update: score")
        same(new["weight"], total(p_new) - total(p), "update: weight")
        same(new["discard"], x, "update: discards the old values")
        takes(new["x"], x, marks, "update")
        same((out["back"]["x"], out["back"]["score"]), (x, -total(p)), "updating with the discard goes back")
        same(out["back"]["weight"], -np.asarray(new["weight"]), "updating with the discard: weight")
        same(out["assess"], (total(p), out["retval"]), "assess")
    elif edges.group == "regenerate":
        new = out["regenerate"]
        p_new = densities(new["x"], new_args)
        same(new["score"], -total(p_new), "regenerate: score")
        same(new["weight"], total(p_new, edges.rest) - total(p, edges.rest), "regenerate: weight")
        same(restrict(new["x"], edges.rest), restrict(x, edges.rest), "regenerate: keeps what is not selected")
        same(restrict(new["discard"], edges.chosen), restrict(x, edges.chosen), "regenerate: discard")
        same(out["project"], [total(p, edges.chosen), total(p), 0.0], "project")
        same(out["filter"], (restrict(x, edges.chosen), restrict(x, edges.rest)), "filter")
        same(out["merge"], out["other"], "merge: the second wins")
    else:
        lanes, weights = out["lanes"]
        for (lane, score), weight in zip(lanes, weights, strict=True):
            p_lane = densities(lane, args)
            same((score, weight), (-total(p_lane), held(p_lane, marks)), "lanes of modular_vmap")
        again = copy.deepcopy(out["trace"])
        assert avals(again) == avals(out["trace"]), "deepcopy"
        jax.tree.map(np.testing.assert_array_equal, again, out["trace"])
        jax.tree.map(np.testing.assert_array_equal, pickle.loads(pickle.dumps(x)), x)


def is_start(constraints, paths):
    """Whether all choices were given in full, which is no data."""
    return isinstance(constraints, dict) and all(
        (value := at(constraints, path)) is not None and not isinstance(value, Masked) for path in paths
    )


def taken_from(constraints, other):
    """The choices `other`, with `filled` constraints spread over all elements."""
    if isinstance(constraints, dict) and isinstance(other, dict):
        return {addr: taken_from(constraints.get(addr), value) for addr, value in other.items()}
    return jnp.broadcast_to(constraints.value, other.shape) if isinstance(constraints, Filled) else other


@pytest.mark.parametrize("model_seed", range(N_MODELS))
def test_laws_at_the_edges(model_seed):
    with jax.enable_x64(model_seed % 2 == 0):
        check(model_seed, tolerance=1e-9 if model_seed % 2 == 0 else 2e-3)
