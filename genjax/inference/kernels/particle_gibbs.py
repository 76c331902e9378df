"""Particle Gibbs: a new path of the steps of a `Scan`, by sequential Monte Carlo that retains the current one."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core import Fn, Scan, sel
from genjax.core.addresses import Path, addresses, path_text, selected_paths
from genjax.core.const import count, unwrap
from genjax.core.lanes import scalar
from genjax.core.observed import Marks, movable, staying
from genjax.core.pytree import Pytree
from genjax.core.selection import Selectable, SelectionBase
from genjax.core.trace import AnyTrace
from genjax.distributions import categorical
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply
from genjax.inference.kernels.metropolis import acceptance_probability, accepts
from genjax.inference.resampling import ancestral_lineage, resample_ancestors
from genjax.signatures import Args, Choices, Kwargs, PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class ParticleGibbs(Kernel):
    """Particle Gibbs on a `Scan`; see `particle_gibbs`.

    Attributes:
        selection: the choices to move, all in one `Scan`.
        n_particles: N, the current path among them.
    """

    selection: Selectable
    n_particles: int = Pytree.static(default=20)

    def __post_init__(self) -> None:
        object.__setattr__(self, "selection", sel(self.selection))
        n = count(unwrap(self.n_particles), "The n_particles of ParticleGibbs")
        if n is None or n < 2:
            raise ValueError(f"ParticleGibbs got n_particles={n}. It needs one besides the retained path: at least 2.")
        object.__setattr__(self, "n_particles", n)

    def init(self, trace: AnyTrace) -> TraceState:
        _steps_of(trace, self.selection)
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        steps = _steps_of(trace, self.selection)
        choices, drawn = _path_given(steps, self.n_particles)
        gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
        changes, _ = steps.scan.filter(choices, steps.selection)
        for addr in reversed(steps.path):
            changes = {addr: changes}
        proposal, log_weight, _ = gen_fn.update(trace, changes, *args, **kwargs)
        # What the rest of the model says about the new path, about which the particles did not ask.
        own = _at(trace, steps.path).raw_score() - _at(proposal, steps.path).raw_score()
        log_alpha = scalar(log_weight) - own if steps.path else jnp.zeros(())
        is_new = drawn != 0
        accept = is_new & accepts(log_alpha)
        new = select_trace(accept, proposal, trace)
        return TraceState(new), Info.of(accept, is_new * acceptance_probability(log_alpha), new.get_score())


class _Steps(NamedTuple):
    """The `Scan` whose steps are moved: where it is, what it was called with, and its choices."""

    path: Path
    scan: Scan
    args: Args
    kwargs: Kwargs
    choices: Choices
    selection: SelectionBase
    held: Marks


def _steps_of(trace: AnyTrace, wanted: Selectable) -> _Steps:
    """The innermost function call that has all selected choices, if it is a `Scan` below nothing but functions.

    Missing elements of data that was observed in part move along inside of it, and stay where they are outside.

    Raises:
        ValueError: it is not.
    """
    gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
    choices, (selection, held) = trace.get_choices(), movable(trace, wanted, "particle_gibbs")
    path: Path = ()
    asked = selected_paths(sel(wanted), addresses(trace))
    chosen = [path for path in selected_paths(selection, addresses(trace)) if path in asked]
    while isinstance(gen_fn, Fn) and chosen and len({p[: len(path) + 1] for p in chosen}) == 1:
        addr = chosen[0][len(path)]
        gen_fn, args, kwargs = gen_fn.call_at(addr, choices, *args, **kwargs)
        choices, selection, path = choices[addr], selection.match(addr)[1], (*path, addr)
        held = held.get(addr, {}) if isinstance(held, dict) else held
    if not isinstance(gen_fn, Scan):
        raise ValueError(
            f"particle_gibbs was asked to move {', '.join(map(path_text, chosen)) or 'nothing'}. It moves choices in "
            "the steps of one Scan, which the model calls at an address, or is: select those, and move others by "
            "other kernels: compose(ParticleGibbs('steps'), NUTS('rate'))."
        )
    init, xs = (*args, *(None,) * (2 - len(args)))[:2]
    return _Steps(path, gen_fn, (init, kwargs.get("xs", xs)), _without(kwargs, "xs"), choices, selection, held)


def _without(kwargs: Kwargs, name: str) -> Kwargs:
    return {key: value for key, value in kwargs.items() if key != name}


def _path_given(steps: _Steps, n: int) -> tuple[Choices, Array]:
    """`(choices, number)` of a path drawn by weight from n particles, of which number 0 is the current one."""
    (init, xs), kwargs, callee = steps.args, steps.kwargs, steps.scan.callee
    n_steps = jax.tree.leaves(steps.choices)[0].shape[0]
    held = jax.tree.map(lambda mask: jnp.broadcast_to(mask, (n_steps, *mask.shape[1:])), steps.held)

    def step(loop: PyTree, inputs: PyTree) -> PyTree:
        (states, log_weights), (x, choices, held) = loop, inputs
        kept, old = (staying(choices, steps.selection, held, drop) for drop in (True, False))
        others = resample_ancestors(log_weights, n - 1, "categorical")
        ancestors = jnp.concatenate([jnp.zeros(1, jnp.int32), others])
        states = jax.tree.map(lambda leaf: leaf[ancestors], states)

        def extended(state: PyTree) -> tuple[Choices, Array, PyTree]:
            trace, log_weight = callee.generate(kept, state, x, **kwargs)
            return trace.get_choices(), scalar(log_weight), trace.get_retval()[0]

        first = jax.tree.map(lambda leaf: leaf[0], states)
        log_weight, (state, _) = callee.assess(old, first, x, **kwargs)
        retained = choices, scalar(log_weight), state
        put = lambda batch, one: batch.at[0].set(jnp.asarray(one, batch.dtype))
        drawn, log_weights, states = jax.tree.map(put, jax.vmap(extended)(states), retained)
        return (states, jnp.where(jnp.isnan(log_weights), -jnp.inf, log_weights)), (drawn, ancestors)

    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (n, *jnp.shape(leaf))), init)
    (_, log_weights), (drawn, ancestors) = jax.lax.scan(step, (states, jnp.zeros(n)), (xs, steps.choices, held))
    number = categorical.sample(log_weights)
    lineage = ancestral_lineage(ancestors, number)
    return jax.tree.map(lambda leaf: leaf[jnp.arange(n_steps), lineage], drawn), number


def _at(trace: AnyTrace, path: Path) -> AnyTrace:
    for addr in path:
        trace = trace.raw_choices()[addr]
    return trace


def particle_gibbs(trace: T, selection: Selectable, n_particles: int = 20) -> T:
    """`new_trace = particle_gibbs(trace, selection, n_particles)`: a new path through the steps of a `Scan`.

    N particles go through the steps side by side. Number 0 has the current choices; at each step the others draw the
    selected choices from the step's model, given states that were resampled by weight, the density of everything else
    in the step. One particle is drawn by its weight at the end, and its ancestors' choices are the new path. If what
    follows the Scan depends on it, the path is accepted with probability `min(1, p(rest | new) / p(rest | old))`.

    Early steps change rarely when there are fewer particles than steps, because all ancestors are the same.

    Args:
        trace: the current state. Model and arguments stay what they are.
        selection: choices in the steps of one `Scan`, which the model calls or is; the address of the Scan stands for
            all of them that were not observed.
        n_particles: N, at least 2.

    Returns:
        The new state. Saves `accept`, () bool, for `state`: whether another path was drawn.

    Raises:
        ValueError: fewer than two particles; selected choices that are not all in one Scan, that the trace does not
            have, or that were observed.

    Source: Andrieu, Doucet and Holenstein, *Particle Markov chain Monte Carlo methods* (JRSS B 2010), sections 2.4.3
    and 4.5. The kernel is reversible (Chopin and Singh, *On particle Gibbs sampling*, Bernoulli 2015), which makes it a
    proposal where the rest of the model is left.
    """
    return apply(ParticleGibbs(selection, n_particles), trace)
