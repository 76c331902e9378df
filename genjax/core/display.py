"""How traces and generative functions look when printed, and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from genjax.signatures import Choices, PyTree

if TYPE_CHECKING:
    from genjax.core.gfi import AnyGFI
    from genjax.core.trace import AnyTrace

_MAX_ROWS = 40


def value_text(value: PyTree) -> str:
    """A short form of one value: scalars in full, arrays by type, shape and range."""
    if isinstance(value, jax.core.Tracer):
        return f"{value.dtype}{list(value.shape)} traced"
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        array = np.asarray(value) if not _is_key(value) else None
        if array is None:
            return f"{value.dtype}{list(value.shape)}"
        if array.ndim == 0:
            return f"{array.item():.6g}" if array.dtype.kind == "f" else str(array.item())
        if array.size <= 4 and array.ndim == 1:
            return np.array2string(array, precision=4, separator=", ")
        label = f"{array.dtype}{list(array.shape)}"
        if array.size and array.dtype.kind in "iuf":
            label += f" in [{array.min():.4g}, {array.max():.4g}]"
        return label
    return repr(value)


def _is_key(value: jax.Array | np.ndarray | np.generic) -> bool:
    return jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def _rows(choices: Choices, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(choices, dict):
        for addr, value in choices.items():
            yield from _rows(value, (*path, str(addr)))
        return
    leaves = jax.tree.leaves(choices)
    text = value_text(choices) if len(leaves) == 1 and leaves[0] is choices else ", ".join(map(value_text, leaves))
    yield " / ".join(path), text


def _limited(choices: Choices) -> list[tuple[str, str]]:
    rows = list(_rows(choices))
    if len(rows) > _MAX_ROWS:
        rows = [*rows[:_MAX_ROWS], ("...", f"{len(rows) - _MAX_ROWS} more")]
    return rows


def name_of(gen_fn: AnyGFI) -> str:
    """The name of a generative function for messages."""
    return getattr(gen_fn, "__name__", None) or repr(gen_fn)


def gen_fn_html(gen_fn: AnyGFI) -> str:
    """A generative function in a notebook: its expression, and what is known of its source."""
    describe = getattr(gen_fn, "describe", None)
    title = html.escape(describe()) if describe is not None else ""
    return f'<code title="{title}">{html.escape(repr(gen_fn))}</code>'


def trace_text(trace: AnyTrace) -> str:
    """One line for the run, one per address."""
    score = trace.raw_score()
    batch = f", batch {list(jnp.shape(score))}" if jnp.ndim(score) else ""
    head = f"Trace of {name_of(trace.get_gen_fn())}{batch}, score {value_text(score)}"
    rows = _limited(trace.get_choices())
    width = max((len(path) for path, _ in rows), default=0)
    return "\n".join([head, *(f"  {path:<{width}}  {text}" for path, text in rows)])


def trace_html(trace: AnyTrace) -> str:
    """The same as a small table."""
    cells = "".join(
        f"<tr><td><code>{html.escape(path)}</code></td><td>{html.escape(text)}</td></tr>"
        for path, text in _limited(trace.get_choices())
    )
    head = html.escape(trace_text(trace).split("\n", 1)[0])
    return f"<table><caption>{head}</caption><tr><th>address</th><th>value</th></tr>{cells}</table>"
