"""The laws of the generative function interface, on random models, against a reference that loops.

`GENJAX_N_MODELS` sets how many models are tried; they are the same at every run. Even seeds run in float64 with tight
tolerances, odd ones in float32. Nothing here is a statistical test.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax import modular_vmap, seed, sel
from tests.genjax.core.random_models import at, paths_of, random_model, restrict

FAST_TO_COMPILE = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "True",
    "xla_cpu_use_fusion_emitters": "False",
}
N_MODELS = int(os.environ.get("GENJAX_N_MODELS", "10"))


def subset(rng, paths, least=0):
    chosen = [path for path in paths if rng.random() < 0.5]
    return chosen if len(chosen) >= least else [paths[int(rng.integers(len(paths)))]]


def selection_of(rng, paths, all_paths):
    """A selection of exactly these paths, written in one of three ways."""
    form = int(rng.integers(3))
    if form == 0:
        return sel(*paths) if paths else sel()
    if form == 1:
        rest = [path for path in all_paths if path not in paths]
        return ~(sel(*rest) if rest else sel())
    nested = {}
    for path in paths:
        level = nested
        for addr in path[:-1]:
            level = level.setdefault(addr, {})
        level[path[-1]] = ()
    return sel(nested)


def avals(tree):
    return jax.tree.structure(tree), [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in jax.tree.leaves(tree)]


class Laws:
    """One random model and what was computed with it, in one compiled program."""

    def __init__(self, model_seed):
        rng = np.random.default_rng(model_seed)
        node, self.args, self.new_args = random_model(rng)
        self.model = model = node.build()
        shapes = jax.eval_shape(lambda: model.simulate(*self.args).get_choices())
        self.paths = paths_of(shapes)
        self.given, self.chosen = subset(rng, self.paths, least=1), subset(rng, self.paths)
        self.rest = [path for path in self.paths if path not in self.chosen]
        self.selection = selection_of(rng, self.chosen, self.paths)
        self.n_changes = int(rng.integers(3))
        self.update_args = self.args if self.n_changes and rng.random() < 0.3 else self.new_args
        self.regenerate_args = self.args if rng.random() < 0.5 else self.new_args
        self.extra = model_seed // 2 % 3
        # One program for all uses: lanes and steps are unrolled, which is slow to compile.
        self._reference = jax.jit(node.reference, compiler_options=FAST_TO_COMPILE)

    def densities(self, choices, args):
        """Reference: `{path: log p(site | parents)}`."""
        return self._reference(choices, *args)[1]

    def retval(self, choices, args):
        return self._reference(choices, *args)[0]

    def total(self, choices, args, paths=None):
        """Reference: sum of the log densities at some paths, or at all."""
        densities = self.densities(choices, args)
        return np.sum([np.asarray(v) for path, v in densities.items() if paths is None or path in paths])

    def changes(self, other):
        """The constraints of the update: none, some of `other`, or all of it."""
        return (None, restrict(other, self.given), other)[self.n_changes]

    def run(self):
        """Call every method. Structures, shapes and dtypes are checked while tracing."""
        model, args, new_args, paths = self.model, self.args, self.new_args, self.paths
        trace = model.simulate(*args)
        x = trace.get_choices()
        other = model.simulate(*new_args).get_choices()
        partial_constraints = restrict(other, self.given)

        def result(method, out):
            new, weight, *discard = out
            assert weight.shape == (), (method, weight.shape)
            assert new.get_score().shape == ()
            assert avals(new.observe(None)) == avals(trace), method
            return {
                "trace": new,
                "x": new.get_choices(),
                "score": new.get_score(),
                "weight": weight,
                "discard": discard,
            }

        density, assessed = model.assess(x, *args)
        assert jnp.shape(density) == ()
        results = {
            "simulate": {"x": x, "score": trace.get_score(), "retval": trace.get_retval(), "args": trace.get_args()},
            "other": other,
            "assess": (density, assessed, model.log_density(x, *args)),
            "generate full": result("generate", model.generate(x, *args)),
            "generate partial": result("generate", model.generate(partial_constraints, *args)),
            "update": result("update", model.update(trace, self.changes(other), *self.update_args)),
            "regenerate": result("regenerate", model.regenerate(trace, self.selection, *self.regenerate_args)),
            "project": (
                model.project(trace, self.selection),
                model.project(trace, sel(())),
                model.project(trace, sel()),
            ),
            "filter": model.filter(x, self.selection),
            "merge": model.merge(x, other)[0],
        }
        selected, unselected = results["filter"]
        results["merged back"] = model.merge(selected or {}, unselected or {})[0]
        changed = results["update"]
        results["update back"] = result("update", model.update(changed["trace"], changed["discard"][0], *args))
        new = results["regenerate"]["trace"]
        results["regenerate by project"] = model.project(new, ~self.selection) - model.project(trace, ~self.selection)
        for path in self.rest:
            assert at(results["regenerate"]["discard"][0], path) is None
        assert set(paths_of(x)) == set(paths)
        # Compiling is slow, so each model gets some of these.
        if self.extra == 0:
            results["generate none"] = model.generate(None, *args)[1], model.generate({}, *args)[1]
            results["trace.update"] = (
                trace.update(partial_constraints)[1],
                model.update(trace, partial_constraints, *args)[1],
            )
        if self.extra == 1:
            results["regenerate nothing"] = result("regenerate", model.regenerate(trace, sel(), *args))
            results["regenerate everything"] = model.regenerate(trace, sel(()), *args)[1]
        if self.extra == 2:
            batch = modular_vmap(lambda _: model.simulate(*args))(jnp.arange(3))
            assert len(batch) == 3 and batch.get_score().shape == ()
            results["batch"] = {
                "lanes": [run.get_choices() for run in batch],
                "scores": batch.scores(),
                "total": batch.get_score(),
                "weights": jax.vmap(lambda run: model.update(run, None, *new_args)[1])(batch),
            }
        return results


def check_model(model_seed, tolerance):
    laws = Laws(model_seed)

    def same(left, right, message):
        assert jax.tree.structure(left) == jax.tree.structure(right), message
        for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance, err_msg=message)

    # The generator's draws are not the subject, and its programs compile faster than threefry's.
    key = jax.random.key(model_seed, impl="unsafe_rbg")
    out = jax.jit(seed(laws.run), compiler_options=FAST_TO_COMPILE)(key)
    args, new_args, total, x, other = laws.args, laws.new_args, laws.total, out["simulate"]["x"], out["other"]
    given, chosen, rest = laws.given, laws.chosen, laws.rest
    constraints = restrict(other, given)
    log_p = total(x, args)

    same(out["simulate"]["score"], -log_p, "score = -log p")
    same(out["simulate"]["retval"], laws.retval(x, args), "return value")
    same(out["simulate"]["args"], (args, {}), "arguments")
    same(out["assess"], (log_p, laws.retval(x, args), log_p), "assess")

    full, partial = out["generate full"], out["generate partial"]
    same((full["weight"], full["x"], full["score"]), (log_p, x, -log_p), "generate(full)")
    same(partial["weight"], total(partial["x"], args, given), "generate(partial): density of the constrained")
    same(partial["score"], -total(partial["x"], args), "generate(partial): score")
    same(restrict(partial["x"], given), constraints, "generate(partial): takes the constraints")

    new, changes = out["update"], laws.changes(other)
    log_p_new = total(new["x"], laws.update_args)
    kept = [path for path in laws.paths if at(changes, path) is None]
    same(new["score"], -log_p_new, "update: score")
    same(new["weight"], log_p_new - log_p, "update: weight = old score - new score")
    same(new["discard"], [x], "update: discards the old values")
    same(restrict(new["x"], kept), restrict(x, kept), "update: keeps the others")
    same(restrict(new["x"], paths_of(changes) if changes else []), changes, "update: takes the constraints")
    back = out["update back"]
    same((back["x"], back["score"]), (x, -log_p), "updating with the discard goes back")
    same(back["weight"], -new["weight"], "updating with the discard: weight")

    new, at_args = out["regenerate"], laws.regenerate_args
    expected = total(new["x"], at_args, rest) - total(x, args, rest)
    same(new["weight"], expected, "regenerate: weight is the sum over the unselected")
    same(out["regenerate by project"], expected, "regenerate: weight by project")
    same(new["score"], -total(new["x"], at_args), "regenerate: score")
    same(restrict(new["x"], rest), restrict(x, rest), "regenerate: keeps what is not selected")
    same(restrict(new["discard"][0], chosen), restrict(x, chosen), "regenerate: discards what is selected")
    for path in chosen:
        old_value, value = np.asarray(at(x, path)), np.asarray(at(new["x"], path))
        if np.issubdtype(value.dtype, np.floating):
            assert np.all(value != old_value), f"regenerate: {path} is selected but was not redrawn"

    same(out["project"], (total(x, args, chosen), log_p, 0.0), "project")
    same(out["filter"], (restrict(x, chosen), restrict(x, rest)), "filter agrees with what regenerate redraws")
    same(out["merged back"], x, "merge undoes filter")
    same(out["merge"], other, "merge: the second wins")

    if laws.extra == 0:
        same(out["generate none"], (0.0, 0.0), "generate without constraints")
        same(*out["trace.update"], "trace.update uses the trace's arguments")
    if laws.extra == 1:
        nothing = out["regenerate nothing"]
        same((nothing["weight"], nothing["x"]), (0.0, x), "regenerate with nothing selected")
        same(out["regenerate everything"], 0.0, "regenerate with everything selected")
    if laws.extra == 2:
        batch = out["batch"]
        for i, lane in enumerate(batch["lanes"]):
            same(batch["scores"][i], -total(lane, args), f"lane {i}: score")
            same(batch["weights"][i], total(lane, new_args) - total(lane, args), f"lane {i}: update weight")
        same(batch["total"], np.sum(batch["scores"]), "score of a batch")


@pytest.mark.parametrize("model_seed", range(N_MODELS))
def test_laws(model_seed):
    with jax.enable_x64(model_seed % 2 == 0):
        check_model(model_seed, tolerance=1e-9 if model_seed % 2 == 0 else 2e-3)
