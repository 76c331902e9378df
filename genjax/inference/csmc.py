"""Conditional sequential Monte Carlo: particle 0 retains a given path; with `ancestral_lineage`, particle Gibbs.

Source: Andrieu, Doucet and Holenstein, *Particle Markov chain Monte Carlo methods* (JRSS B 2010), sections 4.3 and 4.5.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.addresses import path_text
from genjax.core.arguments import as_args, is_shared, raw_args, with_args, without_args
from genjax.core.choices import without_strict
from genjax.core.const import Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.partial import Indexed, Masked
from genjax.core.trace import AnyTrace, get_choices
from genjax.inference.particles import ParticleCollection, copied, extend, init
from genjax.inference.proposed import addresses_of, choices_by_path, merged, overlap
from genjax.inference.resampling import log_normalized_weights, resample_ancestors
from genjax.signatures import Args, Choices, Constraints, PyTree


def init_csmc(
    target_gf: AnyGFI,
    target_args: Args,
    n_samples: Size,
    constraints: Constraints,
    retained_choices: Choices,
    proposal_gf: AnyGFI | None = None,
) -> ParticleCollection:
    """`init`, with the retained choices as particle 0.

    Args:
        target_gf, target_args, n_samples, constraints, proposal_gf: as for `init`.
        retained_choices: a value for every choice of the target that is not constrained; values at constrained
            addresses are ignored.

    Returns:
        Particles, the first of which has the retained choices, the constraints, and

            log_weight = log p(x_retained, y) - log Q(x_retained),

        with Q the density by which `init` draws the others: the proposal's, the target's own for what it leaves out.

    Raises:
        ValueError: n_samples < 1, retained choices of other addresses or shapes than the target's, or a proposal of
            constrained addresses.
    """
    n = count(n_samples, "n_samples", least=1)
    args = as_args(target_args)
    particles = init(target_gf, args, n, constraints, proposal_gf)
    arguments = (without_strict(constraints), *args)
    trace, weight = _retained(target_gf, args, constraints, retained_choices, proposal_gf, arguments)
    return _with_first(particles, trace, weight)


def extend_csmc(
    particles: ParticleCollection,
    gf: AnyGFI,
    args: Args,
    constraints: Constraints,
    retained_choices: Choices,
    extension_proposal: AnyGFI | None = None,
) -> ParticleCollection:
    """`extend`, with the retained choices as the extension of particle 0. See `init_csmc`.

    Args:
        particles: particles whose first is the retained one.
        gf, args, constraints, extension_proposal: as for `extend`.
        retained_choices: a value for every choice of `gf` that is not constrained.

    Returns:
        Particles, the first of which has the retained choices and
        `log_weight = old log_weight + log p(x_retained, y) - log Q(x_retained)`.
    """
    new = extend(particles, gf, args, constraints, extension_proposal)
    args = as_args(args) if isinstance(args, (tuple, list)) else (args,)
    first = jax.tree.map(lambda a: a.value[0] if is_shared(a) else a[0], args, is_leaf=is_shared)
    old_choices = jax.tree.map(lambda leaf: leaf[0], particles.traces.get_choices())
    arguments = (without_strict(constraints), old_choices, *first)
    trace, weight = _retained(gf, first, constraints, retained_choices, extension_proposal, arguments)
    return _with_first(new, trace, particles.log_weights[0] + weight)


def resample_csmc(particles: ParticleCollection) -> ParticleCollection:
    """`resample` given that particle 0 survives as particle 0: the others draw their ancestors independently by weight.

    Multinomial, for which the conditional law of the others is that of N - 1 ordinary draws.
    """
    n = particles.n_samples.value
    first = jnp.zeros(1, jnp.int32)
    others = [resample_ancestors(particles.log_weights, n - 1, "categorical")] if n > 1 else []
    return copied(particles, jnp.concatenate([first, *others]))


# Particle 0


def _retained(
    gf: AnyGFI,
    args: Args,
    constraints: Constraints,
    retained: Choices,
    proposal: AnyGFI | None,
    proposal_args: Args,
) -> tuple[Choices, Array]:
    """The retained trace, and `log p(x, y) - log Q(x)`: over sites that Q takes from the target itself both cancel."""
    observed, retained = without_strict(constraints), get_choices(without_strict(retained))
    _check_retained(gf, args, observed, retained)
    trace, _ = gf.generate(merged(gf, retained, observed), *args)
    weighted = addresses_of(observed)
    if proposal is None:
        return without_args(trace), scalar(gf.project(trace, weighted))
    proposed = jax.eval_shape(lambda: proposal.simulate(*proposal_args).get_choices())
    if overlap(proposed, observed):
        raise ValueError(
            f"The proposal {proposal!r} makes choices at constrained addresses, so the probability that it would "
            "propose the retained choices is not defined. Let it propose addresses that are not constrained."
        )
    log_proposal, _ = proposal.assess(retained, *proposal_args)
    weight = gf.project(trace, weighted | addresses_of(proposed))
    return without_args(trace), scalar(weight) - scalar(log_proposal)


def _with_first(particles: ParticleCollection, trace: AnyTrace, log_weight: Array) -> ParticleCollection:
    def put(batch: Array, first: ArrayLike) -> Array:
        return batch.at[0].set(jnp.asarray(first).astype(batch.dtype))

    stored = particles.traces
    traces = jax.tree.map(put, with_args(stored, ((), {})), with_args(trace, ((), {})))
    log_weights = put(particles.log_weights, log_weight)
    return dataclasses.replace(
        particles,
        traces=with_args(traces, raw_args(stored)),
        log_weights=log_weights,
        diagnostic_weights=log_normalized_weights(log_weights),
    )


def _check_retained(gf: AnyGFI, args: Args, observed: Constraints, retained: Choices) -> None:
    partial = [c for c in jax.tree.leaves(observed, is_leaf=_is_partial) if _is_partial(c)]
    if partial:
        raise ValueError("Conditional SMC takes whole constraints, not masked() or indexed() ones.")
    target = choices_by_path(jax.eval_shape(lambda: gf.simulate(*args).get_choices()))
    given, constrained = choices_by_path(retained), choices_by_path(observed)
    faults = [f"{path_text(path)} is missing" for path in target if path not in given and path not in constrained]
    faults += [f"{path_text(path)} is not an address of the target" for path in given if path not in target]
    faults += [
        f"{path_text(path)} has shape {jnp.shape(given[path])} instead of {jnp.shape(target[path])}"
        for path in given
        if path in target and path not in constrained and jnp.shape(given[path]) != jnp.shape(target[path])
    ]
    if faults:
        raise ValueError(
            f"The retained choices do not fit {gf!r}: {'; '.join(faults)}. They must have a value for every choice "
            f"that is not constrained. The target's choices: {', '.join(map(path_text, target)) or 'none'}."
        )


def _is_partial(node: PyTree) -> bool:
    return isinstance(node, (Masked, Indexed))
