"""Where chains may start."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from genjax.core.choices import choice_path
from genjax.core.sites import Site
from genjax.core.trace import AnyTrace


def check_start(trace: AnyTrace) -> None:
    """Raise if the density of a trace is NaN or 0, so that nothing could be moved by it. Traced values pass.

    Raises:
        ValueError: it is; the message names the choices whose density it is.
    """
    score = trace.raw_score()
    if isinstance(score, jax.core.Tracer) or np.all(np.isfinite(score)):
        return
    where = ""
    one = trace
    if np.ndim(score):
        first = int(np.flatnonzero(~np.isfinite(np.asarray(score).reshape(score.shape[0], -1)).all(1))[0])
        where, one = f" number {first} of {score.shape[0]}", trace[first]
    args, kwargs = one.get_args()
    sites, _ = one.get_gen_fn().sites(one.get_choices(), *args, **kwargs)
    pairs = jax.tree_util.tree_leaves_with_path(sites, is_leaf=lambda node: isinstance(node, Site))
    faults = [
        f"{choice_path(path) or 'the choice'!r} has the log density {float(jnp.sum(site.log_density))}"
        for path, site in pairs
        if isinstance(site, Site) and not np.all(np.isfinite(site.log_density))
    ]
    raise ValueError(
        f"A chain was asked to start from a trace{where} whose log density is not finite: {'; '.join(faults)}. Start "
        "where all densities are finite: draw another trace, or constrain these choices."
    )
