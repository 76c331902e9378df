"""Metropolis-Hastings with proposals written as generative functions, and involutive MCMC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from genjax.core import Const, sel
from genjax.core.addresses import path_text
from genjax.core.gfi import AnyGFI
from genjax.core.lanes import scalar
from genjax.core.observed import Marks, hold, movable
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.carry import plain, select_trace
from genjax.inference.kernels.kernel import Info, Kernel, TraceState, apply
from genjax.inference.kernels.metropolis import acceptance_probability, accepts
from genjax.inference.proposed import addresses_of, check_proposed, choices_by_path
from genjax.signatures import Args, Choices, PyTree

T = TypeVar("T", bound=AnyTrace)


@Pytree.dataclass
class Involutive(Kernel):
    """Involutive MCMC; see `involutive`. Without an involution, Metropolis-Hastings; see `propose`.

    Attributes:
        proposal: generative function of the auxiliary choices u, called as `proposal(choices, *arguments)`.
        involution: `(choices, u) -> (new choices, new u)`, a `Const`; `Const(None)` takes u for new choices.
        arguments: further arguments of the proposal, a tuple.
    """

    proposal: AnyGFI
    involution: Any = Pytree.field(default=Const(None))
    arguments: Args = ()

    def __post_init__(self) -> None:
        if not isinstance(self.involution, Const):
            object.__setattr__(self, "involution", Const(self.involution))

    def init(self, trace: AnyTrace) -> TraceState:
        return TraceState(plain(trace))

    def step(self, state: TraceState) -> tuple[TraceState, Info]:
        trace = state.trace
        gen_fn, (args, kwargs) = trace.get_gen_fn(), trace.get_args()
        old = trace.get_choices()
        forward = self.proposal.simulate(old, *self.arguments)
        auxiliary = forward.get_choices()
        if self.involution.value is None:
            check_proposed(auxiliary, old, gen_fn)
            moved = addresses_of(auxiliary)
            held = _held(trace, auxiliary, "propose")
            replaced, _ = gen_fn.filter(old, moved)
            # Observed elements of a partly observed choice stay, and what was drawn for them stays auxiliary.
            changes, back, log_determinant = hold(held, auxiliary, old), hold(held, replaced, auxiliary), jnp.zeros(())
        else:
            changes, back, log_determinant = _mapped(self.involution.value, old, auxiliary)
            check_proposed(changes, old, gen_fn)
            _check_unobserved(trace, changes)
        proposed, log_weight, _ = gen_fn.update(trace, changes, *args, **kwargs)
        log_back, _ = self.proposal.assess(back, proposed.get_choices(), *self.arguments)
        log_alpha = scalar(log_weight) + scalar(log_back) + forward.get_score() + log_determinant
        accept = accepts(log_alpha)
        new = select_trace(accept, proposed, trace)
        return TraceState(new), Info.of(accept, acceptance_probability(log_alpha), new.get_score())


def _held(trace: AnyTrace, changes: Choices, kernel: str) -> Marks:
    """The observed elements of what is to be changed; each changed address counts as named by the user."""
    return movable(trace, sel(*(path or () for path in choices_by_path(changes))), kernel).held


def _check_unobserved(trace: AnyTrace, changes: Choices) -> None:
    """Raise ValueError if an involution changes a choice of which anything was observed."""
    held = _held(trace, changes, "involutive")
    at_fault = [path for path in choices_by_path(changes) if path in choices_by_path(held)]
    if at_fault:
        raise ValueError(
            f"The involution changes {', '.join(map(path_text, at_fault))}, of which generate() was given elements as "
            "data. An involution changes whole choices: return only those that are to be inferred, or use "
            "`propose(trace, proposal)`, which leaves the observed elements where they are."
        )


def _mapped(
    involution: Callable[..., tuple[Choices, Choices]], old: PyTree, auxiliary: Choices
) -> tuple[Choices, Choices, Array]:
    """`(changes, u', log |det J|)`, with J the Jacobian of the involution in all floating-point numbers."""
    changes, back = involution(old, auxiliary)
    inputs, structure = jax.tree.flatten((old, auxiliary))
    floats = [i for i, x in enumerate(inputs) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    sizes = [jnp.size(inputs[i]) for i in floats]

    def in_floats(vector: Array) -> Array:
        leaves, at = list(inputs), 0
        for i, size in zip(floats, sizes, strict=True):
            leaves[i] = vector[at : at + size].reshape(jnp.shape(inputs[i]))
            at += size
        choices, u = jax.tree.unflatten(structure, leaves)
        new, new_u = involution(choices, u)
        return _floats((_overlaid(choices, new), new_u))

    jacobian = jax.jacfwd(in_floats)(_floats((old, auxiliary)))
    if jacobian.shape[0] != jacobian.shape[1]:
        raise ValueError(
            f"The involution maps {jacobian.shape[1]} floating-point numbers to {jacobian.shape[0]}. It must return "
            "auxiliary choices of the addresses and shapes that the proposal makes."
        )
    return changes, back, jnp.linalg.slogdet(jacobian)[1]


def _floats(tree: PyTree) -> Array:
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
    return jnp.concatenate([jnp.ravel(jnp.asarray(x)) for x in leaves]) if leaves else jnp.zeros(0)


def _overlaid(choices: Choices, new: Choices) -> Choices:
    if isinstance(choices, dict) and isinstance(new, dict):
        return {addr: _overlaid(value, new[addr]) if addr in new else value for addr, value in choices.items()}
    return new


def propose(trace: T, proposal: AnyGFI, *arguments: Any) -> T:
    """`new_trace = propose(trace, proposal)`: Metropolis-Hastings with a proposal written as a generative function.

    With q the proposal, u its choices, which are new values at addresses of the model, and x the old values there,

        log alpha = log P(u, y) - log P(x, y) + log q(x; choices with u) - log q(u; choices with x).

    Args:
        trace: the current state.
        proposal: called as `proposal(choices, *arguments)` with all choices of the trace.
        arguments: its further arguments, such as a step size.

    Returns:
        The new state, or `trace` where the proposal is rejected. Saves `accept`, () bool, for `state`.

    Raises:
        ValueError: the proposal makes a choice at an address that the model lacks or that was observed. Observed
            elements of a partly observed choice stay where they are.

    Source: Hastings, *Monte Carlo sampling methods using Markov chains and their applications* (1970).
    """
    return apply(Involutive(proposal, Const(None), arguments), trace)


def involutive(trace: T, proposal: AnyGFI, involution: Callable[..., tuple[Choices, Choices]], *arguments: Any) -> T:
    """`new_trace = involutive(trace, proposal, involution)`: move choices and auxiliary choices by an involution.

    With u the choices of the proposal, and `(x', u') = involution(x, u)` a map that is its own inverse, of Jacobian J,

        log alpha = log P(x') - log P(x) + log q(u'; x') - log q(u; x) + log |det J|.

    Args:
        trace: the current state.
        proposal: generative function of u, called as `proposal(choices, *arguments)`.
        involution: from all choices of the trace and u to `(changed choices, u')`. J is found by differentiation.
        arguments: further arguments of the proposal.

    Returns:
        The new state, or `trace` where the move is rejected. Saves `accept`, () bool, for `state`.

    Raises:
        ValueError: a changed address that the model does not have or of which anything was observed, or u' of another
            size than u.

    Source: Cusumano-Towner, Lew and Mansinghka, *Automating involutive MCMC using probabilistic and differentiable
    programming* (2020).
    """
    return apply(Involutive(proposal, Const(involution), arguments), trace)
