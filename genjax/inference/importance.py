"""Importance sampling: weighted traces from a model and a proposal.

A weighted trace (t, w) is *proper*: `E[w f(t)] = sum over t of p(t, y) f(t)` for every f, so `E[w] = p(y)`.
Source: Liu, *Monte Carlo strategies in scientific computing* (2001), section 2.5; Chopin and Papaspiliopoulos,
*An introduction to sequential Monte Carlo* (2020), chapter 8.
"""

from __future__ import annotations

import jax
from jax import Array

from genjax.core.arguments import as_args, map_batch, share, with_args, without_args
from genjax.core.choices import as_choices, without_strict
from genjax.core.const import Size, count
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.observed import Marks, observed_by
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.proposed import addresses_of, check_proposed, merged, overlap
from genjax.inference.resampling import Method, effective_sample_size, log_mean_weight, resample_ancestors
from genjax.pjax.partition import take_lanes
from genjax.shapes import Float
from genjax.signatures import Args, Constraints, PyTree


@Pytree.dataclass
class ImportanceResult(Pytree):
    """What importance sampling found.

    Attributes:
        traces: the batch of weighted traces, leading axis n_samples.
        log_weights: (n_samples,) float, not normalised.
        draws: `n_draws` traces resampled by weight, approximate posterior draws; None if none were asked for.
    """

    traces: AnyTrace
    log_weights: Float[Array, "*batch n"]
    draws: PyTree = None

    def log_evidence(self) -> Float[Array, "..."]:
        """`log(sum_i w_i / n)`: the log of an unbiased estimate of p(constraints)."""
        return log_mean_weight(self.log_weights)

    def effective_sample_size(self) -> Float[Array, "..."]:
        """`(sum_i w_i)^2 / sum_i w_i^2`."""
        return effective_sample_size(self.log_weights)


def importance_sampling(
    target_gf: AnyGFI,
    target_args: Args,
    n_samples: Size,
    constraints: Constraints,
    proposal_gf: AnyGFI | None = None,
    *,
    n_draws: Size | None = None,
    method: Method = "categorical",
) -> ImportanceResult:
    """Weighted traces of the target, and posterior draws resampled from them.

    Args:
        target_gf: the model.
        target_args: its arguments, shared by all samples.
        n_samples: int or `Const`.
        constraints: observed choices.
        proposal_gf: called as `proposal_gf(constraints, *target_args)`; the model itself by default. See
            `weighted_trace` for the weight.
        n_draws: number of resampled draws, int or `Const`; none by default.
        method: resampling method, see `resample_ancestors`.

    Raises:
        ValueError: fewer than one sample, or a proposal with an address that the target does not have.
    """
    n = count(n_samples, "n_samples", least=1)
    traces, log_weights = weighted_traces(target_gf, target_args, n, constraints, proposal_gf)
    draws = None
    if n_draws is not None:
        ancestors = resample_ancestors(log_weights, count(n_draws, "n_draws", least=1), method)
        draws = map_batch(lambda leaf: take_lanes(leaf, ancestors), traces)
    return ImportanceResult(traces, log_weights, draws)


def log_evidence(
    target_gf: AnyGFI,
    target_args: Args,
    n_samples: Size,
    constraints: Constraints,
    proposal_gf: AnyGFI | None = None,
) -> Float[Array, ""]:
    """`log(sum_i w_i / n)` alone: the log of an unbiased estimate of p(constraints).

    No trace leaves the function, so a compiled call keeps one number per sample, whatever the number of observations.
    Arguments as for `importance_sampling`.
    """
    n = count(n_samples, "n_samples", least=1)

    def lane() -> Array:
        return weighted_trace(target_gf, target_args, constraints, proposal_gf)[1]

    return log_mean_weight(jax.vmap(lane, in_axes=(), axis_size=n)())


importance_sampling.__static_parameters__ = ("n_samples", "n_draws", "method")  # type: ignore[attr-defined]
log_evidence.__static_parameters__ = ("n_samples",)  # type: ignore[attr-defined]


# One weighted trace, and a batch


def weighted_trace(
    target_gf: AnyGFI, args: Args, constraints: Constraints, proposal_gf: AnyGFI | None = None
) -> tuple[AnyTrace, Float[Array, "..."]]:
    """`(trace, log_weight)`, proper for the target with the constraints.

    Without a proposal: `generate`, and its weight. With one: its draw x' is merged with the constraints, which win, and

        log_weight = generate weight of the merged choices - log q(x' at addresses that are not constrained).

    A draw at a constrained address is thrown away and integrates to 1, so it has no part in the weight. Addresses that
    neither has are drawn from the target.
    """
    args, constraints = as_args(args), as_choices(constraints)
    if proposal_gf is None:
        return target_gf.generate(constraints, *args)
    proposed = proposal_gf.simulate(without_strict(constraints), *args)
    choices = proposed.get_choices()
    trace, weight = target_gf.generate(merged(target_gf, choices, constraints), *args)
    check_proposed(choices, trace.get_choices(), target_gf)
    if overlap(choices, without_strict(constraints)):
        log_proposal = proposal_gf.project(proposed, ~addresses_of(without_strict(constraints)))
    else:
        log_proposal = -proposed.get_score()
    return trace, weight - scalar(log_proposal)


def weighted_traces(
    target_gf: AnyGFI, args: Args, n: int, constraints: Constraints, proposal_gf: AnyGFI | None = None
) -> tuple[AnyTrace, Float[Array, "n"]]:
    """A batch of n `weighted_trace`s that share their arguments: `(traces, log_weights (n,))`."""
    args = as_args(args)

    def lane() -> PyTree:
        trace, weight = weighted_trace(target_gf, args, constraints, proposal_gf)
        return without_args(trace), weight

    traces, log_weights = jax.vmap(lane, in_axes=(), axis_size=n)()
    return with_args(traces, share((args, {}, *observed_in_lanes(constraints, traces)))), log_weights


def observed_in_lanes(constraints: Constraints, traces: AnyTrace) -> tuple[Marks, ...]:
    """The marks of a batch of traces that were made under the same constraints: those of one lane."""
    return observed_by(constraints, jax.eval_shape(lambda batch: jax.tree.map(lambda leaf: leaf[0], batch), traces))
