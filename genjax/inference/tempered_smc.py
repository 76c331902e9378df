"""Sequential Monte Carlo from the prior to the posterior, by powers of the likelihood that adapt to the particles.

Source: Del Moral, Doucet and Jasra, *An adaptive sequential Monte Carlo method for approximate Bayesian computation*
(Statistics and Computing 2012), whose choice of steps by effective sample size this is, on the path of Neal, *Annealed
importance sampling* (2001); Chopin and Papaspiliopoulos, *An introduction to sequential Monte Carlo* (2020), 17.2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from genjax.core.arguments import argument_axes, as_args, raw_args, with_args
from genjax.core.const import Const, Size, count, unwrap
from genjax.core.gfi import AnyGFI
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.kernels.kernel import Kernel
from genjax.inference.kernels.parallel_tempering import kernel_at
from genjax.inference.particles import ParticleCollection, init, lane_args
from genjax.inference.resampling import Method, effective_sample_size, log_mean_weight, resample_ancestors
from genjax.inference.tempered import data_log_density, temper, untemper
from genjax.pjax.partition import take_lanes
from genjax.pjax.vectorize import modular_vmap
from genjax.shapes import Float, Int32
from genjax.signatures import Args, Choices, Constraints, PyTree

_BISECTIONS = 30


@Pytree.dataclass
class TemperedParticles(Pytree):
    """What tempered sequential Monte Carlo found.

    Attributes:
        particles: of the posterior, equally weighted.
        temperatures: (max_steps,) float, the inverse temperature after each step, increasing to 1; 1 after the last.
        acceptance: (max_steps,) float, mean acceptance probability of the moves at each; NaN after the last.
        n_steps: () int32, how many steps there were.
    """

    particles: ParticleCollection
    temperatures: Float[Array, "*batch max_steps"]
    acceptance: Float[Array, "*batch max_steps"]
    n_steps: Int32[Array, "*batch"]

    def log_evidence(self) -> Float[Array, "..."]:
        """An estimate of `log p(constraints)`, ()."""
        return self.particles.log_marginal_likelihood()

    def get_choices(self) -> Choices:
        """The choices of the particles, with a leading axis."""
        return self.particles.traces.get_choices()


def tempered_smc(
    model: AnyGFI,
    args: Args,
    n_particles: Size,
    constraints: Constraints,
    kernel: Kernel | Callable[[Array], Kernel],
    *,
    ess_threshold: ArrayLike | Const[float] = 0.5,
    n_moves: Size = 1,
    max_steps: Size = 50,
    resampling_method: Method = "systematic",
) -> TemperedParticles:
    """Particles from the prior, moved to the posterior through tempered models; needs `seed`.

    With L_i the log likelihood of the constraints at particle i, a step goes from the inverse temperature b to the
    largest b' <= 1 at which weights `exp((b' - b) L_i)` have an effective sample size of at least the given share of
    the particles that can have a weight, then resamples by these weights, and moves each particle by the kernel, which
    leaves `prior(x) p(y | x)^b'` invariant. The evidence is the product over steps of the mean weight.

    Args:
        model: the generative function.
        args: its arguments, a tuple.
        n_particles: N, int or `Const`.
        constraints: observed choices, also in part.
        kernel: a `Kernel` that moves what was not observed, or a function of b, () float, that makes one: steps may be
            larger where the likelihood counts less. A function from trace to trace goes into `Function(...)` first.
        ess_threshold: share of N, between 0 and 1.
        n_moves: steps of the kernel at each temperature, int or `Const`.
        max_steps: most temperatures, int or `Const`. The last one is 1 in any case.
        resampling_method: see `resample`.

    Returns:
        Equally weighted particles. The estimate of the evidence is consistent; its bias, which fixed temperatures would
        not have, comes from choosing them by the same particles, and is of order 1/N (Beskos, Jasra, Kantas and Thiery,
        *On the convergence of adaptive sequential Monte Carlo methods*, 2016).

    Raises:
        ValueError: no constraints, a threshold outside (0, 1), fewer than one particle, move or step.
        TypeError: the kernel is neither a `Kernel` nor a function that makes one.
    """
    args, n = as_args(args), count(n_particles, "n_particles", least=1)
    n_moves, max_steps = count(n_moves, "n_moves", least=1), count(max_steps, "max_steps", least=1)
    threshold = unwrap(ess_threshold)
    if not isinstance(threshold, jax.core.Tracer) and not 0 < threshold < 1:
        raise ValueError(f"tempered_smc got ess_threshold={threshold}. It is a share of the particles: 0 < share < 1.")
    start = init(model, args, n, constraints)
    shared = raw_args(start.traces)

    def move(bare: AnyTrace, b: Array) -> tuple[AnyTrace, Array, Array]:
        """Bare traces, the log likelihoods and the mean acceptance after moves at b."""
        chosen = kernel_at(kernel, b, "tempered_smc")

        def lane(bare: AnyTrace, args: tuple[Any, ...]) -> tuple[AnyTrace, Array, Array]:
            state = chosen.init(temper(with_args(bare, args), b))
            state, infos = jax.lax.scan(lambda state, _: chosen.step(state), state, None, length=n_moves)
            trace = untemper(state.trace)
            return with_args(trace, ((), {})), data_log_density(trace), jnp.mean(infos.acceptance)

        axes = (0, argument_axes(shared))
        moved, likelihoods, acceptance = modular_vmap(lane, in_axes=axes, axis_size=n)(bare, lane_args(shared))
        return moved, likelihoods, jnp.mean(acceptance)

    def step(loop: _Loop) -> _Loop:
        b = jnp.where(loop.index + 1 == max_steps, 1.0, _next(loop.b, loop.likelihoods, threshold))
        log_weights = jnp.where(loop.likelihoods > -jnp.inf, (b - loop.b) * loop.likelihoods, -jnp.inf)
        ancestors = resample_ancestors(log_weights, n, resampling_method)
        bare = jax.tree.map(lambda leaf: take_lanes(leaf, ancestors), loop.bare)
        bare, likelihoods, acceptance = move(bare, b)
        return _Loop(
            _like(bare, loop.bare),
            likelihoods.astype(loop.likelihoods.dtype),
            b,
            loop.log_evidence + log_mean_weight(log_weights),
            loop.index + 1,
            loop.temperatures.at[loop.index].set(b),
            loop.acceptance.at[loop.index].set(acceptance),
        )

    zero, bare = jnp.zeros(()), with_args(start.traces, ((), {}))
    unknown = jnp.full(max_steps, jnp.nan)
    loop = _Loop(bare, start.log_weights, zero, zero, jnp.zeros((), jnp.int32), jnp.ones(max_steps), unknown)
    loop = jax.lax.while_loop(lambda loop: loop.b < 1, step, loop)
    traces = with_args(loop.bare, shared)
    particles = ParticleCollection(traces, jnp.zeros(n), jnp.full(n, -jnp.log(n)), Const(n), loop.log_evidence)
    return TemperedParticles(particles, loop.temperatures, loop.acceptance, loop.index)


tempered_smc.__static_parameters__ = (  # type: ignore[attr-defined]
    "kernel",
    "n_particles",
    "n_moves",
    "max_steps",
    "resampling_method",
)


class _Loop(NamedTuple):
    """Traces without arguments, their log likelihoods (N,), and what is known after `index` steps."""

    bare: AnyTrace
    likelihoods: Array
    b: Array
    log_evidence: Array
    index: Array
    temperatures: Array
    acceptance: Array


def _next(b: Array, likelihoods: Array, threshold: ArrayLike) -> Array:
    """The largest b' <= 1 at which the effective sample size is enough, by bisection of the step."""
    possible = jnp.sum(likelihoods > -jnp.inf)

    def is_enough(step: Array) -> Array:
        log_weights = jnp.where(likelihoods > -jnp.inf, step * likelihoods, -jnp.inf)
        return effective_sample_size(log_weights) >= threshold * possible

    def bisect(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = ends
        middle = (low + high) / 2
        enough = is_enough(middle)
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    rest = 1 - b
    low, _ = jax.lax.fori_loop(0, _BISECTIONS, bisect, (jnp.zeros_like(rest), rest))
    return jnp.where(is_enough(rest), 1.0, b + low)


def _like(tree: PyTree, reference: PyTree) -> PyTree:
    return jax.tree.map(lambda leaf, like: jnp.asarray(leaf, like.dtype), tree, reference)
