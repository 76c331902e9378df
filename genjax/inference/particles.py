"""Weighted particles, and the moves on them: init, change, extend, rejuvenate, resample.

Every move keeps the collection proper: with p the current model and y its constraints, for every function f,
`E[exp(log_marginal_estimate) * mean_i(exp(log_weights_i) f(x_i))] = sum over x of p(x, y) f(x)`. So
`exp(log_marginal_likelihood())` is an unbiased estimate of p(y).
Source: Del Moral, Doucet and Jasra, *Sequential Monte Carlo samplers* (JRSS B 2006); Chopin and Papaspiliopoulos, *An
introduction to sequential Monte Carlo* (2020), chapters 10 and 17.

Models, proposals and kernels are written for one particle; each move vectorises them. Moves work eagerly without a key,
and under `seed`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.arguments import (
    Shared,
    argument_axes,
    as_args,
    is_shared,
    map_batch,
    raw_args,
    share,
    with_args,
    without_args,
)
from genjax.core.choices import without_strict
from genjax.core.const import Const, Size, count, unwrap
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.observed import observed_whole
from genjax.core.pytree import Pytree
from genjax.core.selection import sel
from genjax.core.trace import AnyTrace
from genjax.inference.importance import observed_in_lanes, weighted_traces
from genjax.inference.kernels.function import as_kernel
from genjax.inference.kernels.kernel import Kernel, Move, apply
from genjax.inference.proposed import check_proposed, merged
from genjax.inference.resampling import (
    Method,
    effective_sample_size,
    log_mean_weight,
    log_normalized_weights,
    normalized_weights,
    resample_ancestors,
)
from genjax.inference.smcp3 import moved
from genjax.pjax.partition import take_lanes
from genjax.pjax.vectorize import modular_vmap
from genjax.shapes import Float, Int32, Integer
from genjax.signatures import Args, Choices, Constraints, PyTree


@Pytree.dataclass
class ParticleCollection(Pytree):
    """N weighted traces.

    Attributes:
        traces: a batch of traces with leading axis N. Arguments that all particles share are stored once.
        log_weights: (N,) float, since the last resampling. -inf and NaN are weight 0.
        diagnostic_weights: (N,) float, log *normalised* weights before the last resampling, or now if there was none.
        n_samples: N.
        log_marginal_estimate: () float, log p(y) accumulated by earlier resampling steps.
        ancestor_indices: (N,) int32, of which particle of the last move each is the copy or extension; None if unknown.
    """

    traces: AnyTrace
    log_weights: Float[Array, "*batch n"]
    diagnostic_weights: Float[Array, "*batch n"]
    n_samples: Const[int]
    log_marginal_estimate: ArrayLike = Pytree.field(default=0.0)
    ancestor_indices: Integer[Array, "..."] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_samples", Const(unwrap(self.n_samples)))
        object.__setattr__(self, "log_marginal_estimate", jnp.asarray(self.log_marginal_estimate))

    def effective_sample_size(self) -> Float[Array, "..."]:
        """`(sum_i w_i)^2 / sum_i w_i^2`: () float between 1 and N; 0 when every weight is 0."""
        return effective_sample_size(self.log_weights)

    def log_marginal_likelihood(self) -> Float[Array, "..."]:
        """`log_marginal_estimate + log(sum_i w_i / N)`: log of an unbiased estimate of p(y); -inf if all are 0."""
        return self.log_marginal_estimate + log_mean_weight(self.log_weights)

    def estimate(self, fn: Callable[[Choices], PyTree]) -> PyTree:
        """`sum_i w_i fn(x_i) / sum_i w_i`: the posterior mean of a function of one particle's choices.

        Args:
            fn: from one particle's choices to a pytree of arrays of any shape.

        Returns:
            What `fn` returns, in floating point. Particles of weight 0 do not count, whatever `fn` gives there. NaN
            when every weight is 0: then there is no estimate.
        """
        values = modular_vmap(fn)(self.traces.get_choices())
        weights = normalized_weights(self.log_weights)

        def mean(value: Array) -> Array:
            w = weights.reshape(weights.shape + (1,) * (value.ndim - 1))
            return jnp.sum(jnp.where(w > 0, w * value, 0.0), axis=0)

        is_defined = jnp.any(weights > 0)
        return jax.tree.map(lambda value: jnp.where(is_defined, mean(jnp.asarray(value)), jnp.nan), values)


def init(
    target_gf: AnyGFI,
    target_args: Args,
    n_samples: Size,
    constraints: Constraints,
    proposal_gf: AnyGFI | None = None,
) -> ParticleCollection:
    """Particles by importance sampling.

    Args:
        target_gf: the model.
        target_args: its arguments, shared by all particles.
        n_samples: N, int or `Const`.
        constraints: observed choices.
        proposal_gf: called as `proposal_gf(constraints, *target_args)`; by default what is not constrained is drawn
            from the model. Where it proposes a constrained address, the constraint wins.

    Returns:
        Particles with `log_weight = log p(x, y) - log q(x)`: without a proposal, the sum of log p over the constrained
        sites. See `genjax.inference.importance.weighted_trace`.

    Raises:
        ValueError: N < 1, or a proposal with an address that the model does not have.
    """
    n = count(n_samples, "n_samples", least=1)
    traces, log_weights = weighted_traces(target_gf, target_args, n, constraints, proposal_gf)
    return _collection(traces, log_weights, n, 0.0)


def change(
    particles: ParticleCollection,
    new_target_gf: AnyGFI,
    new_target_args: Args,
    choice_fn: Callable[..., Choices],
    *,
    forward: AnyGFI | None = None,
    backward: AnyGFI | None = None,
) -> ParticleCollection:
    """Move particles to another model of the same choices, or with kernels to any model.

    Args:
        particles: particles of the old model.
        new_target_gf: the new model.
        new_target_args: its arguments, shared by all particles.
        choice_fn: from one particle's choices under the old model to constraints of the new one. It may rename
            addresses; it must keep values, all of them. Sites of the new model that it leaves out are drawn from it.
            With a kernel it is called as `choice_fn(choices, u)` and returns `(constraints, v)`: a one-to-one map, in
            which values may change.
        forward: generative function of auxiliary choices u, called as `forward(choices, *new_target_args)`.
        backward: generative function of v, called as `backward(constraints, *new_target_args)`.

    Returns:
        Particles of the new model with `log_weight = old log_weight + w - log p_old(x)`, where w is the weight of
        `generate` in the new model: `log p_new(x')` when x' is complete. With kernels, also `+ log backward(v; x') -
        log forward(u; x) + log |det J|`, with J the Jacobian of the map by differentiation; see
        `genjax.inference.smcp3`. What was observed of the old choices is data: J does not count it.

    Raises:
        ValueError: a map between different numbers of floating-point numbers, or v without a backward kernel.
    """
    args = as_args(new_target_args)
    choice_fn = unwrap(choice_fn)
    data = sel(*observed_whole(particles.traces), strict=False)

    def lane(choices: Choices) -> PyTree:
        if forward is None and backward is None:
            constraints, extra = choice_fn(choices), jnp.zeros(())
        else:
            gf = particles.traces.get_gen_fn()
            observed, latent = gf.filter(choices, data)
            with_data = lambda latent, u: choice_fn(latent if observed is None else gf.merge(latent, observed)[0], u)
            backward_args = lambda new: (without_strict(new), *args)
            constraints, extra = moved(
                "change",
                forward,
                (choices, *args),
                backward,
                backward_args,
                with_data,
                {} if latent is None else latent,
            )
        trace, weight = new_target_gf.generate(constraints, *args)
        return without_args(trace), scalar(weight) + extra

    traces, new = modular_vmap(lane, axis_size=particles.n_samples.value)(particles.traces.get_choices())
    log_weights = _plus(particles.log_weights, new + particles.traces.raw_score())
    return _moved(particles, with_args(traces, share((args, {}))), log_weights)


def extend(
    particles: ParticleCollection,
    gf: AnyGFI,
    args: Args,
    constraints: Constraints,
    extension_proposal: AnyGFI | None = None,
    *,
    transform: Callable[..., Choices] | None = None,
    backward: AnyGFI | None = None,
) -> ParticleCollection:
    """Extend particles by the choices of one more model, whose arguments differ from particle to particle.

    Args:
        particles: the particles so far.
        gf: the model of the new choices.
        args: its arguments, each with leading axis N; a single one need not be in a tuple.
        constraints: observed new choices.
        extension_proposal: called as `extension_proposal(constraints, old_choices, *args)` per particle; by default
            what is not constrained is drawn from `gf`. Where it proposes a constrained address, the proposal wins.
        transform: for proposals with auxiliary choices: with u the choices of `extension_proposal`, a one-to-one map
            `transform(old_choices, u) -> (x', v)` to choices x' of `gf` and v of `backward`.
        backward: generative function of v, called as `backward(constraints, old_choices, x', *args)` per particle.

    Returns:
        Particles whose traces hold the new choices x' only, with
        `log_weight = old log_weight + log p(x', y') - log q(x')`. With a map, `log q(x')` is replaced by
        `log q(u) - log backward(v) - log |det J|`, J the Jacobian of the map of u; see `genjax.inference.smcp3`.

    Raises:
        ValueError: arguments whose leading axis is not N, a proposal with an address that `gf` does not have, a map
            between different numbers of floating-point numbers, or `backward` without a map.
    """
    if transform is None and backward is not None:
        raise ValueError(
            "extend() got a backward kernel and no map. Its choices come from transform(old_choices, u) -> (new, v)."
        )
    args = as_args(args) if isinstance(args, (tuple, list)) else (args,)
    _check_leading_axis(args, particles.n_samples.value)

    def lane(args: Args, old_choices: Choices) -> PyTree:
        kernels = extension_proposal, unwrap(transform), backward
        trace, weight = _extended_trace(gf, args, constraints, old_choices, *kernels)
        return without_args(trace), scalar(weight)

    own_args = lane_args(args)
    is_proposed = extension_proposal is not None or transform is not None
    old_choices = particles.traces.get_choices() if is_proposed else None
    traces, weights = modular_vmap(lane, in_axes=(argument_axes(args), 0), axis_size=particles.n_samples.value)(
        own_args, old_choices
    )
    marks = share(observed_in_lanes(constraints, traces))
    return _moved(particles, with_args(traces, (args, {}, *marks)), _plus(particles.log_weights, weights))


def rejuvenate(particles: ParticleCollection, kernel: Kernel | Move | Const[Move]) -> ParticleCollection:
    """Move every particle by a Markov kernel that leaves its target invariant.

    Args:
        particles: the particles.
        kernel: a `Kernel`, such as `HMC(sel("x"), 0.1, 10)`, of which every particle makes one step; or a function from
            a trace to a trace of the same model and arguments, e.g. `lambda trace: mh(trace, sel("x"))`, or a `Const`
            of it.

    Returns:
        The moved particles. Weights, diagnostics and log marginal likelihood are untouched, which is right for an
        invariant kernel (Gilks and Berzuini, *Following a moving target*, JRSS B 2001).
    """
    given = unwrap(kernel)
    move = given if callable(given) else partial(apply, as_kernel(given))
    args = raw_args(particles.traces)
    score = particles.traces.raw_score()

    def lane(bare: AnyTrace, args: tuple[Any, ...]) -> PyTree:
        return without_args(move(with_args(bare, args)))

    bare = with_args(particles.traces, ((), {}))
    traces = modular_vmap(lane, in_axes=(0, argument_axes(args)), axis_size=score.shape[0])(bare, lane_args(args))
    return distinct(dataclasses.replace(particles, traces=with_args(traces, args)))


def resample(particles: ParticleCollection, method: Method = "categorical") -> ParticleCollection:
    """Draw N particles with replacement, in proportion to their weights.

    Args:
        particles: the particles.
        method: "categorical", "systematic", "stratified" or "residual", str or `Const`. The default is the noisiest of
            the four; "systematic" is the usual choice.

    Returns:
        N particles of log weight 0. `log_marginal_estimate` grows by `log(sum_i w_i / N)`, so that
        `log_marginal_likelihood()` does not change; `diagnostic_weights` and `ancestor_indices` say what happened. When
        every weight is 0, the particles stay as they are and the log marginal likelihood is -inf from then on.

    Raises:
        ValueError: an unknown method.
    """
    n = particles.n_samples.value
    ancestors = resample_ancestors(particles.log_weights, n, method)
    return copied(particles, ancestors)


def copied(particles: ParticleCollection, ancestors: Int32[Array, "n"]) -> ParticleCollection:
    """The collection after a resampling that drew `ancestors` (N,)."""
    return distinct(
        ParticleCollection(
            traces=map_batch(lambda leaf: take_lanes(leaf, ancestors), particles.traces),
            log_weights=jnp.zeros_like(particles.log_weights),
            diagnostic_weights=log_normalized_weights(particles.log_weights),
            n_samples=particles.n_samples,
            log_marginal_estimate=particles.log_marginal_likelihood(),
            ancestor_indices=ancestors,
        )
    )


def resample_vectorized_trace(trace: AnyTrace, log_weights: Array, n: Size, method: Method = "categorical") -> AnyTrace:
    """Traces drawn with replacement from a batch of traces, in proportion to `exp(log_weights)`.

    Args:
        trace: a batch of traces with leading axis N.
        log_weights: (N,) float.
        n: how many, int or `Const`.
        method: as for `resample`.

    Returns:
        A batch of n traces.

    Raises:
        ValueError: an unknown method.
    """
    ancestors = resample_ancestors(log_weights, n, method)
    return map_batch(lambda leaf: take_lanes(leaf, ancestors), trace)


init.__static_parameters__ = ("n_samples",)  # type: ignore[attr-defined]
change.__static_parameters__ = ("choice_fn",)  # type: ignore[attr-defined]
rejuvenate.__static_parameters__ = ("kernel",)  # type: ignore[attr-defined]
resample.__static_parameters__ = ("method",)  # type: ignore[attr-defined]


# Parts of the moves


def _collection(traces: AnyTrace, log_weights: Array, n: int, log_marginal_estimate: ArrayLike) -> ParticleCollection:
    themselves = jnp.arange(n, dtype=jnp.int32)
    diagnostic = log_normalized_weights(log_weights)
    return distinct(ParticleCollection(traces, log_weights, diagnostic, Const(n), log_marginal_estimate, themselves))


def distinct(particles: ParticleCollection) -> ParticleCollection:
    """The same particles, no two leaves of which are one buffer, so that JAX may reuse the memory of each.

    A return value is often a choice. Inside a compiled program a copy costs nothing.
    """
    seen: set[int] = set()

    def own(leaf: Array | Shared) -> Array | Shared:
        if id(leaf) in seen and isinstance(leaf, jax.Array):
            return leaf.copy()
        seen.add(id(leaf))
        return leaf

    return jax.tree.map(own, particles)


def _moved(particles: ParticleCollection, traces: AnyTrace, log_weights: Array) -> ParticleCollection:
    n, log_marginal_estimate = particles.n_samples.value, particles.log_marginal_estimate
    return _collection(traces, log_weights, n, log_marginal_estimate)


def _plus(old: Float[Array, "n"], change: Float[Array, "n"]) -> Float[Array, "n"]:
    """The sum of log weights. A dead particle stays dead: -inf plus an infinite change would be NaN."""
    return jnp.where(old == -jnp.inf, -jnp.inf, old + change)


def lane_args(args: PyTree) -> PyTree:
    """Arguments to be mapped by `argument_axes(args)`."""
    return jax.tree.map(lambda node: node.value[0] if is_shared(node) else node, args, is_leaf=is_shared)


def _extended_trace(
    gf: AnyGFI,
    args: Args,
    constraints: Constraints,
    old_choices: Choices,
    proposal: AnyGFI | None,
    transform: Callable[..., Choices] | None,
    backward: AnyGFI | None,
) -> tuple[AnyTrace, jax.Array]:
    if transform is not None:
        given = without_strict(constraints), old_choices
        back_args = lambda new: (*given, new, *args)
        mapping = lambda _, u: transform(old_choices, u)
        choices, extra = moved("extend", proposal, (*given, *args), backward, back_args, mapping, {})
        trace, weight = gf.generate(merged(gf, constraints, choices), *args)
        check_proposed(choices, trace.get_choices(), gf)
        return trace, scalar(weight) + extra
    if proposal is None:
        return gf.generate(constraints, *args)
    proposed = proposal.simulate(without_strict(constraints), old_choices, *args)
    choices = proposed.get_choices()
    trace, weight = gf.generate(merged(gf, constraints, choices), *args)
    check_proposed(choices, trace.get_choices(), gf)
    return trace, scalar(weight) + proposed.get_score()


def _check_leading_axis(args: Args, n: int) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(args, is_leaf=is_shared):
        if not is_shared(leaf) and (jnp.ndim(leaf) == 0 or leaf.shape[0] != n):
            raise ValueError(
                f"extend() got an argument of shape {jnp.shape(leaf)} at args{jax.tree_util.keystr(path)}. Every "
                f"argument differs from particle to particle, so its leading axis must be n_samples = {n}. Broadcast "
                "what all particles share."
            )
