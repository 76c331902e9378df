"""Gate of traces drawn from the basic model: the log density of every trace, sign included."""

from __future__ import annotations

from typing import Any

import numpy as np

from studies.base import Problem
from studies.curvefit.densities import curves_at, log_normal
from studies.curvefit.gate_form import check_densities, check_form, curve_shapes

LARGEST_Z = 7.0
"""A standard normal draw beyond it has probability 3e-12."""


def check_traces(
    problem: Problem, parameters: dict[str, Any], outputs: dict[str, np.ndarray], diagnostics: dict[str, float]
) -> str | None:
    """Recompute log p(a, b, c, ys) of each trace, and ask that its draws are plausible and distinct.

    Args:
        problem: with `data["xs"]` (n_points,).
        parameters: `n_traces`, or none of it for a single trace without a batch axis.
        outputs: `a`, `b`, `c` and `log_density` (n_traces,) or (), `obs` (n_traces, n_points) or (n_points,).
        diagnostics: filled with what was measured.
    """
    shape = (parameters["n_traces"],) if "n_traces" in parameters else ()
    xs, noise_sd = problem.data["xs"], problem.truth["noise_sd"]
    shapes = {**curve_shapes(*shape), "obs": (*shape, len(xs)), "log_density": shape}
    reason = check_form(outputs, shapes)
    if reason is not None:
        return reason
    means = curves_at(outputs, xs)
    expected = log_normal(outputs["obs"], means, noise_sd).sum(axis=-1)
    expected = expected + sum(log_normal(outputs[name], 0.0, 1.0) for name in "abc")
    reason = check_densities(
        "log_density", np.asarray(outputs["log_density"]), np.asarray(expected), diagnostics, "log p of the traces"
    )
    if reason is not None:
        return reason
    coefficients = np.stack([outputs[name] for name in "abc"])
    largest = max(np.abs(coefficients).max(), np.abs((outputs["obs"] - means) / noise_sd).max())
    diagnostics["largest_z_score"] = float(largest)
    if not largest <= LARGEST_Z:
        return f"a draw is {largest:.1f} standard deviations from its mean (limit {LARGEST_Z:g})"
    if len(np.unique(coefficients)) < coefficients.size:
        return "coefficients repeat: they are not independent draws"
    return None
