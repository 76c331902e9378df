"""What every gate asks of its arrays first: names, shapes, finiteness, ranges."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-4
"""Largest error of a log density, relative to max(1, its size). A float32 sum of 20 terms is right to about 1e-5."""

STANDARD_ERRORS = 4.0
"""Width of the checks against exact evidence."""


def check_form(outputs: dict[str, np.ndarray], shapes: dict[str, tuple[int, ...]]) -> str | None:
    """Why the outputs are not the named arrays of these shapes, without NaN; None if they are."""
    for name, shape in shapes.items():
        if name not in outputs:
            return f"outputs lack {name!r}: got {sorted(outputs)}"
        array = np.asarray(outputs[name])
        if array.shape != shape:
            return f"{name} has shape {array.shape}, expected {shape}"
        wanted = "b" if name in ("is_outlier", "accepts") else "f"
        if array.dtype.kind != wanted:
            return f"{name} has dtype {array.dtype}, expected {'booleans' if wanted == 'b' else 'a floating type'}"
        if wanted == "f" and np.isnan(array).any():
            return f"{name} has {int(np.isnan(array).sum())} NaN of {array.size}"
    if "outlier_rate" in shapes:
        rate = outputs["outlier_rate"]
        if rate.min() < 0 or rate.max() > 1:
            return f"outlier_rate ranges over [{rate.min():.3g}, {rate.max():.3g}], outside of [0, 1]"
    return None


def check_densities(
    name: str, given: np.ndarray, expected: np.ndarray, diagnostics: dict[str, float], what: str
) -> str | None:
    """Why log densities differ from those recomputed; None if they agree within `TOLERANCE`."""
    with np.errstate(invalid="ignore"):
        errors = np.abs(given - expected) / np.maximum(1.0, np.abs(expected))
    errors = np.where(given == expected, 0.0, errors)  # -inf is -inf
    worst = float(np.max(errors, initial=0.0))
    diagnostics[f"{name}_relative_error"] = worst
    if worst <= TOLERANCE:
        return None
    hint = " (they have the opposite sign)" if np.allclose(given, -expected, rtol=1e-3, atol=1e-3) else ""
    return f"{name} differ from {what} by {worst:.1e} relative (limit {TOLERANCE:.0e}){hint}"


def curve_shapes(*shape: int) -> dict[str, tuple[int, ...]]:
    """The coefficients, each of the same shape."""
    return {name: tuple(shape) for name in "abc"}


def latent_shapes(
    truth: dict[str, Any], n_points: int, *shape: int, with_indicators: bool
) -> dict[str, tuple[int, ...]]:
    """Shapes of the latents of the model that `truth` belongs to."""
    shapes = curve_shapes(*shape)
    if "rate_alpha" in truth:
        shapes["outlier_rate"] = tuple(shape)
    if "outlier_bound" in truth and with_indicators:
        shapes["is_outlier"] = (*shape, n_points)
    return shapes
