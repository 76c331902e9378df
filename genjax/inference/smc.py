"""Sequential Monte Carlo: a model that feeds itself, observed step by step, with rejuvenation.

The pieces are re-exported from `genjax.inference.particles`, `resampling` and `csmc`.
Source: Del Moral, *Feynman-Kac formulae* (2004); Chopin and Papaspiliopoulos, *An introduction to sequential Monte
Carlo* (2020), chapter 10, whose algorithm 10.3 this is, with moves behind each resampling: Gilks and Berzuini,
*Following a moving target* (JRSS B 2001).
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.core.arguments import Shared, as_args, is_shared, raw_args, share, with_args
from genjax.core.const import Const, Size, const, count, unwrap
from genjax.core.gfi import AnyGFI
from genjax.core.observed import Marks
from genjax.inference.csmc import extend_csmc as extend_csmc
from genjax.inference.csmc import init_csmc as init_csmc
from genjax.inference.csmc import resample_csmc as resample_csmc
from genjax.inference.importance import observed_in_lanes
from genjax.inference.kernels.kernel import Kernel, Move
from genjax.inference.particles import ParticleCollection as ParticleCollection
from genjax.inference.particles import change as change
from genjax.inference.particles import extend as extend
from genjax.inference.particles import init as init
from genjax.inference.particles import rejuvenate as rejuvenate
from genjax.inference.particles import resample as resample
from genjax.inference.particles import resample_vectorized_trace as resample_vectorized_trace
from genjax.inference.resampling import Method
from genjax.inference.resampling import ancestral_lineage as ancestral_lineage
from genjax.inference.resampling import effective_sample_size as effective_sample_size
from genjax.inference.resampling import systematic_resample as systematic_resample
from genjax.signatures import Args, Constraints, PyTree


def rejuvenation_smc(
    model: AnyGFI,
    transition_proposal: AnyGFI | None = None,
    mcmc_kernel: Kernel | Move | Const[Move] | None = None,
    observations: Constraints | None = None,
    initial_model_args: PyTree = None,
    n_particles: Size = const(1000),  # noqa: B008
    return_all_particles: bool | Const[bool] = const(False),  # noqa: B008
    n_rejuvenation_moves: Size = const(1),  # noqa: B008
    *,
    ess_threshold: ArrayLike | Const[float] = 0.5,
    resampling_method: Method = "categorical",
) -> ParticleCollection:
    """Filter a sequence with particles; the return value of each step feeds the next.

    Step t extends every particle by `model(*args_t)` constrained to `observations[t]`, resamples if the effective
    sample size is below the threshold, and applies the kernel. `args_0` is `initial_model_args`; `args_{t+1}` is
    the return value of step t, a tuple being several arguments. All steps compile as one body. Needs `seed`.

    Args:
        model: generative function of one step.
        transition_proposal: called as `proposal(constraints, old_choices, *args)` for t >= 1; the model by default.
        mcmc_kernel: kernel on the trace of the current step, as `rejuvenate` takes it.
        observations: constraints with a leading time axis T on every leaf.
        initial_model_args: arguments of the first step, a tuple.
        n_particles: N, int or `Const`.
        return_all_particles: whether to return all steps instead of the last, bool or `Const`.
        n_rejuvenation_moves: applications of the kernel per step, int or `Const`.
        ess_threshold: resample when the effective sample size is below `floor(ess_threshold * N)`; 0 never resamples.
        resampling_method: see `resample`, str or `Const`.

    Returns:
        The particles after the last step, or all steps stacked: every field has a leading axis T. Its log marginal
        likelihood estimates log p(observations up to that step), its `ancestor_indices` say which particle of the step
        before each one extends (see `ancestral_lineage`).

    Raises:
        ValueError: no observations, or leaves of different length; fewer than one particle; a return value that cannot
            be the arguments of the next step.
    """
    n, n_moves = count(n_particles, "n_particles", least=1), count(n_rejuvenation_moves, "n_rejuvenation_moves")
    kernel, keeps_all = unwrap(mcmc_kernel), bool(unwrap(return_all_particles))
    n_steps = _length(observations)
    args = _arguments(model, initial_model_args, _at(observations, 0), n, n_steps)
    leaves, structure = jax.tree.flatten(args, is_leaf=is_shared)

    def move(particles: ParticleCollection) -> ParticleCollection:
        particles = _resampled_below(particles, jnp.floor(jnp.asarray(ess_threshold) * n), resampling_method)
        if kernel is None or n_moves == 0:
            return particles
        once = lambda p, _: (_like(rejuvenate(p, kernel), p), None)
        return jax.lax.scan(once, particles, None, length=n_moves)[0] if n_moves > 1 else once(particles, None)[0]

    def step(carry: PyTree, inputs: tuple[Array, Constraints]) -> PyTree:
        (particles, _, varying), (t, observed) = carry, inputs
        args = _join(leaves, structure, varying)
        by_model = lambda: _like(_detached(extend(particles, model, args, observed)), particles)
        by_proposal = lambda: _like(_detached(extend(particles, model, args, observed, transition_proposal)), particles)
        is_proposed = transition_proposal is not None and n_steps > 1
        new = jax.lax.cond(t == 0, by_model, by_proposal) if is_proposed else by_model()
        new = move(_attached(new, args, _marks(observed, new)))
        following = _varying(as_step_args(new.traces.get_retval()), leaves)
        used = _varying(raw_args(new.traces)[0], leaves)
        new = _like(_detached(new), particles)
        return (new, used, _like(following, varying)), ((new, used) if keeps_all else None)

    nothing: Any = None  # traces that `extend` begins, instead of extending them
    start = ParticleCollection(nothing, jnp.zeros(n), jnp.zeros(n), const(n))
    shapes = jax.eval_shape(lambda: _detached(extend(start, model, args, _at(observations, 0))))
    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    varying = _varying(args, leaves)
    times = jnp.arange(n_steps)
    (last, used, _), steps = jax.lax.scan(step, (start, varying, varying), (times, observations), length=n_steps)
    if not keeps_all:
        return _attached(last, _join(leaves, structure, used), _marks(_at(observations, n_steps - 1), last))
    particles, used = steps
    stacked = [Shared(jnp.stack([leaf.value] * n_steps)) if is_shared(leaf) else leaf for leaf in leaves]
    return _attached(particles, _join(stacked, structure, used))


rejuvenation_smc.__static_parameters__ = (  # type: ignore[attr-defined]
    "mcmc_kernel",
    "n_particles",
    "return_all_particles",
    "n_rejuvenation_moves",
    "resampling_method",
)


def as_step_args(retval: PyTree) -> Args:
    """A return value as the arguments of the next step: a tuple is several, anything else one."""
    return retval if type(retval) is tuple else (retval,)


def _resampled_below(particles: ParticleCollection, threshold: Array, method: Method) -> ParticleCollection:
    is_low = particles.effective_sample_size() < threshold
    return jax.lax.cond(is_low, lambda p: resample(p, method), lambda p: p, particles)


# The arguments of all steps: those that the model hands on unchanged are stored once, the others vary


def _arguments(model: AnyGFI, initial: PyTree, observed: Constraints, n: int, n_steps: int) -> Args:
    """The arguments of step 0, per particle (n, ...) or `Shared`."""
    args = jax.tree.map(jnp.asarray, as_args(() if initial is None else initial))
    if n_steps == 1:
        return jax.tree.map(lambda leaf: Shared(leaf[None]), args)
    is_handed_on: list[bool] = []

    def probe(args: Args) -> Args:
        following = as_step_args(model.generate(observed, *args)[0].get_retval())
        pairs = zip(jax.tree.leaves(following), jax.tree.leaves(args), strict=False)
        is_handed_on.extend(new is old for new, old in pairs)
        return following

    following = jax.eval_shape(probe, args)
    described = [jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), a) for a in (following, args)]
    if jax.tree.structure(following) != jax.tree.structure(args) or any(
        new.shape != old.shape for new, old in zip(*map(jax.tree.leaves, described), strict=True)
    ):
        raise ValueError(
            f"rejuvenation_smc() feeds what {model!r} returns to its next step, but it returns {described[0]} and was "
            f"called with {described[1]}. Return a tuple of the arguments, in order and with their shapes."
        )

    leaves, structure = jax.tree.flatten(args)
    stored = [
        Shared(old[None])
        if same
        else jnp.broadcast_to(old.astype(jnp.promote_types(old.dtype, new.dtype)), (n, *old.shape))
        for old, new, same in zip(leaves, jax.tree.leaves(following), is_handed_on, strict=True)
    ]
    return jax.tree.unflatten(structure, stored)


def _varying(args: Args, leaves: list[Shared | Array]) -> list[Array]:
    """The leaves of `args` at the places where those of step 0 are not shared."""
    if all(map(is_shared, leaves)):
        return []
    own = jax.tree.leaves(args, is_leaf=is_shared)
    return [leaf for leaf, first in zip(own, leaves, strict=True) if not is_shared(first)]


def _join(leaves: list[Shared | Array], structure: PyTreeDef, varying: list[Array]) -> Args:
    rest = iter(varying)
    return jax.tree.unflatten(structure, [leaf if is_shared(leaf) else next(rest) for leaf in leaves])


def _detached(particles: ParticleCollection) -> ParticleCollection:
    return dataclasses.replace(particles, traces=with_args(particles.traces, ((), {})))


def _attached(particles: ParticleCollection, args: Args, marks: tuple[Marks, ...] = ()) -> ParticleCollection:
    return dataclasses.replace(particles, traces=with_args(particles.traces, (args, {}, *marks)))


def _marks(observed: Constraints, particles: ParticleCollection) -> tuple[Marks, ...]:
    return share(observed_in_lanes(observed, particles.traces))


# Loops need constant types


def _like(tree: PyTree, reference: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf, like: jax.lax.convert_element_type(leaf, like.dtype), tree, reference)


def _at(observations: Constraints, t: int) -> Constraints:
    return jax.tree.map(lambda leaf: leaf[t], observations)


def _length(observations: Constraints) -> int:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(observations)]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "rejuvenation_smc() needs `observations`: constraints whose leaves all have the same leading time axis of "
            f"at least one step; got leaves of shapes {shapes}."
        )
    return lengths.pop()
