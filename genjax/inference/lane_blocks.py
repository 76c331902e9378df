"""Many chains in blocks that stay in the cache, or in one kernel.

A step of ten thousand chains on a data set works on arrays of chains x data points, which leave the cache between one
operation and the next. On CPU, what is computed of the draws of a step then runs block by block; the draws themselves
are made for all chains at once, so they are the same bits whatever the blocks; sums over data points may differ in the
last bits, where XLA takes them in another order. Accelerators get one batch.

Blocks are smaller still where a step has a loop, as over leapfrog steps, of nothing but element-wise operations and
short sums. XLA's CPU compiler makes one kernel of all of it as long as every array in it is below 16 KiB; from there
on each sum has a kernel, and its operands go through memory, which takes two to ten times as long for a chain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import jax
import jax.numpy as jnp

from genjax.pjax import jax_internals
from genjax.pjax.jax_internals import Equation
from genjax.pjax.partition import is_partitioned
from genjax.signatures import PyTree

#: Bytes that the largest array of a block has, about: a quarter of the second-level cache of the smaller processors.
BLOCK_BYTES = 1 << 18
#: Blocks pay from about this number on: with fewer, the arrays of all lanes are hardly larger than the cache.
FEWEST_BLOCKS = 4
#: Bytes of the largest array of a loop in one kernel: less than 16 KiB, to the byte, with jaxlib 0.10.
KERNEL_BYTES = (1 << 14) - 1
#: Elements of a sum that is part of such a kernel, at most: XLA takes longer ones apart.
LONGEST_SUM = 32

ELEMENT_WISE = frozenset({
    "abs", "add", "add_any", "and", "atan2", "broadcast_in_dim", "ceil", "clamp", "concatenate",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2",
    "expand_dims", "expm1", "floor", "ge", "gt", "integer_pow", "iota", "is_finite", "le", "log", "log1p",
    "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow", "real", "rem", "reshape",
    "round", "rsqrt", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "sin",
    "sinh", "slice", "sqrt", "square", "squeeze", "stop_gradient", "sub", "tan", "tanh", "transpose", "xor",
})  # fmt: skip
SUMS = frozenset({"reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or", "sum_lanes"})
LOOPS = frozenset({"scan", "while"})


def number_of_blocks(equations: Iterable[Equation], size: int) -> int:
    """In how many blocks `size` lanes should run; 1 where blocks would not pay, or the lanes are divided among devices.

    Args:
        equations: what is computed for one lane.
        size: number of lanes.
    """
    if is_partitioned():  # XLA divides one array among devices, but not the turns of a loop
        return 1
    equations = tuple(equations)
    lane_bytes = _largest_bytes(equations)
    if 0 < lane_bytes <= KERNEL_BYTES and has_loop_in_one_kernel(equations):
        wanted = math.ceil(size / (KERNEL_BYTES // lane_bytes))
    else:
        wanted = lane_bytes * size // BLOCK_BYTES
        wanted = wanted if wanted >= FEWEST_BLOCKS else 1
    if wanted == 1:
        return 1
    # A number of blocks that divides the lanes, if there is one nearby: otherwise some lanes are computed twice.
    return next((n for n in range(wanted, min(2 * wanted, size) + 1) if size % n == 0), min(wanted, size))


def in_blocks(function: Callable[..., PyTree], n_blocks: int, *lanes: PyTree) -> PyTree:
    """`function(*lanes)`, one block of lanes after the other on CPU, all at once elsewhere.

    Args:
        function: of pytrees of arrays with lanes in front, any number of them; its outputs have lanes in front too, and
            each lane depends on the same lane only. It makes no random choices.
        n_blocks: 1 or more.
        lanes: the arguments.
    """
    if n_blocks == 1:
        return function(*lanes)
    size = jax.tree.leaves(lanes)[0].shape[0]
    length = math.ceil(size / n_blocks)
    n_more = n_blocks * length - size

    def part(values: jax.Array) -> jax.Array:
        if n_more:  # the last block is filled up with lanes that are computed for nothing
            values = jnp.concatenate([values, values[:n_more]])
        return values.reshape(n_blocks, length, *values.shape[1:])

    def blocks(*lanes: PyTree) -> PyTree:
        found = jax.lax.map(lambda block: function(*block), jax.tree.map(part, lanes))
        return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:size], found)

    return jax.lax.platform_dependent(*lanes, cpu=blocks, default=function)


def has_loop_in_one_kernel(equations: Iterable[Equation]) -> bool:
    """Whether there is a loop with sums that XLA's CPU compiler can make one kernel of, if its arrays are small."""
    return any(
        _is_of_one_kernel(eqn)
        if eqn.primitive.name in LOOPS
        else any(has_loop_in_one_kernel(body.eqns) for body in jax_internals.sub_jaxprs(eqn))
        for eqn in equations
    )


def _is_of_one_kernel(loop: Equation) -> bool:
    """Whether it has sums, all of them short, and beside them element-wise operations alone."""
    inside = [eqn for body in jax_internals.sub_jaxprs(loop) for eqn in _flat(body.eqns)]
    sums = [eqn for eqn in inside if eqn.primitive.name in SUMS]
    are_short = all(eqn.invars[0].aval.size <= LONGEST_SUM * max(eqn.outvars[0].aval.size, 1) for eqn in sums)
    return bool(sums) and are_short and {eqn.primitive.name for eqn in inside} <= ELEMENT_WISE | SUMS


def _flat(equations: Iterable[Equation]) -> Iterator[Equation]:
    """The equations, and in place of calls of functions those inside; loops and branches stay what they are."""
    for eqn in equations:
        bodies = () if eqn.primitive.name in {*LOOPS, "cond"} else tuple(jax_internals.sub_jaxprs(eqn))
        if bodies:
            yield from (one for body in bodies for one in _flat(body.eqns))
        else:
            yield eqn


def _largest_bytes(equations: Iterable[Equation]) -> int:
    """Bytes of the largest array that the equations, and those inside of them, compute."""
    most = 0
    for eqn in equations:
        for out in eqn.outvars:
            shape, dtype = getattr(out.aval, "shape", ()), getattr(out.aval, "dtype", None)
            most = max(most, math.prod(shape) * getattr(dtype, "itemsize", 0))
        most = max([most, *(_largest_bytes(body.eqns) for body in jax_internals.sub_jaxprs(eqn))])
    return most
