"""Looking at a program as JAX stages it: `stage` and the markers of its random choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from genjax.pjax.jax_internals import Primitive


def stage(f: Callable[..., Any], **params: Any) -> Callable[..., Any]:
    """Stage a function without running it.

    Args:
        f: a function of JAX types.
        params: keyword arguments bound before staging.

    Returns:
        `staged(*args)`, which returns `(closed_jaxpr, (flat_args, in_tree, out_tree_thunk))`. Random choices are
        equations of the jaxpr, named `pjax.sample` or `pjax.adev_sample`.
    """

    def staged(*args: Any, **kwargs: Any) -> tuple[Any, tuple[list[Any], Any, Callable[[], Any]]]:
        from genjax.pjax.evaluate import stage_flat

        closed, flat, out_tree = stage_flat(lambda *a, **k: f(*a, **k, **params), *args, **kwargs)
        return closed, (flat, jax.tree.structure((args, kwargs)), lambda: out_tree)

    return staged


class PPPrimitive:
    """Access to the primitive behind an equation."""

    @staticmethod
    def unwrap(primitive: Primitive) -> tuple[Any, dict[str, Any]]:
        """`(primitive, params)`. Sites are plain primitives here, so this is the identity, with no parameters."""
        return primitive, {}
