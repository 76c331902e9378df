"""Looking at a program as JAX stages it: `stage` and the markers of its random choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.tree_util import PyTreeDef
from jax.typing import ArrayLike

from genjax.pjax.jax_internals import ClosedJaxpr, Primitive
from genjax.signatures import PyTree


def stage(f: Callable[..., PyTree], **params: Any) -> Callable[..., PyTree]:
    """Stage a function without running it.

    Args:
        f: a function of JAX types.
        params: keyword arguments bound before staging.

    Returns:
        `staged(*args)`, which returns `(closed_jaxpr, (flat_args, in_tree, out_tree_thunk))`. Random choices are
        equations of the jaxpr, named `pjax.sample` or `pjax.adev_sample`.
    """

    def staged(
        *args: Any, **kwargs: Any
    ) -> tuple[ClosedJaxpr, tuple[list[ArrayLike], PyTreeDef, Callable[[], PyTreeDef]]]:
        from genjax.pjax.evaluate import stage_flat

        closed, flat, out_tree = stage_flat(lambda *a, **k: f(*a, **k, **params), *args, **kwargs)
        return closed, (flat, jax.tree.structure((args, kwargs)), lambda: out_tree)

    return staged


class PPPrimitive:
    """Access to the primitive behind an equation."""

    @staticmethod
    def unwrap(primitive: Primitive) -> tuple[Primitive, dict[str, Any]]:
        """`(primitive, params)`. Sites are plain primitives here, so this is the identity, with no parameters."""
        return primitive, {}
