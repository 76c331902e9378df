"""The supports of outputs, as a study declares them: `supports: {tau: positive, rate: unit, angle: [-3.15, 3.15]}`.

A sampler may move in other coordinates than the model's, and its states are then not values of the model. One that
returns them under the model's names would be compared with systems that return something else.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pipelines.errors import unknown

WORDS = {"positive": (0.0, math.inf), "unit": (0.0, 1.0)}
"""Both ends belong to the support: numbers close to an end are rounded to it."""


def supports_of(block: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Least and greatest value of outputs by name, from a study's resolved block."""
    declared = block.get("supports") or {}
    return {name: WORDS[value] if isinstance(value, str) else tuple(value) for name, value in declared.items()}


def support_faults(study: str, block: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for everything that is wrong with what a study declares."""
    declared = block.get("supports") or {}
    if not isinstance(declared, Mapping):
        yield f"configs/study/{study}.yaml: supports={declared!r}: must be a mapping from outputs to supports."
        return
    for name, value in declared.items():
        where = f"study.supports.{name}"
        if isinstance(value, str) and value not in WORDS:
            yield f"{where}: " + unknown("support", value, WORDS)
        elif not isinstance(value, str) and not _is_interval(value):
            yield f"{where}={value!r}: must be {' or '.join(WORDS)}, or a list of the least and the greatest value."


def outside(supports: Mapping[str, tuple[float, float]], outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    """A sentence for every output that holds a number outside its support."""
    for name, (low, high) in supports.items():
        values = outputs.get(name, np.empty(0))
        if values.dtype.kind not in "biuf":
            continue
        values = values[np.isfinite(values)]
        if values.size and not (low <= values.min() and values.max() <= high):
            yield (
                f"{name} ranges from {values.min():.3g} to {values.max():.3g}, beyond its support [{low:g}, {high:g}]: "
                f"a state that is transformed says so in its name, as log_{name} or unconstrained_{name} does"
            )


def _is_interval(value: Any) -> bool:
    is_pair = isinstance(value, list | tuple) and len(value) == 2
    return is_pair and all(type(one) in (int, float) and math.isfinite(one) for one in value) and value[0] < value[1]
