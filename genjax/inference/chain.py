"""Chains: a Markov kernel repeated, its traces collected and diagnosed."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from genjax.core import Const, Pytree, Trace, get_choices
from genjax.core.const import Size, count, unwrap
from genjax.core.trace import AnyTrace
from genjax.inference.adaptation.warmup import Tuned, adapted, aim
from genjax.inference.diagnostics import diagnose
from genjax.inference.kernels.function import as_kernel
from genjax.inference.kernels.kernel import Collect, Info, Kernel, Move
from genjax.inference.kernels.start import check_start
from genjax.inference.repeat import Lanes, Schedule, Start, begin, repeat
from genjax.shapes import Bool, Float
from genjax.signatures import PyTree

#: Read by `seed`, which would otherwise trace plain numbers.
Progress: TypeAlias = bool | Callable[[int, int], None]
"""Whether to report the steps made, or what is called with their number and that of all steps."""

_STATIC = (
    "n_steps", "burn_in", "autocorrelation_resampling", "n_chains", "n_warmup", "target_acceptance", "progress",
)  # fmt: skip


@Pytree.dataclass
class MCMCResult(Pytree):
    """The result of one or more chains.

    Attributes:
        traces: the kept states as a batch of traces (or what `collect` makes of them): leading axes (steps,), or
            (chains, steps). The model's arguments are those of all steps, held once.
        accepts: bool, what the kernel saved as `accept` at the kept steps: (steps,) or (chains, steps).
        acceptance_rate: mean of `accepts`, ().
        n_steps: number of kept steps of each chain.
        n_chains: number of chains.
        rhat: per choice, `compute_rhat`: the tree of the choices, with the choice's own shape. None for one chain.
        ess_bulk: per choice, `compute_ess(kind="bulk")`, likewise.
        ess_tail: per choice, `compute_ess(kind="tail")`, likewise.
        info: the kernel's `Info` at the kept steps, its fields of the axes of `accepts`. None for a function.
        kernel: the kernel that ran, adapted if there was a warm-up. None for a function.
    """

    traces: PyTree
    accepts: Bool[jax.Array, "*chains steps"]
    acceptance_rate: Float[jax.Array, ""]
    n_steps: Const[int]
    n_chains: Const[int]
    rhat: PyTree = Pytree.field(default=None)
    ess_bulk: PyTree = Pytree.field(default=None)
    ess_tail: PyTree = Pytree.field(default=None)
    info: Info = Pytree.field(default=None)
    kernel: Kernel = Pytree.field(default=None)

    def to_dict(self) -> dict[str, dict[str, jax.Array]]:
        """Plain arrays with leading axes (chains, steps), by group and name, as `arviz.from_dict` takes them.

        Returns:
            `{"posterior": {address path with "/": values}, "sample_stats": {"accepted": ..., "lp": ...}}`. Addresses
            with a slash are in quotes. `lp`, the log density of the state, is there when traces were collected.
        """
        single = self.n_chains.value == 1

        def arranged(values: PyTree) -> jax.Array:
            return jnp.asarray(values)[None] if single else jnp.asarray(values)

        named = jax.tree_util.tree_leaves_with_path(get_choices(self.traces))
        posterior = {"/".join(map(_key_text, path)) or "x": arranged(v) for path, v in named}
        statistics = {"accepted": arranged(self.accepts)}
        if isinstance(self.traces, Trace):
            statistics["lp"] = arranged(-self.traces.scores())
        return {"posterior": posterior, "sample_stats": statistics}


def chain(kernel: Kernel | Move, *, collect: Collect | None = None) -> Callable[..., MCMCResult]:
    """`run = chain(kernel)`; `result = seed(run)(key, initial_trace, n_steps)`: repeat a kernel.

    Args:
        kernel: a `Kernel`, such as `HMC(sel("x"), 0.1, 10)`, or a function `trace -> trace` of the same model, such as
            `lambda trace: hmc(trace, sel("x"), 0.1, 10)`, which may compose several moves; the last `accept` that it
            saves is that of the step. Both forms compute the same, in the same time.
        collect: `trace -> pytree of arrays`, what is kept of each step; `get_choices` keeps no scores and return
            values. The whole trace by default.

    Returns:
        `run(initial_trace, n_steps, *, burn_in=0, autocorrelation_resampling=1, n_chains=1) -> MCMCResult`; for a
        `Kernel` also `n_warmup=0, target_acceptance=None, progress=False`. For a function the same object each time,
        for a `Kernel` one whose arrays, such as its step size, are arguments of the compiled program: so
        `seed(chain(kernel))` compiles once. Its arguments:

        initial_trace: where chains start. For different starts, a batch of `n_chains` traces, made under
            `modular_vmap`; otherwise all chains start from the one trace.
        n_steps: number of kernel steps of a chain, an int or `Const`.
        burn_in: leave out this many steps at the beginning.
        autocorrelation_resampling: keep one step in this many after that. The others are never stored. Kept are
            the states after steps `range(burn_in, n_steps, autocorrelation_resampling)`, counted from 0; the values do
            not depend on which are kept.
        n_chains: number of chains, run side by side under `vmap`.
        n_warmup: steps before the first, not kept, in which each chain adapts step size and mass matrix of its kernel;
            see `warmup`. For a `Kernel` only.
        target_acceptance: mean acceptance probability that the warm-up aims at; None for the kernel's own, 0.8 for NUTS
            and HMC. More means smaller steps: for posteriors with narrow parts, where there are divergences.
        progress: True writes the number of steps made to standard error some twenty times during the run, a function is
            called with it and the number of all steps. Off by default. For a `Kernel` only.

    Raises:
        TypeError: a count is traced, or not an integer; a function is given what only a `Kernel` takes.
        ValueError: a count is out of range, a batch of initial traces has another size than `n_chains`, or
            `target_acceptance` is not between 0 and 1, or comes without a warm-up.
    """
    if isinstance(kernel, Kernel):
        return Chain(kernel, collect)
    runs = _runs_of(kernel)
    if collect not in runs:
        runs[collect] = _make_run(kernel, collect)
    return runs[collect]


def _key_text(key: jax.Array) -> str:
    """An address as a part of a path; one with a slash in quotes, so that it is not taken for two."""
    text = str(getattr(key, "key", key))
    return f'"{text}"' if "/" in text else text


@Pytree.dataclass
class Chain(Pytree):
    """What `chain` makes of a `Kernel`: the arrays in the kernel stay arguments when it is seeded or jitted."""

    kernel: Kernel
    collect: Collect | None = Pytree.static(default=None)

    def __call__(
        self,
        initial_trace: AnyTrace,
        n_steps: Size,
        *,
        burn_in: Size = 0,
        autocorrelation_resampling: Size = 1,
        n_chains: Size = 1,
        n_warmup: Size = 0,
        target_acceptance: float | Const[float] | None = None,
        progress: Progress | Const[Progress] = False,
    ) -> MCMCResult:
        check_start(initial_trace)
        schedule = _schedule(n_steps, burn_in, autocorrelation_resampling)
        lanes = _lanes(initial_trace, count(n_chains, "n_chains", 1))
        n_warmup, target = count(n_warmup, "n_warmup", 0), aim(target_acceptance, "target_acceptance")
        if target is not None and not n_warmup:
            raise ValueError(
                f"chain got target_acceptance={target} and no warm-up, which alone aims at it. Pass n_warmup too, "
                "or leave target_acceptance out."
            )
        report = _reporter(unwrap(progress), schedule.n_run)
        if not n_warmup:
            start = begin(self.kernel, initial_trace, lanes)
            result = _run_chains(self.kernel, self.collect, start, schedule, lanes, report)
            return dataclasses.replace(result, kernel=self.kernel)
        start = adapted(self.kernel, initial_trace, n_warmup, lanes, {"target": target})
        result = _run_chains(Tuned(self.kernel), self.collect, start, schedule, lanes, report)
        return dataclasses.replace(result, kernel=jax.tree.unflatten(start.structure, start.leaves).kernel)

    def __check_arguments__(self, initial_trace: AnyTrace, *args: Any, **kwargs: Any) -> None:
        check_start(initial_trace)

    @property
    def __static_parameters__(self) -> tuple[str, ...]:
        return _STATIC


def _runs_of(kernel: Move) -> dict[Hashable, Callable[..., MCMCResult]]:
    """The runs made of a kernel, kept on the kernel itself: they live as long as it does."""
    owner, runs = getattr(kernel, "__chains__", (None, {}))
    if owner is not kernel:  # none yet, or an attribute that functools.wraps copied
        runs = {}
        with contextlib.suppress(AttributeError):  # a bound method takes no attributes: its runs are made again
            kernel.__chains__ = (kernel, runs)  # type: ignore[attr-defined]
    return runs


def _make_run(kernel: Move, collect: Collect | None) -> Callable[..., MCMCResult]:
    def run(
        initial_trace: AnyTrace,
        n_steps: Size,
        *,
        burn_in: Size = 0,
        autocorrelation_resampling: Size = 1,
        n_chains: Size = 1,
        **of_kernels: Any,
    ) -> MCMCResult:
        if of_kernels:
            raise TypeError(
                f"chain(function) got {', '.join(of_kernels)}. A function from trace to trace has burn_in, "
                "autocorrelation_resampling and n_chains; only a Kernel, such as HMC(sel('x'), 0.1, 10), has "
                "n_warmup, target_acceptance and progress too."
            )
        schedule = _schedule(n_steps, burn_in, autocorrelation_resampling)
        lanes, moves = _lanes(initial_trace, count(n_chains, "n_chains", 1)), as_kernel(kernel)
        return _run_chains(moves, collect, begin(moves, initial_trace, lanes), schedule, lanes)

    run.__static_parameters__ = _STATIC  # type: ignore[attr-defined]
    run.__name__ = f"chain({getattr(kernel, '__name__', 'kernel')})"
    return run


def _schedule(n_steps: Size, burn_in: Size, thinning: Size) -> Schedule:
    counts = count(n_steps, "n_steps", 0), count(burn_in, "burn_in", 0)
    return Schedule(*counts, count(thinning, "autocorrelation_resampling", 1))


def _reporter(progress: Progress, n_steps: int) -> Callable[[jax.Array], None] | None:
    """What is called with the number of steps made; None for no reports."""
    if not progress:
        return None
    if callable(progress):
        return lambda step: progress(int(step), n_steps)
    return lambda step: print(f"chain: {int(step):,} of {n_steps:,} steps", file=sys.stderr)  # noqa: T201


def _lanes(initial: AnyTrace, n_chains: int) -> Lanes | None:
    if n_chains == 1:
        return None
    batch_shape = jnp.shape(initial.raw_score())
    if batch_shape and batch_shape[0] != n_chains:
        raise ValueError(
            f"chain got n_chains={n_chains} and a batch of {batch_shape[0]} initial traces. Pass one trace per chain, "
            "or a single trace for all."
        )
    return Lanes(n_chains, len(batch_shape) > 0)


def _run_chains(
    kernel: Kernel,
    collect: Collect | None,
    start: Start,
    schedule: Schedule,
    lanes: Lanes | None,
    report: Callable[[jax.Array], None] | None = None,
) -> MCMCResult:
    traces, info, constants, _ = repeat(kernel, collect, start, schedule, lanes, report)
    # None for a function, which says nothing else than whether it was accepted.
    accepts, info = (info.accept, info) if isinstance(info, Info) else (info, None)
    rate = jnp.mean(accepts) if accepts.size else jnp.array(jnp.nan)
    n_chains = 1 if lanes is None else lanes.size
    result = MCMCResult(traces, accepts, rate, Const(schedule.n_kept), Const(n_chains), info=info)  # type: ignore[arg-type]
    if lanes is None:
        return result
    rhat, ess_bulk, ess_tail = diagnose(get_choices(traces), constants)
    return dataclasses.replace(result, rhat=rhat, ess_bulk=ess_bulk, ess_tail=ess_tail)
