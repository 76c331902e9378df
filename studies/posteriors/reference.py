"""Stored moments of the posteriors, and the record of how they were accepted: `references/<posterior>.json`.

`references/__main__.py` makes them, by a route that no sampler of the study takes part in where there is one.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from studies.posteriors.targets import TARGETS, Target

FOLDER = Path(__file__).resolve().parent / "references"


NORMAL_SQUARES = 2**0.5
"""The standard deviation of the square of a standard normal number."""


@dataclass(frozen=True)
class Moments:
    """Of one unknown, float64 arrays of its shape; errors are standard errors, 0 up to rounding for quadrature.

    Args:
        square_sd: the standard deviation of ((x - mean) / sd)^2, on which depends how well draws tell the sd. Where
            tails are long, draws that lack them show too small a one.
    """

    mean: np.ndarray
    sd: np.ndarray
    mean_error: np.ndarray
    sd_error: np.ndarray
    square_sd: np.ndarray


@dataclass(frozen=True)
class Reference:
    """One posterior's truth.

    Args:
        route: how it was computed.
        moments: by name of the unknown.
        acceptance: why it was accepted: R-hat, effective sample size, divergences, agreement of two routes, versions.
    """

    route: str
    moments: dict[str, Moments]
    acceptance: dict[str, Any]


@cache
def load_reference(posterior: str) -> Reference:
    """The stored reference of a posterior.

    Raises:
        ValueError: it belongs to other data than those of `targets.py`.
    """
    stored = json.loads((FOLDER / f"{posterior}.json").read_text(encoding="utf-8"))
    if stored["data_digest"] != data_digest(TARGETS[posterior]()):
        raise ValueError(
            f"references/{posterior}.json belongs to other data. "
            f"Run python -m studies.posteriors.references {posterior}."
        )
    moments = {
        name: Moments(**{field: np.array(values, np.float64) for field, values in fields.items()})
        for name, fields in stored["moments"].items()
    }
    return Reference(stored["route"], moments, stored["acceptance"])


def data_digest(target: Target) -> str:
    """SHA-256 of a target's arrays, names and types."""
    digest = hashlib.sha256()
    for name, array in sorted(target.data.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
