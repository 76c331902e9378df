"""Running a kernel many times in one loop, storing only what is kept.

Two things that a kernel does at every step stay outside of the loop: parts of the state that it hands through
untouched, and random choices that do not depend on the state. Momenta and the uniforms of acceptance are drawn for many
steps in one batch; drawn step by step, they would cost a dozen tiny kernels each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.core.arguments import Shared, is_shared, raw_args, with_args
from genjax.core.trace import AnyTrace
from genjax.inference.carry import lean, map_traces, plain, require_same_structure, restore
from genjax.inference.kernels.function import Function
from genjax.inference.kernels.kernel import Collect, Info, Kernel
from genjax.inference.lane_blocks import in_blocks, number_of_blocks
from genjax.inference.parts import (
    can_run_in_any_order,
    drawn_ahead,
    equations_of_part,
    evaluate_part,
    has_open_loop,
)
from genjax.pjax import jax_internals
from genjax.pjax.evaluate import stage_flat
from genjax.pjax.jax_internals import Atom, ClosedJaxpr, Var
from genjax.signatures import PyTree

#: Most numbers that are drawn in one batch, which bounds the memory for them.
DRAWN_AHEAD = 1 << 16
#: Fewer steps than that are not worth a batch: many chains side by side draw large batches at each step anyhow.
FEWEST_AHEAD = 64


class Schedule(NamedTuple):
    """Which steps of a chain are kept: `range(burn_in, n_steps, thinning)`."""

    n_steps: int
    burn_in: int
    thinning: int
    runs_all: bool = False

    @property
    def n_kept(self) -> int:
        return len(range(self.burn_in, self.n_steps, self.thinning))

    @property
    def n_run(self) -> int:
        """Steps until the last kept one; later steps would change nothing, unless the state at the end is asked for."""
        if self.runs_all:
            return self.n_steps
        return self.burn_in + (self.n_kept - 1) * self.thinning + 1 if self.n_kept else 0

    def slot(self, step: int | jax.Array) -> int | jax.Array:
        """Where the state after `step` is stored. A step left out writes where the next kept one overwrites it."""
        if self.burn_in == 0 and self.thinning == 1:
            return step
        return jnp.maximum(0, -((self.burn_in - step) // self.thinning))


class Lanes(NamedTuple):
    """Chains side by side: how many, and whether each has a start of its own."""

    size: int
    different_starts: bool


class Start(NamedTuple):
    """A kernel's state, or one per lane.

    Attributes:
        leaves: its arrays.
        has_axis: whether each array has an axis of lanes in front; what lanes share has none.
        structure: of the state, with lean traces.
    """

    leaves: list[jax.Array]
    has_axis: list[bool]
    structure: PyTreeDef

    def of_one_lane(self) -> list[jax.Array]:
        return [leaf[0] if has_axis else leaf for leaf, has_axis in zip(self.leaves, self.has_axis, strict=True)]

    def axes(self) -> list[int | None]:
        return [0 if has_axis else None for has_axis in self.has_axis]


def begin(kernel: Kernel, initial: PyTree, lanes: Lanes | None) -> Start:
    """The state of a kernel at `initial`, a trace or a batch of one per lane, whose `Shared` arguments stay shared."""
    different = lanes is not None and lanes.different_starts
    leaves, structure = jax.tree.flatten(lean(plain(initial)))
    own = jax.tree.map(lambda node: different and not is_shared(node), initial, is_leaf=is_shared)
    trace = Start([jnp.asarray(leaf) for leaf in leaves], jax.tree.leaves(lean(restore(own))), structure)
    state_structure = structure

    def init(*leaves: jax.Array) -> list[ArrayLike]:
        nonlocal state_structure
        state = kernel.init(restore(jax.tree.unflatten(structure, leaves)))
        flat, state_structure = jax.tree.flatten(map_traces(lambda trace: lean(plain(trace)), state))
        return flat

    closed, _, _ = stage_flat(init, *trace.of_one_lane())
    place = {variable: i for i, variable in enumerate(closed.jaxpr.invars)}
    outputs = closed.jaxpr.outvars
    is_handed_on = [not isinstance(out, jax_internals.Literal) and out in place for out in outputs]
    computed = [out for out, handed_on in zip(outputs, is_handed_on, strict=True) if not handed_on]

    def compute(leaves: list[jax.Array]) -> list[ArrayLike]:
        return evaluate_part(closed, dict(zip(closed.jaxpr.invars, leaves, strict=True)), computed)

    run = jax.vmap(compute, in_axes=(trace.axes(),), axis_size=lanes.size) if lanes and different else compute
    values = iter(run(trace.leaves))
    state, has_axis = [], []
    for out, handed_on in zip(outputs, is_handed_on, strict=True):
        state.append(trace.leaves[place[out]] if handed_on else jnp.asarray(next(values)))
        has_axis.append(trace.has_axis[place[out]] if handed_on else different)
    return Start(state, has_axis, state_structure)


class Repeated(NamedTuple):
    """What a kernel went through.

    Attributes:
        kept: the kept states (what `collect` made of them) with leading axes ([lanes], n_kept).
        info: the kernel's info likewise, or its `accept` alone.
        constants: those arrays in `kept` that are the same at every step.
        end: the state after the last step.
    """

    kept: PyTree
    info: Info | jax.Array
    constants: list[jax.Array]
    end: Start


def repeat(
    kernel: Kernel,
    collect: Collect | None,
    start: Start,
    schedule: Schedule,
    lanes: Lanes | None,
    report: Callable[[jax.Array], None] | None = None,
) -> Repeated:
    """Run a kernel by `schedule` from `start`. The kernel is staged once.

    Args:
        kernel: the kernel.
        collect: `trace -> pytree of arrays`; None keeps traces.
        start: the kernel's state.
        schedule: which steps to run and keep.
        lanes: None for a single chain.
        report: called on the host with the number of steps made, some twenty times in all.

    Raises:
        TypeError: the kernel returns a trace of another structure, or leaves of another shape.
    """
    step = _stage(kernel, collect, start)
    kept, end = _loop(step, schedule, lanes, report)
    batch = (schedule.n_kept,) if lanes is None else (lanes.size, schedule.n_kept)
    values = [kept[id(out)] if id(out) in kept else _spread(*step.constant(out), batch) for out in step.records]
    stored = {id(array) for array in kept.values()}
    collected, info = jax.tree.unflatten(step.records_tree, values)
    constants = [value for value in jax.tree.leaves(collected) if id(value) not in stored]
    if collect is None:
        collected = _with_shared_args(restore(collected), step, lanes)
    return Repeated(collected, info, constants, end)


class _Step(NamedTuple):
    """A kernel staged at one state: `jaxpr(*start) -> (*state, *records)`.

    `moving` leaves change; the others are handed through. `records` are the output variables to keep.
    """

    jaxpr: ClosedJaxpr
    start: Start
    moving: list[int]
    records: list[Atom]
    records_tree: PyTreeDef

    @property
    def stored(self) -> list[Var]:
        """The records that may differ between steps, each once."""
        known = {*self.fixed(), *self.jaxpr.jaxpr.constvars}
        return list(
            dict.fromkeys(out for out in self.records if not (isinstance(out, jax_internals.Literal) or out in known))
        )

    def fixed(self) -> dict[Var, int]:
        """The input variables that are handed through, with their places."""
        return {var: i for i, var in enumerate(self.jaxpr.jaxpr.invars) if i not in self.moving}

    def constant(self, out: Atom) -> tuple[ArrayLike, int]:
        """The value of an output that never changes, and how many of the batch's axes it has."""
        if isinstance(out, jax_internals.Literal):
            return out.val, 0
        for variable, value in zip(self.jaxpr.jaxpr.constvars, self.jaxpr.consts, strict=True):
            if variable is out:
                return value, 0
        place = self.fixed()[out]
        return self.start.leaves[place], int(self.start.has_axis[place])


def _stage(kernel: Kernel, collect: Collect | None, start: Start) -> _Step:
    structure = records_tree = start.structure

    def step(*leaves: jax.Array) -> list[ArrayLike]:
        nonlocal records_tree
        old = jax.tree.unflatten(structure, leaves)
        moved, info = kernel.step(map_traces(restore, old))
        moved = map_traces(plain, moved)
        new = map_traces(lean, moved)
        require_same_structure(new, old)
        records = new.trace if collect is None else collect(moved.trace)
        kept = info.accept if isinstance(kernel, Function) else info
        flat, records_tree = jax.tree.flatten((records, kept))
        return [*jax.tree.leaves(new), *flat]

    while True:
        first = start.of_one_lane()
        # Not weakly typed, or the loop's input and output would differ.
        closed, _, _ = stage_flat(step, *(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in first))
        outputs = closed.out_avals[: len(first)]
        wanted = [jnp.promote_types(leaf.dtype, out.dtype) for leaf, out in zip(first, outputs, strict=True)]
        for i, (leaf, out) in enumerate(zip(first, outputs, strict=True)):
            if leaf.shape != out.shape:
                path = jax.tree_util.tree_leaves_with_path(jax.tree.unflatten(structure, range(len(first))))[i][0]
                raise TypeError(
                    f"The kernel of a chain changed the shape of {jax.tree_util.keystr(path)} from {leaf.shape} to "
                    f"{out.shape}. Start from a trace whose choices and arguments have the shapes that moves give them."
                )
        if [leaf.dtype for leaf in first] == wanted:
            break
        leaves = [jnp.asarray(leaf, dtype) for leaf, dtype in zip(start.leaves, wanted, strict=True)]
        start = start._replace(leaves=leaves)
    invars, outvars = closed.jaxpr.invars, closed.jaxpr.outvars
    moving = [i for i, variable in enumerate(invars) if outvars[i] is not variable]
    return _Step(closed, start, moving, outvars[len(first) :], records_tree)


def _loop(
    step: _Step, schedule: Schedule, lanes: Lanes | None, report: Callable[[jax.Array], None] | None
) -> tuple[dict[int, jax.Array], Start]:
    """The stored records by id of their variable, with leading axes ([lanes], n_kept), and the state at the end."""
    invars, outvars = step.jaxpr.jaxpr.invars, step.jaxpr.jaxpr.outvars
    outputs = step.stored if schedule.n_kept else []
    state, new_state = [invars[i] for i in step.moving], [outvars[i] for i in step.moving]
    size = 1 if lanes is None else lanes.size
    ahead = drawn_ahead(step.jaxpr.jaxpr, state)
    block = min(schedule.n_run, DRAWN_AHEAD // (size * sum(variable.aval.size for variable in ahead) or 1))
    rest_of_step = equations_of_part(step.jaxpr, {*invars, *ahead}, [*new_state, *outputs], effects=True)
    n_lane_blocks = 1
    if lanes is not None and can_run_in_any_order(rest_of_step):
        n_lane_blocks = number_of_blocks(rest_of_step, size)
    draws_in_turn = block < min(schedule.n_run, FEWEST_AHEAD)
    if draws_in_turn:
        block = schedule.n_run
    if draws_in_turn and n_lane_blocks == 1:
        ahead = []

    def per_lane(function: Callable[..., PyTree], *axes: PyTree) -> Callable[..., PyTree]:
        return function if lanes is None else jax.vmap(function, in_axes=axes, axis_size=lanes.size)

    axes, leaves = step.start.axes(), step.start.leaves
    fixed_axes = [None if i in step.moving else axis for i, axis in enumerate(axes)]

    def move(
        state_values: list[jax.Array], draws: list[jax.Array], leaves: list[jax.Array]
    ) -> tuple[list[ArrayLike], list[ArrayLike]]:
        known = dict(zip(invars, leaves, strict=True)) | dict(
            zip([*state, *ahead], [*state_values, *draws], strict=True)
        )
        values = evaluate_part(step.jaxpr, known, [*new_state, *outputs], effects=True)
        return values[: len(state)], values[len(state) :]

    def draw(leaves: list[jax.Array]) -> list[ArrayLike]:
        return evaluate_part(step.jaxpr, dict(zip(invars, leaves, strict=True)), ahead)

    carry = [leaves[i] for i in step.moving]
    if lanes is not None:
        shared = [axes[i] is None for i in step.moving]
        carry = [
            jnp.broadcast_to(leaf, (lanes.size, *leaf.shape)) if spread else leaf
            for leaf, spread in zip(carry, shared, strict=True)
        ]
    lane_shape = () if lanes is None else (lanes.size,)
    draw_once = per_lane(draw, axes)
    # In blocks, the number of lanes is that of a block.
    step_all = per_lane(move, 0, 0, fixed_axes) if n_lane_blocks == 1 else jax.vmap(move, in_axes=(0, 0, fixed_axes))

    def step_once(
        carry: list[jax.Array], draws: list[jax.Array], leaves: list[jax.Array]
    ) -> tuple[list[jax.Array], list[jax.Array]]:
        own = [i for i, axis in enumerate(fixed_axes) if axis == 0]

        def of_block(
            carry: list[jax.Array], draws: list[jax.Array], values: list[jax.Array]
        ) -> tuple[list[jax.Array], list[jax.Array]]:
            known = dict(zip(own, values, strict=True))
            return step_all(carry, draws, [known.get(i, leaf) for i, leaf in enumerate(leaves)])

        return in_blocks(of_block, n_lane_blocks, carry, draws, [leaves[i] for i in own])

    def body(loop: PyTree, xs: PyTree) -> tuple[PyTree, None]:
        (carry, buffers), (index, draws) = loop, xs
        if draws_in_turn and ahead:
            draws = draw_once(leaves)
        carry, values = step_once(carry, draws, leaves)
        if report is not None:
            is_due = (index + 1) % max(1, schedule.n_run // 20) == 0
            jax.lax.cond(is_due, lambda i: jax.debug.callback(report, i), lambda i: None, index + 1)
        slot = schedule.slot(index)
        buffers = [
            jax.lax.dynamic_update_index_in_dim(buffer, value, slot, 0)
            for buffer, value in zip(buffers, values, strict=True)
        ]
        return (carry, buffers), None

    buffers = [jnp.zeros((schedule.n_kept, *lane_shape, *out.aval.shape), out.aval.dtype) for out in outputs]

    def draws_of(count: int) -> list[jax.Array]:
        return jax.vmap(draw_once, in_axes=(None,), axis_size=count)(leaves) if ahead and not draws_in_turn else []

    def run(loop: PyTree, first: ArrayLike, count: int) -> PyTree:
        return jax.lax.scan(body, loop, (first + jnp.arange(count), draws_of(count)))[0]

    def run_until_end(loop: PyTree, first: jax.Array) -> PyTree:
        """A block whose last steps, if they lie behind the end of the chain, are not made."""
        draws = draws_of(block)
        at = lambda i: [jax.lax.dynamic_index_in_dim(values, i, keepdims=False) for values in draws]
        n_steps = jnp.minimum(block, schedule.n_run - first)
        return jax.lax.fori_loop(0, n_steps, lambda i, loop: body(loop, (first + i, at(i)))[0], loop)

    loop = carry, buffers
    if block:
        n_blocks, rest = divmod(schedule.n_run, block)
        # A rest is a second loop of the same steps, which takes as long again to compile. One loop of a number of steps
        # that varies has no derivative in reverse; where a step has such loops itself, that takes nothing away.
        if rest and n_blocks and has_open_loop(rest_of_step) and can_run_in_any_order(rest_of_step):
            firsts = block * jnp.arange(n_blocks + 1)
            loop, _ = jax.lax.scan(lambda loop, first: (run_until_end(loop, first), None), loop, firsts)
        else:
            loop, _ = jax.lax.scan(lambda loop, i: (run(loop, i * block, block), None), loop, jnp.arange(n_blocks))
            loop = run(loop, n_blocks * block, rest) if rest else loop
    carry, buffers = loop
    ends = dict(zip(step.moving, carry, strict=True))
    has_axis = [lanes is not None if i in ends else own for i, own in enumerate(step.start.has_axis)]
    end = step.start._replace(leaves=[ends.get(i, leaf) for i, leaf in enumerate(leaves)], has_axis=has_axis)
    if lanes is not None:
        buffers = [jnp.moveaxis(buffer, 1, 0) for buffer in buffers]
    if not schedule.n_kept:
        shape = (0,) if lanes is None else (lanes.size, 0)
        buffers = [jnp.zeros((*shape, *out.aval.shape), out.aval.dtype) for out in step.stored]
    return dict(zip(map(id, step.stored), buffers, strict=True)), end


def _spread(value: ArrayLike, n_axes: int, batch: tuple[int, ...]) -> jax.Array:
    """A constant with the leading axes of the batch, of which it has the first `n_axes`."""
    value = jnp.asarray(value)
    shape = value.shape[n_axes:]
    return jnp.broadcast_to(
        value.reshape((*value.shape[:n_axes], *(1,) * (len(batch) - n_axes), *shape)), (*batch, *shape)
    )


def _with_shared_args(traces: AnyTrace, step: _Step, lanes: Lanes | None) -> AnyTrace:
    """Traces that hold arguments which never change once, along an axis of size 1 in place of the steps'."""
    handed_through = step.fixed()
    is_fixed = [not isinstance(out, jax_internals.Literal) and out in handed_through for out in step.records]
    fixed, _ = jax.tree.unflatten(step.records_tree, is_fixed)

    def share(is_fixed: bool, values: jax.Array) -> Shared | jax.Array:
        return Shared(values[:1] if lanes is None else values[:, :1]) if is_fixed else values

    return with_args(traces, jax.tree.map(share, raw_args(fixed), raw_args(traces)))
