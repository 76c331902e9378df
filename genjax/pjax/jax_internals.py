"""Every use of a JAX internal, in one place; tested on the oldest and the newest supported JAX.

What is public in JAX is imported where it is used. What is not (batching rules that see the axis size, scan's
parameters, the custom-derivative thunks, source locations) is wrapped here, so that a JAX release that moves one of
them breaks this file and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import jax
import jax.extend.core  # `import jax` does not pull it in
import jax.extend.random
from jax._src import effects, source_info_util
from jax._src.interpreters import partial_eval
from jax._src.lax.control_flow import loops
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Primitive, Var, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

from genjax.signatures import PyTree

if TYPE_CHECKING:
    from jax._src.linear_util import WrappedFun

__all__ = [
    "Atom",
    "AxisData",
    "ClosedJaxpr",
    "Equation",
    "Frame",
    "Jaxpr",
    "Literal",
    "LoweringContext",
    "Operand",
    "Primitive",
    "Shaped",
    "ShapedArray",
    "Tangent",
    "Tracer",
    "Var",
    "bind_equation",
    "custom_jvp_rule",
    "custom_vjp_rules",
    "draw_once_under_remat",
    "enable_tfp",
    "equation_context",
    "hide_frames_of",
    "keep_in_loops",
    "jaxpr_as_fun",
    "linear_primitive",
    "lower_function",
    "make_effect",
    "register_batching",
    "register_jvp",
    "register_lowering",
    "scan_counts",
    "sub_jaxprs",
    "symbolic_zero_tangent",
    "threefry_with_bits",
    "threefry_words",
    "trace_state",
    "used_inputs",
    "user_frames",
]

Equation: TypeAlias = JaxprEqn
LoweringContext: TypeAlias = mlir.LoweringRuleContext
Operand: TypeAlias = mlir.ir.Value
ShapedArray: TypeAlias = jax.core.ShapedArray

Atom: TypeAlias = Var | Literal
"""What an equation takes: a variable, or a literal."""

Shaped: TypeAlias = jax.Array | jax.ShapeDtypeStruct | ShapedArray
"""An array, or its shape and dtype."""

Tangent: TypeAlias = jax.Array | ad.Zero
"""A tangent inside of JAX, where zeros may be symbolic."""

PartialEvaluation: TypeAlias = tuple[JaxprEqn | None, JaxprEqn | None, Sequence[bool], Sequence[bool], Sequence[Var]]
"""`(known part, unknown part, which outputs are unknown, which are saved, residuals)` of an equation."""

Tracer = jax.core.Tracer


class AxisData(Protocol):
    """What JAX tells a batching rule about the mapped axis."""

    size: int


# Registration of rules


def register_batching(primitive: Primitive, rule: Callable[..., tuple[PyTree, PyTree]]) -> None:
    """Register `rule(axis_data, args, dims, **params)`, which JAX calls for every `vmap` over the primitive.

    Unlike a rule in `primitive_batchers`, it is called also when no operand is batched, and is told the axis size.
    """
    batching.fancy_primitive_batchers[primitive] = rule


def register_jvp(primitive: Primitive, rule: Callable[..., tuple[PyTree, PyTree]]) -> None:
    """Register the forward-mode derivative `rule(primals, tangents, **params)`; zero tangents arrive instantiated."""

    def with_instantiated_tangents(
        primals: Sequence[ArrayLike], tangents: Sequence[Tangent], **params: Any
    ) -> tuple[PyTree, PyTree]:
        return rule(tuple(primals), tuple(ad.instantiate_zeros(t) for t in tangents), **params)

    ad.primitive_jvps[primitive] = with_instantiated_tangents


def symbolic_zero_tangent(primal: ArrayLike) -> ad.Zero:
    """The tangent of a value that does not depend on anything differentiated."""
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


def register_lowering(primitive: Primitive, rule: Callable[..., Sequence[Operand]]) -> None:
    """Register `rule(context, *operands, **params)`; never cached, because two equal sites are two draws."""
    mlir.register_lowering(primitive, rule, cacheable=False)


def lower_function(function: Callable[..., jax.Array]) -> Callable[..., Sequence[Operand]]:
    """Turn a JAX function of one output into a lowering rule."""
    return mlir.lower_fun(function, multiple_results=False)


def linear_primitive(
    name: str,
    function: Callable[..., jax.Array],
    shape: Callable[..., tuple[int, ...]],
    transpose: Callable[..., list[jax.Array]],
    batch: Callable[..., tuple[jax.Array, int]],
    on_cpu: Callable[..., jax.Array],
) -> Primitive:
    """A primitive that is `function(value, **params)`, linear in its one operand.

    Args:
        name: shown in jaxprs.
        function: what it computes, in JAX; the dtype stays.
        shape: `(shape of the operand, **params) -> shape of the output`.
        transpose: `(cotangent, undefined_primal, **params) -> [cotangent of the operand]`.
        batch: `((value,), (dim,), **params) -> (output, its dim)`.
        on_cpu: the same as `function`, for programs compiled for the CPU.
    """
    primitive = Primitive(name)
    primitive.def_impl(lambda value, **params: function(value, **params))
    primitive.def_abstract_eval(lambda value, **params: jax.core.ShapedArray(shape(value.shape, **params), value.dtype))
    ad.deflinear2(primitive, transpose)
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, lower_function(function))
    mlir.register_lowering(primitive, lower_function(on_cpu), platform="cpu")
    return primitive


def make_effect(name: str) -> effects.Effect:
    """A side effect that keeps equations without outputs from being removed, and may stand in any control flow."""
    kind = type(name, (effects.Effect,), {"__str__": lambda self: name})
    for allowed in (
        effects.control_flow_allowed_effects,
        effects.custom_derivatives_allowed_effects,
        effects.remat_allowed_effects,
        effects.partial_eval_kept_effects,
    ):
        allowed.add_type(kind)
    return kind()


# Differentiation moves and repeats equations, which must not happen to a random choice


def draw_once_under_remat(primitive: Primitive) -> None:
    """Save what the primitive gave under `jax.checkpoint`, so that the backward pass sees the same draw."""

    def rule(
        _saveable: object, unknown_inputs: Sequence[bool], inputs_saved: Sequence[bool], eqn: Equation
    ) -> PartialEvaluation:
        if not any(unknown_inputs):
            return eqn, None, [False], [False], []
        residuals = [v for v, is_saved in zip(eqn.invars, inputs_saved, strict=True) if isinstance(v, Var)]
        unsaved = [v for v, is_saved in zip(eqn.invars, inputs_saved, strict=True) if not is_saved and v in residuals]
        return None, eqn, [True], [True], unsaved

    partial_eval.partial_eval_jaxpr_custom_rules[primitive] = rule


def keep_in_loops(is_concerned: Callable[[Jaxpr], bool]) -> None:
    """Leave equations in the scan that they stand in, if `is_concerned(body)`.

    Linearizing a scan, JAX computes what does not depend on the carry once, before the loop. A draw without varying
    parameters would be shared by all steps. JAX offers no setting for this; its source tells how to turn it off.
    """
    hoist = loops._scan_known_hoisting

    def hoist_unless_concerned(
        known_body: Jaxpr | ClosedJaxpr, constants: Sequence[ArrayLike], n_residuals: int, *counts: int
    ) -> tuple[Jaxpr | ClosedJaxpr, Sequence[ArrayLike], list[bool], list[ArrayLike]]:
        if is_concerned(getattr(known_body, "jaxpr", known_body)):
            return known_body, constants, [False] * n_residuals, []
        return hoist(known_body, constants, n_residuals, *counts)

    loops._scan_known_hoisting = hoist_unless_concerned
    rule = partial_eval.partial_eval_jaxpr_custom_rules[jax.lax.scan_p]

    def refuse_if_concerned(
        saveable: object, unknown_inputs: Sequence[bool], inputs_saved: Sequence[bool], eqn: Equation
    ) -> PartialEvaluation:
        if any(unknown_inputs) and any(map(is_concerned, sub_jaxprs(eqn))):
            raise NotImplementedError(
                "A random choice stands inside a scan inside `jax.checkpoint`, and the checkpoint is differentiated "
                "before it has a key. Differentiate outside of seed: `jax.grad(lambda x: seed(f)(key, x))`."
            )
        return rule(saveable, unknown_inputs, inputs_saved, eqn)

    partial_eval.partial_eval_jaxpr_custom_rules[jax.lax.scan_p] = refuse_if_concerned


# Random bits


def threefry_with_bits(
    name: str, random_bits: Callable[[jax.Array, int, tuple[int, ...]], jax.Array], n_words: int
) -> Hashable:
    """A kind of key, for `jax.random.wrap_key_data`, of `n_words` words; `random_bits(words, bit_width, shape)`."""
    of_jax = jax.extend.random.threefry_prng_impl
    return jax.extend.random.define_prng_impl(
        key_shape=(n_words,),
        seed=of_jax.seed,
        split=of_jax.split,
        random_bits=random_bits,
        fold_in=of_jax.fold_in,
        name=name,
        tag=name,
    )


def threefry_words(key: jax.Array, counts: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The two uint32 words of JAX's Threefry for each block of counters (0, count), from a typed threefry key."""
    words = jax.random.key_data(key)
    first, second = jax.extend.random.threefry2x32_p.bind(words[0], words[1], jax.numpy.zeros_like(counts), counts)
    return first, second


# Equations


def equation_context(eqn: Equation) -> AbstractContextManager[None]:
    """Context manager under which operations keep the equation's source line and name scope."""
    name_stack = source_info_util.current_name_stack() + eqn.source_info.name_stack
    return source_info_util.user_context(eqn.source_info.traceback, name_stack=name_stack)


def bind_equation(eqn: Equation, values: Sequence[ArrayLike]) -> list[ArrayLike]:
    """Apply the equation's primitive to `values`; always returns a list."""
    bind_params = eqn.primitive.get_bind_params(eqn.params)
    subfuns, params = bind_params if isinstance(bind_params, tuple) else ((), bind_params)
    with equation_context(eqn), eqn.ctx.manager:
        outputs = eqn.primitive.bind(*subfuns, *values, **params)
    return list(outputs) if eqn.primitive.multiple_results else [outputs]


def sub_jaxprs(eqn: Equation) -> Iterator[Jaxpr]:
    """The jaxprs inside an equation's parameters (bodies of scan, cond, jit, custom derivatives, ...)."""
    for value in eqn.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if isinstance(item, ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, Jaxpr):
                yield item


def used_inputs(closed: ClosedJaxpr) -> list[bool]:
    """For each input, whether any output depends on it; loops and branches are looked into."""
    return list(partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))[1])


def scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """`(number of constants, number of carry leaves)` of a scan equation. JAX 0.11 changed how they are stored."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()
    return len(list(constants.vals)), len(list(carry.vals))


def _subfunctions(eqn: Equation) -> tuple[WrappedFun, ...]:
    bind_params = eqn.primitive.get_bind_params(eqn.params)
    if isinstance(bind_params, tuple):
        return tuple(bind_params[0])
    return tuple(bind_params["subfuns"])


def custom_jvp_rule(eqn: Equation) -> Callable[..., list[ArrayLike]]:
    """The user's rule of a `custom_jvp_call`: `rule(*primals, *tangents) -> [*outputs, *output_tangents]`."""
    _, jvp = _subfunctions(eqn)

    def rule(*primals_and_tangents: ArrayLike) -> list[ArrayLike]:
        outputs = jvp.call_wrapped(*primals_and_tangents)
        primals = outputs[: len(outputs) // 2]
        tangents = outputs[len(outputs) // 2 :]
        return [*primals, *(instantiate(t) for t in tangents)]

    return rule


def instantiate(tangent: Tangent | jax.custom_derivatives.SymbolicZero) -> jax.Array:
    """Replace a symbolic zero by zeros of its shape."""
    if isinstance(tangent, jax.custom_derivatives.SymbolicZero):
        return jax.numpy.zeros(tangent.aval.shape, tangent.aval.dtype)
    return ad.instantiate_zeros(tangent)


class CustomVjpRules(NamedTuple):
    """`forward(*primals) -> (residuals, outputs)` and `backward(residuals, cotangents) -> input cotangents`."""

    forward: Callable[..., tuple[list[ArrayLike], list[ArrayLike]]]
    backward: Callable[[Sequence[ArrayLike], Sequence[ArrayLike]], list[ArrayLike]]


def custom_vjp_rules(eqn: Equation) -> CustomVjpRules:
    """The user's rules of a `custom_vjp_call`."""
    _, fwd, bwd = _subfunctions(eqn)
    out_trees = eqn.params["out_trees"]

    def forward(*primals: ArrayLike) -> tuple[list[ArrayLike], list[ArrayLike]]:
        n_constants = eqn.params["num_consts"]
        # JAX passes each primal followed by whether it is differentiated; constants are not.
        marked = [item for i, primal in enumerate(primals) for item in (primal, i >= n_constants)]
        flat = list(fwd.call_wrapped(*marked))
        _, residual_tree, forwarded = out_trees()
        n_returned = residual_tree.num_leaves - sum(position is not None for position in forwarded)
        returned, outputs = iter(flat[:n_returned]), flat[n_returned:]
        # A residual that is just an input comes back as that input's position.
        residuals = [next(returned) if position is None else primals[position] for position in forwarded]
        return residuals, outputs

    def backward(residuals: Sequence[ArrayLike], cotangents: Sequence[ArrayLike]) -> list[ArrayLike]:
        result = bwd.call_wrapped(*residuals, *cotangents)
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], list):
            result = result[0]  # JAX 0.11 returns (cotangents, logs)
        return [ad.instantiate_zeros(cotangent) for cotangent in result]

    return CustomVjpRules(forward, backward)


# Where the user's code is


class Frame(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} (in {self.function})"


def hide_frames_of(directory: str) -> None:
    """Leave the files under `directory` out of the frames that JAX and we show to users."""
    source_info_util.register_exclusion(directory)


def user_frames(traceback: object) -> list[Frame]:
    """The user's frames of a JAX traceback, innermost first."""
    return [Frame(f.file_name, f.start_line, f.function_name) for f in source_info_util.user_frames(traceback)]


def is_library_file(path: str) -> bool:
    """Whether `path` belongs to JAX or to a directory passed to `hide_frames_of`."""
    return not source_info_util.is_user_filename(path)


def trace_state() -> Hashable:
    """An opaque value, equal for two calls made under the same JAX transforms."""
    return jax.extend.core.get_opaque_trace_state(convention="flax")


def enable_tfp() -> None:
    """Let the released TensorFlow Probability 0.25 import on JAX 0.7 and later; do nothing where it is not needed.

    That release reads a table that JAX moved. Call this before importing TFP; `tfp_distribution` calls it for you.
    Nightly builds of TFP do not need it.
    """
    import warnings

    import jax.interpreters.xla as xla

    if not hasattr(xla, "pytype_aval_mappings"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the table's new home is deprecated as well
            xla.pytype_aval_mappings = jax.core.pytype_aval_mappings


hide_frames_of(os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep)
