"""Windowed adaptation of kernels that have a step size, and maybe a mass matrix."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from genjax.core.const import Const, Size, count, unwrap
from genjax.core.pytree import Pytree
from genjax.core.trace import AnyTrace
from genjax.inference.adaptation.dual_averaging import DualAveraging
from genjax.inference.adaptation.moments import Moments
from genjax.inference.adaptation.windows import windows
from genjax.inference.kernels.kernel import Info, Kernel, State
from genjax.inference.kernels.metric import factor_of
from genjax.inference.repeat import Lanes, Schedule, Start, begin, repeat
from genjax.inference.unconstrained import unconstrained
from genjax.signatures import PyTree

_MOST_STEPS = 1024  # of a trajectory of adapted length


@Pytree.dataclass
class AdaptingState(Pytree):
    """The kernel as it is now, its state, and what is known for the next adaptation."""

    inner: Any  # the state of `kernel`
    kernel: Any  # one with a step size
    averaging: DualAveraging
    moments: Moments | None
    index: jax.Array

    @property
    def trace(self) -> AnyTrace:
        return self.inner.trace


@Pytree.dataclass
class Adapting(Kernel):
    """A kernel that adapts itself; valid as a warm-up only, since it never forgets its past.

    Attributes:
        kernel: with a first guess of its step size.
        n_steps: length of the warm-up, which decides the windows.
        target: acceptance probability to aim at; None for the kernel's own.
        dense: whether the mass matrix is dense.
        trajectory_length: for HMC, the length that `n_steps` times the step size is kept at, in units of posterior
            standard deviations once the mass matrix is known; None keeps the number of steps.
    """

    kernel: Any
    n_steps: Const[int]
    target: float | None = Pytree.static(default=None)
    dense: bool = Pytree.static(default=False)
    trajectory_length: float | None = Pytree.static(default=None)

    def init(self, trace: AnyTrace) -> AdaptingState:
        kernel = self.kernel
        if not hasattr(kernel, "step_size"):
            raise TypeError(
                f"A warm-up adapts kernels with a step_size, such as NUTS, HMC and MALA, got {type(kernel).__name__}. "
                "Run it without n_warmup, and leave out the first steps with burn_in."
            )
        kernel = dataclasses.replace(kernel, step_size=jnp.asarray(kernel.step_size, float))
        moments = None
        if hasattr(kernel, "inverse_mass"):
            space = unconstrained(trace, kernel.selection, transform=kernel.transform, kernel="warmup")
            n = space.vector.size
            if kernel.inverse_mass is None:
                kernel = dataclasses.replace(kernel, inverse_mass=jnp.eye(n) if self.dense else jnp.ones(n))
            moments = Moments.start(jnp.asarray(kernel.inverse_mass))
        kernel = self._with_step_size(kernel, kernel.step_size)
        averaging = DualAveraging.start(kernel.step_size)
        return AdaptingState(kernel.init(trace), kernel, averaging, moments, jnp.zeros((), jnp.int32))

    def step(self, state: AdaptingState) -> tuple[AdaptingState, Info]:
        is_slow, ends = (jnp.asarray(flags)[state.index] for flags in windows(self.n_steps.value))
        kernel, inner = state.kernel, state.inner
        inner, info = kernel.step(inner)
        target = self.target if self.target is not None else kernel.target_acceptance
        averaging, moments = state.averaging.update(info.acceptance, target), state.moments
        if moments is not None:
            moments = _where(is_slow, moments.add(_position(kernel, inner)), moments)
            inverse_mass = jnp.where(ends, moments.inverse_mass(), kernel.inverse_mass)
            kernel = dataclasses.replace(kernel, inverse_mass=inverse_mass)
            inner = dataclasses.replace(inner, factor=_where(ends, factor_of(inverse_mass), inner.factor))
            moments = _where(ends, Moments.start(inverse_mass), moments)
            averaging = _where(ends, DualAveraging.start(jnp.exp(averaging.log_average)), averaging)
        is_last = state.index + 1 == self.n_steps.value
        step_size = jnp.exp(jnp.where(is_last, averaging.log_average, averaging.log_step_size))
        kernel = self._with_step_size(kernel, step_size)
        return AdaptingState(inner, kernel, averaging, moments, state.index + 1), info

    def _with_step_size(self, kernel: Any, step_size: ArrayLike) -> Any:
        kernel = dataclasses.replace(kernel, step_size=step_size)
        if self.trajectory_length is None or not hasattr(kernel, "n_steps"):
            return kernel
        n_steps = jnp.ceil(self.trajectory_length / step_size)
        return dataclasses.replace(kernel, n_steps=jnp.clip(n_steps, 1, _MOST_STEPS).astype(jnp.int32))


@Pytree.dataclass
class TunedState(Pytree):
    """A kernel and its state. Each chain has its own."""

    inner: State
    kernel: Kernel

    @property
    def trace(self) -> AnyTrace:
        return self.inner.trace


@Pytree.dataclass
class Tuned(Kernel):
    """A kernel whose parameters are part of the state."""

    kernel: Any

    def init(self, trace: AnyTrace) -> TunedState:
        return TunedState(self.kernel.init(trace), self.kernel)

    def step(self, state: TunedState) -> tuple[TunedState, Info]:
        inner, info = state.kernel.step(state.inner)
        return TunedState(inner, state.kernel), info


def adapted(kernel: Kernel, initial: AnyTrace, n_warmup: int, lanes: Lanes | None, options: dict[str, Any]) -> Start:
    """The states of `Tuned(kernel)` after a warm-up from `initial`, one per lane."""
    adapting = Adapting(kernel, Const(n_warmup), **options)
    schedule = Schedule(n_warmup, n_warmup, 1, runs_all=True)
    nothing = lambda trace: ()
    end = repeat(adapting, nothing, begin(adapting, initial, lanes), schedule, lanes).end
    tree = lambda leaves: jax.tree.unflatten(end.structure, leaves)
    states, has_axis = (TunedState(tree(x).inner, tree(x).kernel) for x in (end.leaves, end.has_axis))
    leaves, structure = jax.tree.flatten(states)
    return Start(leaves, jax.tree.leaves(has_axis), structure)


@Pytree.dataclass
class Warmed(Pytree):
    """What a warm-up found.

    Attributes:
        kernel: the adapted kernel; with several chains, the mean of their log step sizes and mass matrices.
        step_sizes: of each chain, () or (n_chains,).
    """

    kernel: Kernel
    step_sizes: jax.Array


def aim(value: Any, what: str) -> float | None:
    """An acceptance probability to aim at, a Python number; None stays None.

    Raises:
        TypeError: it is traced, or not a number.
        ValueError: it is not strictly between 0 and 1.
    """
    value = unwrap(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"{what} must be a Python float, got {type(value).__name__}. It decides how the program is compiled: write "
            "the number, or close over it."
        )
    if not 0 < value < 1:
        raise ValueError(f"{what} is a probability to aim at, strictly between 0 and 1, got {value}.")
    return float(value)


def warmup(
    kernel: Kernel, *, target: float | None = None, dense: bool = False, trajectory_length: float | None = None
) -> Callable[..., Warmed]:
    """`warmed = seed(warmup(kernel))(key, initial_trace, n_steps)`: adapt a kernel, in windows as Stan does.

    Step sizes by dual averaging, mass matrices from the positions of slow windows that double. A chain that warms up
    and goes on from where it got to is `seed(chain(kernel))(key, initial_trace, n_steps, n_warmup=...)`.

    Args:
        kernel: NUTS, HMC or another kernel with a `step_size`, which is the first guess.
        target: mean acceptance probability; 0.8 for NUTS and HMC, 0.574 for MALA by default.
        dense: whether the mass matrix is dense, where the kernel has none yet.
        trajectory_length: for HMC, see `Adapting`.

    Returns:
        `run(initial_trace, n_steps, *, n_chains=1) -> Warmed`.

    Raises:
        TypeError: the kernel has no step size, or `target` is not a number.
        ValueError: `target` is not strictly between 0 and 1.
    """
    options = {"target": aim(target, "The target of warmup"), "dense": dense, "trajectory_length": trajectory_length}

    def run(initial_trace: AnyTrace, n_steps: Size, *, n_chains: Size = 1) -> Warmed:
        n_chains = count(n_chains, "n_chains", least=1)
        lanes = None if n_chains == 1 else Lanes(n_chains, jnp.ndim(initial_trace.raw_score()) > 0)
        start = adapted(kernel, initial_trace, count(n_steps, "n_steps", least=1), lanes, options)
        tuned = jax.tree.unflatten(start.structure, start.leaves).kernel
        if lanes is None:
            return Warmed(tuned, tuned.step_size)
        pooled = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0).astype(leaf.dtype), tuned)
        step_size = jnp.exp(jnp.mean(jnp.log(tuned.step_size)))
        return Warmed(dataclasses.replace(pooled, step_size=step_size), tuned.step_size)

    run.__static_parameters__ = ("n_steps", "n_chains")  # type: ignore[attr-defined]
    return run


def _position(kernel: Any, inner: Any) -> Any:
    if inner.position is not None:
        return inner.position[0]
    return unconstrained(inner.trace, kernel.selection, transform=kernel.transform, kernel="warmup").vector


def _where(check: jax.Array, new: PyTree, old: PyTree) -> PyTree:
    return jax.tree.map(lambda a, b: jnp.where(check, a, b), new, old)
