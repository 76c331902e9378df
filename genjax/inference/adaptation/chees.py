"""ChEES: the trajectory length and the step size of HMC, adapted by many chains together.

The criterion is the expected squared change of the squared distance from the centre,

    ChEES(T) = 1/4 E[(|s' - E s'|^2 - |s - E s|^2)^2],

which grows until trajectories are long enough to move energy between directions. Its gradient in log T, estimated by
the ends of the chains' trajectories weighted by their acceptance, is followed by Adam.

Source: Hoffman, Radul and Sountsov, *An adaptive MCMC scheme for setting trajectory lengths in Hamiltonian Monte Carlo*
(AISTATS 2021), sections 3 and 4, with their constants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core.arguments import is_shared, unshared
from genjax.core.const import Size, count
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.adaptation.dual_averaging import DualAveraging
from genjax.inference.kernels.hmc import HMC
from genjax.inference.kernels.jittered_hmc import JitteredHMC, halton
from genjax.inference.kernels.metric import velocity
from genjax.inference.kernels.metropolis import acceptance_probability
from genjax.pjax.vectorize import modular_vmap
from genjax.signatures import PyTree

_LEARNING_RATE, _DECAY, _SMALL = 0.025, 0.95, 1e-8  # of Adam, whose first moment is the gradient itself
_TARGET = 0.651  # optimal for the harmonic mean over chains of acceptance
_AVERAGED = 0.75  # power of the weights with which iterates of log T are averaged


@Pytree.dataclass
class Chees(Pytree):
    """What the adaptation found.

    Attributes:
        kernel: a `JitteredHMC` of the adapted step size and trajectory length, one for all chains.
        traces: (n_chains,) where the chains are now.
        acceptance: (n_steps,) float, mean acceptance probability over chains at each step.
    """

    kernel: JitteredHMC
    traces: AnyTrace
    acceptance: Array


class _Loop(NamedTuple):
    """The chains, and the adaptation after `index` steps. `square` is Adam's running mean of squared gradients."""

    states: PyTree
    averaging: DualAveraging
    log_length: Array
    log_average: Array
    square: Array
    index: Array


def chees(kernel: HMC, *, target: float = _TARGET) -> Callable[..., Chees]:
    """`found = seed(chees(kernel))(key, initial_traces, n_steps, n_chains=...)`: adapt HMC by many chains together.

    The chains go on with `seed(chain(found.kernel))(key, found.traces, n_steps, n_chains=...)`.

    Args:
        kernel: an HMC kernel; its step size, and step size times number of steps, are first guesses. Its mass matrix is
            kept.
        target: of the harmonic mean over chains of acceptance probabilities.

    Returns:
        `run(initial_traces, n_steps, *, n_chains) -> Chees`, with a batch of `n_chains` traces, which `starting_points`
        makes, or one trace for all. Some tens of chains or more make a good estimate.

    Raises:
        TypeError: a kernel that is not HMC.
        ValueError: fewer than 2 chains: the spread between them is what is followed; or a batch of another size.
    """
    if not isinstance(kernel, HMC):
        raise TypeError(
            f"chees adapts the trajectories of an HMC kernel, such as HMC(sel('x'), 0.1, 10), got "
            f"{type(kernel).__name__}. NUTS finds its own, and `warmup` adapts the step size of others."
        )

    def run(initial_traces: AnyTrace, n_steps: Size, *, n_chains: Size) -> Chees:
        n, n_steps = count(n_chains, "n_chains", least=1), count(n_steps, "n_steps", least=1)
        if n < 2:
            raise ValueError("chees got n_chains=1. It follows the spread between chains: run some tens of them.")
        traces = _batch(initial_traces, n)
        step_size = jnp.asarray(kernel.step_size, float)
        log_length = jnp.log(step_size * jnp.maximum(kernel.n_steps if _is_traced(kernel) else kernel.n_steps.value, 1))
        first = jnp.zeros((), jnp.int32)
        states = modular_vmap(kernel.init)(traces)
        loop = _Loop(states, DualAveraging.start(step_size), log_length, log_length, jnp.zeros(()), first)
        loop, acceptance = jax.lax.scan(lambda loop, _: _step(kernel, target, loop), loop, None, length=n_steps)
        length = jnp.exp(loop.log_average)
        step_size = jnp.exp(loop.averaging.log_average)
        found = JitteredHMC(kernel.selection, step_size, length, kernel.inverse_mass, kernel.transform)
        return Chees(found, loop.states.trace, acceptance)

    run.__static_parameters__ = ("n_steps", "n_chains")  # type: ignore[attr-defined]
    return run


def _step(kernel: HMC, target: float, loop: _Loop) -> tuple[_Loop, Array]:
    """One step of all chains, and of the adaptation. All trajectories have the same number of steps."""
    step_size = jnp.exp(loop.averaging.log_step_size)
    at_now = JitteredHMC(kernel.selection, step_size, jnp.exp(loop.log_length), kernel.inverse_mass, kernel.transform)
    now = at_now.hmc(loop.index)

    def lane(state: PyTree) -> PyTree:
        density = now.density(state.trace, state)
        if density is None:
            raise ValueError("chees got a kernel that selects no choices, so there is nothing to adapt it to.")
        moved = now.trajectory(state, density)
        new, _ = now.decide(state, density, moved)
        flat = density.space.join if not density.is_vector else lambda position: position[0]
        speed = velocity(kernel.inverse_mass, moved.end.momentum)
        acceptance = acceptance_probability(moved.log_alpha)
        return new, flat(density.position), flat(moved.end.position), flat(speed), acceptance

    states, before, after, speed, acceptance = jax.vmap(lane)(loop.states)
    is_finite = jnp.all(jnp.isfinite(after) & jnp.isfinite(speed), axis=1) & (acceptance > 0)
    weights = jnp.where(is_finite, acceptance, 0.0)
    total = jnp.maximum(jnp.sum(weights), _SMALL)
    after, speed = (jnp.where(is_finite[:, None], x, 0.0) for x in (after, speed))
    centred = after - jnp.sum(weights[:, None] * after, axis=0) / total
    spread = before - jnp.mean(before, axis=0)
    change = jnp.sum(centred**2, axis=1) - jnp.sum(spread**2, axis=1)
    time = halton(loop.index) * jnp.exp(loop.log_length)  # d s'/d log T is the time times the velocity at the end
    gradient = time * jnp.sum(weights * change * jnp.sum(centred * speed, axis=1)) / total
    t = loop.index + 1.0
    square = _DECAY * loop.square + (1 - _DECAY) * gradient**2
    ascent = gradient / (jnp.sqrt(square / (1 - _DECAY**t)) + _SMALL)
    # Between one leapfrog step and what a kernel may do.
    log_length = jnp.maximum(loop.log_length + _LEARNING_RATE * ascent, jnp.log(step_size))
    share = t**-_AVERAGED
    log_average = share * log_length + (1 - share) * loop.log_average
    harmonic = 1 / jnp.mean(1 / jnp.maximum(acceptance, 1e-3))
    averaging = loop.averaging.update(harmonic, target)
    return _Loop(states, averaging, log_length, log_average, square, loop.index + 1), jnp.mean(acceptance)


def _is_traced(kernel: HMC) -> bool:
    return isinstance(kernel.n_steps, jax.Array)


def _batch(traces: AnyTrace, n: int) -> AnyTrace:
    """A batch of n traces with arguments of their own."""
    shape = jnp.shape(traces.raw_score())
    if shape and shape[0] != n:
        raise ValueError(
            f"chees got n_chains={n} and a batch of {shape[0]} initial traces. Pass one trace per chain, or a single "
            "trace for all."
        )
    if not shape:
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *jnp.shape(leaf))), unshared(traces))
    own = lambda node: jnp.broadcast_to(node.value, (n, *node.value.shape[1:])) if is_shared(node) else node
    return jax.tree.map(own, traces, is_leaf=is_shared)
